"""Files of JSON objects, as lines or as an array: cut into pieces and read.

The first bytes tell the format, not the name: JSON lines come as ``.json`` and arrays as
``.jsonl``. Lines are cut into byte ranges. An array, or an object that wraps one, is one piece,
because elements can only be found from its beginning.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Literal

from cauldron.sources import base
from cauldron.sources.base import BadRow, Piece
from cauldron.sources.formats.jsonarray import JsonText, read_array
from cauldron.sources.formats.jsonlines import (
    MAX_LINE,
    JsonRow,
    count_lines,
    cut_lines,
    read_lines,
)
from cauldron.sources.repos.files import FileInfo, Repo

Form = Literal["json_lines", "json_array", "empty"]
LINES: Form = "json_lines"
ARRAY: Form = "json_array"
EXTENSIONS = (".json", ".jsonl", ".ndjson")


def json_pieces(
    source: str, repo: Repo, file: FileInfo, limit: int = -1, piece_bytes: int | None = None
) -> list[Piece]:
    """Pieces of one file, at most `limit` rows in all (-1: all of them).

    Args:
        piece_bytes: about the size of a piece of lines; None:
            `cauldron.sources.base.PIECE_BYTES`.
    """
    if limit == 0:
        return []
    kind = form_of(repo, file.path)
    if kind == "empty":
        message = "the file is empty"
        return [Piece(source, file.path, LINES, reason="unreadable_file", message=message)]
    if kind == ARRAY:
        return [Piece(source, file.path, ARRAY, size=file.size, limit=limit)]
    ranges = cut_lines(file.size, piece_bytes or base.PIECE_BYTES)
    pieces = [Piece(source, file.path, LINES, a, b, b - a) for a, b in ranges]
    return pieces if limit < 0 else _first_rows(repo, pieces, limit)


def _first_rows(repo: Repo, pieces: list[Piece], limit: int) -> list[Piece]:
    """The pieces that hold the first `limit` rows; reads only those rows."""
    result = []
    for piece in pieces:
        with repo.open(piece.file) as file:
            rows = count_lines(file, piece.start, piece.stop, limit)
        if rows:
            result.append(piece._replace(limit=rows))
        limit -= rows
        if limit <= 0:
            break
    return result


def form_of(repo: Repo, path: str) -> Form:
    """The format of a file, from its first bytes."""
    with repo.open(path) as file:
        text = JsonText(file)
        if text.peek() == "":
            return "empty"
        return ARRAY if text.enter_array() else LINES


def read_json(
    repo: Repo, piece: Piece, names: Collection[str], max_line: int = MAX_LINE
) -> Iterator[JsonRow | BadRow]:
    """The rows of a piece made by `json_pieces`; for `names` see `read_array`.

    Args:
        max_line: bytes of a line; a longer one is ``bad_json`` and never held in memory.
    """
    with repo.open(piece.file) as file:
        if piece.kind == ARRAY:
            rows = read_array(file, piece.file, names)
        else:
            rows = read_lines(file, piece.file, piece.start, piece.stop, max_line)
        yield from islice(rows, piece.limit if piece.limit >= 0 else None)
