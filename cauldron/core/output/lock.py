"""Locks: one build at a time writes a folder of the output.

A lock is the file ``_lock`` in the folder. It names its owner, who writes it anew every 20 seconds
(the heartbeat). The next build takes it over when the owner is a dead process of this machine, or
when the last heartbeat is 5 minutes old. What holds where:

- Creating a lock is atomic on local disks (exclusive create), on ``gs://`` (precondition: no such
  object) and on ``s3://`` (the same). On other stores two builds may create it at once.
- On ``gs://`` taking over, heartbeat and release are atomic too: each names the generation that was
  read. Elsewhere the new owner writes its name, waits a moment and reads it back.
- `Lock.confirm` reads the lock again before a manifest is written; a build that lost it stops.
- A heartbeat's age is measured by this machine's clock, which must be right to a few minutes.
- A job of a remote runner can outlive the process that submitted it. Its workers hold no lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.stores import versioned

LOCK = "_lock"
BEAT_SECONDS = 20.0
STALE_SECONDS = 300.0

# After this time, two builds that take over the same lock at once both see who wrote last.
_SETTLE_SECONDS = 0.5


@contextlib.contextmanager
def locked(folders: Sequence[str]) -> Iterator[Lock]:
    """Hold the locks of all `folders` while the block runs.

    Raises:
        CauldronError: another build holds one of them.
    """
    lock = Lock()
    try:
        lock.acquire(folders)
        yield lock
    finally:
        lock.release()


class Lock:
    """The locks of one or more folders, held by this process. Use `locked`."""

    def __init__(self) -> None:
        owner = _here() | {
            "pid": os.getpid(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
            "token": uuid.uuid4().hex,
        }
        self._owner = json.dumps(owner).encode()
        self._paths: list[str] = []
        self._stop = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def acquire(self, folders: Sequence[str]) -> None:
        self._heart.start()
        # In one order for all builds: of two that want the same folders, one gets them all.
        created = [self._acquire(storage.join(folder, LOCK)) for folder in sorted(folders)]
        if not all(created):
            time.sleep(_SETTLE_SECONDS)
            for folder in folders:
                self.confirm(folder)

    def _acquire(self, path: str) -> bool:
        """Returns whether the lock was created, not taken over."""
        self._paths.append(path)  # before it is created, so that an interrupt leaves no lock
        while not storage.create(path, self._owner):
            # Released since, or taken over by another build: look again.
            with contextlib.suppress(FileNotFoundError, versioned.Changed):
                found, version = versioned.read(path)
                if found == self._owner:
                    break  # created by a request whose answer was lost
                _check_stale(path, found)
                versioned.replace(path, self._owner, version)
                return False
        return True

    def confirm(self, folder: str) -> None:
        """Raises CauldronError when another build has taken the lock over."""
        path = storage.join(folder, LOCK)
        if not self._held(path):
            raise CauldronError(f"{folder}: another build took over {path}; let it end, then rerun")

    def release(self) -> None:
        """Remove the locks that this process still holds."""
        self._stop.set()
        if self._heart.is_alive():
            self._heart.join()
        for path in self._paths:
            # A lock that cannot be removed becomes stale; it is no reason for a build to fail.
            with contextlib.suppress(Exception):
                if version := self._held(path):
                    versioned.remove(path, version)

    def _held(self, path: str) -> str | None:
        """The version of the lock; None if this process does not hold it."""
        try:
            found, version = versioned.read(path)
        except FileNotFoundError:
            return None
        return version if found == self._owner else None

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            for path in list(self._paths):
                # A failed heartbeat is made good by the next one, and `confirm` has the last word.
                with contextlib.suppress(Exception):
                    if version := self._held(path):
                        versioned.touch(path, self._owner, version)


def _here() -> dict[str, Any]:
    """This machine. Containers may share a host name, but not their process ids."""
    try:
        processes = os.readlink("/proc/self/ns/pid")
    except OSError:
        processes = ""
    return {"host": socket.gethostname(), "processes": processes}


def _check_stale(path: str, found: bytes) -> None:
    """Raises CauldronError, with the owner, when a lock with this content is not stale."""
    age = time.time() - storage.modified(path)
    owner: dict[str, Any] = {"host": "unknown", "pid": 0, "since": "just now"}
    with contextlib.suppress(ValueError):  # empty for a moment, while its owner creates it
        owner |= json.loads(found)
    here = _here().items() <= owner.items()
    if age > STALE_SECONDS or (here and not is_alive(owner["pid"])):
        return
    raise CauldronError(
        f"{path.rpartition('/')[0]}: process {owner['pid']} on {owner['host']} is building here "
        f"since {owner['since']} (last heartbeat {max(age, 0):.0f} s ago); "
        "wait until it has ended, or stop it, and run this again"
    )


def is_alive(pid: int) -> bool:
    """Whether a process of this machine is there, of whatever user."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True
