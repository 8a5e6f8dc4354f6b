"""The other ranks of a machine wait for the first one, before torch is loaded and they can meet.

The first rank prepares a folder, which may fail: another process has its lock, or the store does
not answer. The others cannot see that, and would wait for it to join them until their launcher
ends them. So it writes what it has come to into a file of this machine:

    <path>    {"launch": …, "pid": …, "state": "begun" | "ready" | "failed"}
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cauldron.core.errors import CauldronError
from cauldron.core.output.lock import is_alive

# Between the starts of two ranks.
PATIENCE = 120.0
# A file of another launch whose writer lives may be of the same one, if each rank was started by a
# program of its own. It may also be of another run, which then ends by itself or by its lock.
_DOUBT = 5.0
_PAUSE = 0.05


@contextlib.contextmanager
def preparing(path: Path) -> Iterator[None]:
    """For the first rank, around what it prepares."""
    _write(path, "begun")
    try:
        yield
    except BaseException:
        _write(path, "failed")
        raise
    _write(path, "ready")


def wait_for_first(path: Path) -> None:
    """For the other ranks: until the first one has prepared everything.

    Raises:
        CauldronError: it failed, and says why itself, or it is not there.
    """
    doubtful, gone = time.monotonic() + _DOUBT, time.monotonic() + PATIENCE
    while True:
        found, now = _read(path), time.monotonic()
        lives = "pid" in found and is_alive(found["pid"])
        if found.get("launch") == _launch():
            if found["state"] == "failed":
                raise CauldronError("the first rank failed before the ranks met")
            if found["state"] == "ready":
                return
        elif found.get("state") == "ready" and lives and now > doubtful:
            return
        if lives:
            gone = now + PATIENCE
        elif now > gone:
            raise CauldronError(f"the first rank has not begun after {PATIENCE:.0f} s")
        time.sleep(_PAUSE)


def _launch() -> str:
    """The same for all ranks of one start by a launcher on this machine, and for no other start."""
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return f"{os.getppid()} {os.environ.get('MASTER_PORT', '')} {restarts}"


def _write(path: Path, state: str) -> None:
    value = {"launch": _launch(), "pid": os.getpid(), "state": state}
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(value))
    partial.rename(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return found
