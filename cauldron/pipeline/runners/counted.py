"""How far a job is that finds out itself how much there is to do."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

from cauldron.core.progress import Track
from cauldron.pipeline.runners.watch import beside, pause

# How many parts are done, and of how many; None as long as nobody knows.
Count = Callable[[], tuple[int, int] | None]


@contextlib.contextmanager
def counted(step: str, count: Count, track: Track) -> Iterator[None]:
    """Tell from time to time what `count` says while the block runs."""
    with track(step, 0), beside(partial(_watch, step, count, track)):
        yield


def _watch(step: str, count: Count, track: Track, stop: threading.Event) -> None:
    began, found = time.monotonic(), None

    def is_over() -> bool:
        return stop.wait(pause(time.monotonic() - began))

    while found is None and not is_over():
        found = count()
    # A small job ends before the first look.
    found = found or count()
    if found is None:
        return  # it failed before it knew
    with track(step, found[1]) as move:
        while not is_over():
            if (now := count()) is not None:
                move(now[0])
