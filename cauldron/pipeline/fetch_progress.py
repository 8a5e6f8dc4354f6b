"""The progress line of fetching: images and bytes a second, success by reason, time left."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from cauldron.core import storage
from cauldron.core.progress import Say
from cauldron.transforms.fetching.pipeline import TOTAL
from cauldron.transforms.fetching.tally import Progress, read_tallies

_SECONDS = 10.0
_REASONS = 3


@dataclass
class FetchProgress:
    """Counts what the workers have fetched, and says a line from time to time.

    Attributes:
        folder: of the workers' tallies.
    """

    folder: str
    say: Say
    _last: tuple[float, Progress] = field(default_factory=lambda: (time.monotonic(), Progress()))

    def __call__(self) -> tuple[int, int] | None:
        """How many URLs are done, and of how many; None while they are being listed."""
        try:
            total = int(storage.read_json(storage.join(self.folder, TOTAL)))
        except FileNotFoundError:
            return None
        now, progress = time.monotonic(), read_tallies(self.folder)
        before, last = self._last
        if now - before >= _SECONDS and progress.answered > last.answered:
            self.say(f"fetch: {line(progress, last, now - before, total)}")
            self._last = now, progress
        return progress.done, total


def line(progress: Progress, last: Progress, seconds: float, total: int) -> str:
    """E.g. ``210 images/s, 10.5 MB/s, 91.2 % fetched (http_not_found 12), 41 min left``.

    Args:
        last: `seconds` ago.
        total: URLs that are wanted.
    """
    rate = (progress.answered - last.answered) / seconds
    fetched = (progress.fetched - last.fetched) / seconds
    size = (progress.bytes - last.bytes) / seconds
    share = progress.fetched / max(1, progress.answered)
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in progress.failed.most_common(_REASONS))
    failed = f" ({reasons})" if reasons else ""
    left = (total - progress.done) / rate if rate else 0.0
    return (
        f"{fetched:,.0f} images/s, {size / 1e6:,.1f} MB/s, {share:.1%} fetched{failed}, "
        f"{_duration(left)} left"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
