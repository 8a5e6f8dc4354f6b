"""How far a job is that finds out itself how much there is to do."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from cauldron.core.progress import Track

# How many parts are done, and of how many; None as long as nobody knows.
Count = Callable[[], tuple[int, int] | None]

_LEAST_SECONDS = 1.0
# Of a job's time between two looks: counting lists a folder, which may be large.
_SHARE = 0.05


@contextlib.contextmanager
def counted(step: str, count: Count, track: Track) -> Iterator[None]:
    """Tell from time to time what `count` says while the block runs."""
    stop = threading.Event()
    with track(step, 0):
        watcher = threading.Thread(target=_watch, args=(step, count, track, stop), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()


def _watch(step: str, count: Count, track: Track, stop: threading.Event) -> None:
    began, found = time.monotonic(), None

    def is_over() -> bool:
        return stop.wait(max(_LEAST_SECONDS, _SHARE * (time.monotonic() - began)))

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
