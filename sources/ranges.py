"""A remote file that is read by range, with few requests and few bytes that nobody asked for."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# The first read-ahead. pyarrow reads as much for a parquet footer, and the directory of a zip of a
# few hundred members fits; at 500 Mbit/s it costs 1 ms, a tenth of a request's latency.
SMALLEST = 64 * 1024
# Sequential reads double the read-ahead up to this, where latency is under a tenth of the transfer.
LARGEST = 8 * 1024 * 1024

Fetch = Callable[[int, int], bytes]


class ShortReadError(OSError):
    """An answer has another length than requested: a cut connection, or a changed file."""


def retry(
    call: Callable[[], T], delay: Callable[[Exception, int], float | None], attempts: int
) -> T:
    """Call until it works.

    Args:
        call: called up to `attempts` times.
        delay: takes an error and the number of failures so far; returns the seconds to wait before
            the next attempt, or None if another attempt cannot help.

    Raises:
        Exception: the last error.
    """
    for attempt in range(1, attempts):
        try:
            return call()
        except Exception as error:
            seconds = delay(error, attempt)
            if seconds is None:
                raise
        time.sleep(seconds)
    return call()


class RangeReader(io.BufferedIOBase):
    """A seekable binary file over ``fetch(start, stop)``.

    A large read fetches exactly its range. Small reads come from a buffer whose read-ahead starts
    at `SMALLEST` and doubles as long as reads are sequential, so that lines, tar members and zip
    members stream, and a seek costs one small request. A read near the end fetches the whole end:
    a zip's directory and a parquet footer take one request.

    Args:
        name: for error messages.
        size: bytes of the file.
        fetch: returns exactly the bytes in ``[start, stop)`` or raises.
    """

    def __init__(self, name: str, size: int, fetch: Fetch) -> None:
        self.name = name
        self.size = size
        self._fetch = fetch
        self._position = 0
        self._buffer = memoryview(b"")
        self._start = 0  # position in the file of the buffer
        self._ahead = SMALLEST

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"{self.name}: cannot seek to {base + offset}")
        self._position = base + offset
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        self._check_open()
        left = max(0, self.size - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        data = bytes(self._buffered(wanted))
        self._position += len(data)
        missing = wanted - len(data)
        if not missing:
            return data
        self._look_ahead()
        if missing >= self._ahead:
            rest = self._get(self._position, self._position + missing)
            self._keep(b"", self._position + missing)
        else:
            self._fill(missing)
            rest = bytes(self._buffered(missing))
        self._position += missing
        return data + rest if data else rest

    def read1(self, size: int = -1, /) -> bytes:
        return self.read(SMALLEST if size < 0 else size)

    def peek(self, size: int = 0, /) -> bytes:
        """The buffered bytes from here on, at least one unless at the end; `readline` uses it."""
        self._check_open()
        if not len(self._buffered(1)) and self._position < self.size:
            self._look_ahead()
            self._fill(1)
        return bytes(self._buffered(max(size, io.DEFAULT_BUFFER_SIZE)))

    def prefetch(self, length: int) -> None:
        """Fetch the next `length` bytes in one request, unless they are buffered already."""
        self._check_open()
        length = min(length, self.size - self._position)
        if length > 0 and len(self._buffered(length)) < length:
            self._keep(self._get(self._position, self._position + length), self._position)

    def _buffered(self, size: int) -> memoryview:
        offset = self._position - self._start
        return self._buffer[offset : offset + size] if offset >= 0 else memoryview(b"")

    def _look_ahead(self) -> None:
        end = self._start + len(self._buffer)
        straight_on = self._position == end and end > 0
        self._ahead = min(self._ahead * 2, LARGEST) if straight_on else SMALLEST

    def _fill(self, needed: int) -> None:
        start = self._position
        stop = min(self.size, start + max(needed, self._ahead))
        if stop == self.size and self._ahead == SMALLEST:
            start = min(start, max(0, self.size - SMALLEST))
        self._keep(self._get(start, stop), start)

    def _keep(self, data: bytes, start: int) -> None:
        self._buffer, self._start = memoryview(data), start

    def _get(self, start: int, stop: int) -> bytes:
        data = self._fetch(start, stop)
        if len(data) != stop - start:
            got = f"wanted {stop - start} bytes at {start}, got {len(data)}"
            raise ShortReadError(f"{self.name}: {got}")
        return data

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("read of a closed file")
