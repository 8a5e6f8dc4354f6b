"""JSON lines, read by byte ranges: one object per line, streamed, memory bounded by one line.

A line belongs to the range in which it starts, so adjoining ranges cover every line exactly once.
Blank lines are not rows. A line longer than the limit is skipped and never held in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, BinaryIO, NamedTuple

from cauldron.sources.base import BadRow

from cauldron.core.schema import Origin

MAX_LINE = 64 * 1024 * 1024  # bytes of one line, or of one element of a JSON array
_CHUNK = 1024 * 1024
BOM = b"\xef\xbb\xbf"


class JsonRow(NamedTuple):
    """One JSON object and its place.

    Attributes:
        origin: its `row` is the byte offset of the line, or the index in a JSON array.
    """

    origin: Origin
    value: dict[str, Any]


class JsonError(ValueError):
    """Bytes that are not JSON; the message says why, for a quarantine record."""


def parse_json(data: bytes) -> Any:
    """Decode one JSON value; NaN and infinities are accepted.

    Raises:
        JsonError: not UTF-8, not JSON, or nested deeper than the interpreter allows.
    """
    try:
        return json.loads(data.decode())
    except UnicodeDecodeError as error:
        raise JsonError(f"not UTF-8 at byte {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise JsonError(f"{error}") from error


def cut_lines(size: int, piece_bytes: int) -> list[tuple[int, int]]:
    """Byte ranges (start, stop) of about `piece_bytes` that cover a file of `size` bytes."""
    count = max(1, round(size / max(1, piece_bytes)))
    edges = [size * number // count for number in range(count + 1)]
    return list(pairwise(edges))


def read_lines(
    file: BinaryIO, path: str, start: int = 0, stop: int = -1, max_line: int = MAX_LINE
) -> Iterator[JsonRow | BadRow]:
    """The objects on the lines that start in bytes [start, stop); `stop` -1 is the file's end."""
    for offset, data in iter_lines(file, start, stop, max_line):
        yield _row_of(path, offset, data, max_line)


def _row_of(path: str, offset: int, data: bytes | None, max_line: int) -> JsonRow | BadRow:
    origin = Origin(file=path, row=offset)
    if data is None:
        return BadRow(origin, "bad_json", f"the line is longer than {max_line} bytes")
    try:
        value = parse_json(data)
    except JsonError as error:
        return BadRow(origin, "bad_json", str(error))
    if not isinstance(value, dict):
        return BadRow(origin, "bad_row", f"the line is {kind_of(value)}, not an object")
    return JsonRow(origin, value)


def count_lines(file: BinaryIO, start: int, stop: int, limit: int) -> int:
    """How many rows start in bytes [start, stop), counting no further than `limit`."""
    count = 0
    if limit > 0:
        for _ in iter_lines(file, start, stop):
            count += 1
            if count == limit:
                break
    return count


def iter_lines(
    file: BinaryIO, start: int = 0, stop: int = -1, max_line: int = MAX_LINE
) -> Iterator[tuple[int, bytes | None]]:
    """(byte offset, line without its end) of the lines that are not blank; None: too long."""
    # One byte early, because a line begins at `start` only after a line end.
    at = max(start - 1, 0)
    file.seek(at)
    offset = at  # of the current line
    parts: list[bytes] = []
    held = 0
    ours = start == 0  # False while inside a line that began before `start`
    while chunk := file.read(_CHUNK):
        begin = 0
        while (end := chunk.find(b"\n", begin)) >= 0:
            if ours and (line := _finish(parts, held, chunk[begin:end], max_line, offset)) != b"":
                yield offset, line
            begin, offset = end + 1, at + end + 1
            parts, held, ours = [], 0, True
            if 0 <= stop <= offset:
                return
        held += len(chunk) - begin
        if not ours or held > max_line:
            parts = []  # skip to the end of this line
        else:
            parts.append(chunk[begin:])
        at += len(chunk)
    if ours and (line := _finish(parts, held, b"", max_line, offset)) != b"":
        yield offset, line


def _finish(parts: list[bytes], held: int, last: bytes, max_line: int, offset: int) -> bytes | None:
    """The whole line; None if it is too long, b"" if it is blank."""
    if held + len(last) > max_line:
        return None
    line = b"".join([*parts, last]) if parts else last
    if offset == 0 and line.startswith(BOM):
        line = line[len(BOM) :]
    return line.strip(b" \t\r")


def kind_of(value: Any) -> str:
    """The JSON name of a value's type."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")
