"""What ranks say when a run fails, and how their processes end.

All may meet the same mistake (no such model, a loss that blew up) or one alone, while the others
wait for it inside a collective. One more collective would wait with them, so each rank leaves a
note of what it met and looks for the others' a few seconds long: what all met, the first tells;
what others did not meet, the rank tells itself, with its number. A rank that only lost another
says nothing where that one told why.
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

PATIENCE = 10.0
_INTERRUPTED = 130


class Notes(Protocol):
    """What a torch.distributed Store can do that is needed here."""

    def set(self, key: str, value: str, /) -> None: ...

    def get(self, key: str, /) -> bytes: ...

    def check(self, keys: list[str], /) -> bool: ...

    def add(self, key: str, amount: int, /) -> int: ...


@dataclass(frozen=True)
class Failure:
    """Why a rank ends.

    Attributes:
        text: one line where it was to be expected, else a traceback.
        code: of the process.
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


def told(failure: Failure, rank: int, world: int, notes: Notes) -> str | None:
    """What this rank is to say; None where another one says it."""
    try:
        found = _noted(failure, rank, world, notes)
    except RuntimeError:
        # The notes are torchrun's, or else the first rank's: it is gone, and took this one along.
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


def _noted(failure: Failure, rank: int, world: int, notes: Notes) -> dict[int, Failure]:
    """All failures, by rank, that are there once every rank has failed, or after a while."""
    keys = [f"failed/{at}" for at in range(world)]
    notes.set(keys[rank], json.dumps(asdict(failure)))
    _wait(lambda: notes.check(keys))
    found = {
        at: Failure(**json.loads(notes.get(key)))
        for at, key in enumerate(keys)
        if notes.check([key])
    }
    read = notes.add("failures read", 1)
    if rank == 0 and read < len(found):
        # Without torchrun the notes end with this process.
        _wait(lambda: notes.add("failures read", 0) >= len(found))
    return found


def _wait(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not ready() and time.monotonic() < end:
        time.sleep(0.05)


def end(
    error: BaseException, rank: int, world: int, notes: Notes, say: Callable[[str], None]
) -> NoReturn:
    """Tell what is to be told and end the process, whatever still waits in it.

    The thread that writes a checkpoint may be waiting for a rank that is gone, and an ordinary
    exit waits for threads.
    """
    failure = Failure.of(error)
    text = told(failure, rank, world, notes)
    if text is not None:
        say(f"cauldron: {text}")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(failure.code)
