"""How far a job is: the number of its markers that exist.

Counting files works with every runner, and what is counted is really done. Looking for them lists
folders, so looks get rarer while a job runs: about 20 in its first 20 s, then one whenever the job
is 5 % older, which is 190 in a day. A look at n markers of f unfinished folders is about
f + n / 1,000 requests.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from cauldron.core import storage
from cauldron.core.progress import Track

_LEAST_SECONDS = 1.0
_SHARE = 0.05


def pause(age: float) -> float:
    """Seconds until the next look at a job of this age: a look lists folders, maybe large ones."""
    return max(_LEAST_SECONDS, _SHARE * age)


@contextlib.contextmanager
def beside(watch: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run `watch` in a thread while the block runs. It ends soon after its event is set, which is
    waited for."""
    stop = threading.Event()
    watcher = threading.Thread(target=watch, args=(stop,), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


@contextlib.contextmanager
def watched(step: str, markers: Sequence[str], track: Track) -> Iterator[None]:
    """Tell from time to time how many of `markers` exist while the block runs."""

    def watch(stop: threading.Event) -> None:
        began, left = time.monotonic(), _by_folder(markers)
        while left and not stop.wait(pause(time.monotonic() - began)):
            left = _unfinished(left)
            move(len(markers) - sum(map(len, left.values())))

    with track(step, len(markers)) as move, beside(watch):
        yield


def _by_folder(markers: Sequence[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for marker in markers:
        found.setdefault(marker.rpartition("/")[0], set()).add(marker)
    return found


def _unfinished(markers: dict[str, set[str]]) -> dict[str, set[str]]:
    """Those that do not exist, by folder; one listing for each folder."""
    left = {
        folder: paths.difference(storage.list_files(folder, ".json"))
        for folder, paths in markers.items()
    }
    return {folder: paths for folder, paths in left.items() if paths}
