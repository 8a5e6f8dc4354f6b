"""Progress of long commands: one bar on a terminal, lines anywhere else.

The bar is the last line of the terminal. It names the step that runs, and is empty and starts again
with each step, because nobody knows how long the steps after it take. Everything else is printed
above it: lines of the command, logs, Python's warnings. It is erased at the end, also after Ctrl-C.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TextIO

Say = Callable[[str], None]
# Takes a step's name and how many parts it has, 0 if unknown. The value of the context is told how
# many are done.
Track = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]

_COUNTED = (
    "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}]"
)
_UNCOUNTED = "{desc}: running for {elapsed}"
_REDRAW_SECONDS = 0.5
# Erases what a terminal echoes of Ctrl-C beside the bar.
_CLEAR_LINE = "\r\x1b[K"


@dataclass(frozen=True)
class Progress:
    """Where a command tells how far it is: in lines of text, and in parts of a step."""

    say: Say
    track: Track


def lines(say: Say) -> Track:
    """A `Track` that says how many parts are done, whenever there are more."""

    @contextlib.contextmanager
    def track(step: str, total: int) -> Iterator[Callable[[int], None]]:
        last = 0

        def move(done: int) -> None:
            nonlocal last
            if done > last:
                say(f"{step}: {done} of {total} written")
            last = done

        yield move

    return track


@contextlib.contextmanager
def silent(step: str, total: int) -> Iterator[Callable[[int], None]]:
    """A `Track` that says nothing."""
    yield lambda done: None


@contextlib.contextmanager
def shown(name: str, say: Say, track: Track | None = None) -> Iterator[Progress]:
    """The bar if standard error is a terminal.

    Args:
        name: of the command, until its first step begins.
        say: prints a line where there is no terminal.
        track: how progress is told there; in lines by default.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield Progress(say, track or lines(say))
        return
    # The bars of downloads would be drawn over this one. Read when huggingface_hub is imported.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    with _Bar(name, sys.stderr) as bar, _logs_above():
        yield Progress(bar.say, bar.track)


class _Bar:
    """A bar of tqdm that counts one step after the other."""

    def __init__(self, name: str, stream: TextIO) -> None:
        from tqdm import tqdm

        # tqdm's own lock is for several processes, and opens semaphores.
        tqdm.set_lock(threading.RLock())
        self._stream = stream
        self._bar: Any = tqdm(
            desc=name,
            file=stream,
            bar_format=_UNCOUNTED,
            unit=" parts",
            ncols=_width(stream),
            leave=False,
            miniters=1,
            mininterval=0,
        )
        self._closed = threading.Event()
        self._redraws = threading.Thread(target=self._redraw, daemon=True)

    def __enter__(self) -> _Bar:
        self._redraws.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._redraws.join()
        self._bar.close()
        self._stream.write(_CLEAR_LINE)
        self._stream.flush()

    def say(self, line: str) -> None:
        self._bar.write(line, file=self._stream)

    @contextlib.contextmanager
    def track(self, step: str, total: int) -> Iterator[Callable[[int], None]]:
        bar = self._bar
        with bar.get_lock():
            bar.total = total or None
            bar.bar_format = _COUNTED if total else _UNCOUNTED
            bar.set_description_str(step, refresh=False)
            bar.reset()

        def move(done: int) -> None:
            bar.update(done - bar.n)

        yield move
        move(total)

    def _redraw(self) -> None:
        """Keeps the time running, and follows the width of the terminal."""
        while not self._closed.wait(_REDRAW_SECONDS):
            self._bar.ncols = _width(self._stream)
            self._bar.refresh()


def _width(stream: TextIO) -> int:
    """Columns of the bar: those of the terminal, without room for the echo of Ctrl-C."""
    columns = os.get_terminal_size(stream.fileno()).columns or 80  # some terminals say 0
    return max(1, columns - len("^C "))


@contextlib.contextmanager
def _logs_above() -> Iterator[None]:
    """Logs and Python's warnings are printed above the bar."""
    from tqdm.contrib.logging import logging_redirect_tqdm

    logging.captureWarnings(True)
    try:
        with logging_redirect_tqdm([logging.root, logging.getLogger("huggingface_hub")]):
            yield
    finally:
        logging.captureWarnings(False)
