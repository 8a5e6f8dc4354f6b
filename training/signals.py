"""SIGTERM, remembered: a scheduler takes the machine back, and the run saves itself first.

Installed before torch is imported, which takes 4 s here and more on a cold disk: a signal in that
time would end the process.
"""

from __future__ import annotations

import signal
from types import FrameType


class StopRequest:
    """Whether SIGTERM came. One at a time listens, from the main thread."""

    def __init__(self) -> None:
        self.came = False

    def listen(self) -> None:
        signal.signal(signal.SIGTERM, self._take)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.came = True
