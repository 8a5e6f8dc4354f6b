"""How ranks report a failed run and end their processes.

All ranks may fail in the same way (a missing model, a loss that is not finite), or one rank fails
while the others wait for it inside a collective. Another collective would hang too, so each rank
writes its failure to the store and waits a few seconds for those of the others. A failure of all
ranks is reported by the first one, any other by its own rank, with its number. A rank that failed
only because it lost another one reports nothing if that one did.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NoReturn, Protocol

from cauldron.core.errors import CauldronError

WAIT_SECONDS = 10.0
_INTERRUPTED = 130


class Store(Protocol):
    """The part of torch.distributed.Store that is used here."""

    def set(self, key: str, value: str, /) -> None: ...

    def get(self, key: str, /) -> bytes: ...

    def check(self, keys: list[str], /) -> bool: ...

    def add(self, key: str, amount: int, /) -> int: ...


@dataclass(frozen=True)
class Failure:
    """Why a rank ends.

    Attributes:
        text: one line for an expected error, else a traceback.
        code: exit code of the process.
    """

    text: str
    code: int
    expected: bool

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        if isinstance(error, CauldronError):
            return cls(str(error), error.exit_code, True)
        if isinstance(error, OSError):
            return cls(str(error), 1, True)
        if isinstance(error, KeyboardInterrupt):
            return cls("interrupted", _INTERRUPTED, True)
        return cls("".join(traceback.format_exception(error)).rstrip(), 1, False)


def message_for(failure: Failure, rank: int, world: int, store: Store) -> str | None:
    """The message that this rank prints; None if another rank reports the failure."""
    try:
        found = _all_failures(failure, rank, world, store)
    except RuntimeError:
        # Without torchrun the store ends with the first rank, which has ended.
        if not failure.expected:
            return f"rank {rank}: the first rank is gone ({failure.text.splitlines()[-1]})"
        found = {rank: failure}
    others = [other for at, other in found.items() if at != rank]
    if not failure.expected and any(other.expected for other in others):
        return None
    if len(found) == world and all(other.text == failure.text for other in others):
        return failure.text if rank == 0 else None
    if rank != 0 and 0 in found and found[0].text == failure.text:
        return None
    return f"rank {rank}: {failure.text}"


def _all_failures(failure: Failure, rank: int, world: int, store: Store) -> dict[int, Failure]:
    """The failures by rank, once every rank has failed or `WAIT_SECONDS` have passed."""
    keys = [f"failed/{at}" for at in range(world)]
    store.set(keys[rank], json.dumps(asdict(failure)))
    _wait(lambda: store.check(keys))
    found = {
        at: Failure(**json.loads(store.get(key)))
        for at, key in enumerate(keys)
        if store.check([key])
    }
    read = store.add("failures read", 1)
    if rank == 0 and read < len(found):
        # Without torchrun the store ends with this process, so the others must have read it.
        _wait(lambda: store.add("failures read", 0) >= len(found))
    return found


def _wait(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not ready() and time.monotonic() < end:
        time.sleep(0.05)


def end(
    error: BaseException, rank: int, world: int, store: Store, say: Callable[[str], None]
) -> NoReturn:
    """Report the failure and end the process at once.

    The thread that writes a checkpoint may be waiting for a rank that has ended, and an ordinary
    exit waits for threads.
    """
    failure = Failure.of(error)
    text = message_for(failure, rank, world, store)
    if text is not None:
        say(f"cauldron: {text}")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(failure.code)
