"""Parquet files: cut into pieces of row groups, and read row by row.

Planning finds files that cannot be opened or have other columns; each becomes one `BadRow`. Of a
source with very many files the reader finds them, as planning then opens none. In a row group that
cannot be decoded, the rows from the broken batch on are lost; reading continues with the next row
group. For memory see `cauldron.sources.formats.parquet_files`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pyarrow as pa
from cauldron.sources import base
from cauldron.sources.base import BadRow, Piece, missing_piece
from cauldron.sources.formats.parquet_files import (
    MOST_ROWS,
    Columns,
    ParquetError,
    batches_of,
    open_parquet,
    present,
    size_of,
    unreadable,
)
from cauldron.sources.formats.shards import Missing, Shards
from cauldron.sources.repos.files import FileInfo, Repo

from cauldron.core.errors import first_line
from cauldron.core.schema import Origin

PARQUET = "parquet"
# Reading footers means waiting for the disk or network, so more threads than cores help.
_SURVEYORS = 8
# Of a source with more files none is opened for planning, and each is a piece: so requests of the
# process that plans do not grow with the source. That many pieces are enough for any cluster.
_MOST_FOOTERS = 2_000
# No real row group holds more rows; a broken footer may claim any number.
_MOST_LISTED = 100_000


class ParquetRow(NamedTuple):
    """A row as Python values.

    Attributes:
        values: by column; columns that the file does not have are left out.
    """

    origin: Origin
    values: dict[str, Any]


class Group(NamedTuple):
    """A row group: rows, and compressed bytes of the columns that are read."""

    rows: int
    size: int


def parquet_pieces(
    source: str, repo: Repo, shards: Shards, columns: Columns, limit: int = -1, kind: str = PARQUET
) -> list[Piece]:
    """Cut shards into pieces of about `cauldron.sources.base.piece_bytes`, in reading order.

    A row group is never cut, so a piece may be larger. Every footer is read; with a `limit`, only
    those up to about the file that reaches it, and every piece says how many rows it stands for.
    Without one, each of more than `_MOST_FOOTERS` files is a piece.
    """
    if limit == 0:
        return []
    pieces: list[Piece] = []
    left = limit if limit >= 0 else sys.maxsize
    size = base.piece_bytes(
        sum(slot.size for slot in shards.slots if not isinstance(slot, Missing))
    )
    if limit < 0 and len(shards.slots) > _MOST_FOOTERS:
        return [
            missing_piece(source, slot)
            if isinstance(slot, Missing)
            else Piece(source, slot.path, kind, size=slot.size)
            for slot in shards.slots
        ]
    for slot, outcome in _surveyed(repo, shards, columns, limit):
        if isinstance(slot, Missing):
            pieces.append(missing_piece(source, slot))
        elif isinstance(outcome, ParquetError):
            rows = min(outcome.rows, left)
            problem = Piece(source, slot.path, kind, size=slot.size, limit=rows)
            pieces.append(problem._replace(reason=outcome.reason, message=outcome.message))
        else:
            pieces += _cut(Piece(source, slot.path, kind), outcome, size, left, limit >= 0)
        left -= _rows_of(outcome)
        if left <= 0:
            break
    return pieces


def read_parquet(repo: Repo, piece: Piece, columns: Columns) -> Iterator[ParquetRow | BadRow]:
    """The rows of a piece made by `parquet_pieces`; `origin.row` counts rows of the file."""
    try:
        with open_parquet(repo, piece.file, columns) as file:
            yield from _rows(file, piece, present(file, columns))
    except ParquetError as problem:
        # Of a file that was cut, each piece is found unreadable and counts as one row.
        rows = max(1, problem.rows) if (piece.start, piece.stop) == (0, -1) else 1
        origin = Origin(file=piece.file)
        yield BadRow(origin, problem.reason, problem.message, rows, whole_piece=True)


def _rows(file: Any, piece: Piece, names: list[str]) -> Iterator[ParquetRow | BadRow]:
    counts = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    first = sum(counts[: piece.start])
    left = piece.limit if piece.limit >= 0 else sys.maxsize
    stop = len(counts) if piece.stop < 0 else min(piece.stop, len(counts))
    for group in range(piece.start, stop):
        wanted = min(counts[group], left)
        row = first
        for batch in batches_of(file, group, names, wanted):
            origin = Origin(file=piece.file, row_group=group, row=row)
            if isinstance(batch, ParquetError):
                yield from _lost(origin, batch)
            else:
                yield from _values(batch, origin)
                row += batch.num_rows
        first += counts[group]
        left -= wanted
        if left <= 0:
            return


def _lost(origin: Origin, problem: ParquetError) -> Iterator[BadRow]:
    """A record for each row that is lost, from `origin` on."""
    if problem.rows > _MOST_LISTED:
        yield BadRow(origin, problem.reason, problem.message, min(problem.rows, MOST_ROWS))
        return
    for number in range(problem.rows):
        where = origin.model_copy(update={"row": origin.row + number})
        yield BadRow(where, problem.reason, problem.message)


def _values(batch: pa.RecordBatch, first: Origin) -> Iterator[ParquetRow | BadRow]:
    try:
        rows = _as_python(batch)
    except (ValueError, OverflowError, pa.ArrowException):
        # One text that is not UTF-8 fails the whole batch: find the rows that hold one.
        yield from _values_one_by_one(batch, first)
        return
    for number, values in enumerate(rows):
        yield ParquetRow(first.model_copy(update={"row": first.row + number}), values)


def _values_one_by_one(batch: pa.RecordBatch, first: Origin) -> Iterator[ParquetRow | BadRow]:
    for number in range(batch.num_rows):
        origin = first.model_copy(update={"row": first.row + number})
        try:
            values = _as_python(batch.slice(number, 1))[0]
        except (ValueError, OverflowError, pa.ArrowException) as error:
            yield BadRow(origin, "bad_row", f"a value cannot be read ({first_line(error)})")
        else:
            yield ParquetRow(origin, values)


def _as_python(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = batch.to_pylist()
    return rows


def _surveyed(
    repo: Repo, shards: Shards, columns: Columns, limit: int
) -> Iterator[tuple[FileInfo | Missing, list[Group] | ParquetError]]:
    """Each slot with its row groups. With a limit no file far beyond it is opened: first one alone,
    then as many at a time as are needed if they have as many rows as those before.
    """

    def survey(slot: FileInfo | Missing) -> list[Group] | ParquetError:
        return [] if isinstance(slot, Missing) else _survey(repo, slot.path, columns)

    slots = shards.slots
    with ThreadPoolExecutor(_SURVEYORS) as pool:
        if limit < 0:
            yield from zip(slots, pool.map(survey, slots), strict=True)
            return
        done = rows = 0
        while done < len(slots) and rows < limit:
            needed = -(-(limit - rows) * done // rows) if rows else 1
            ahead = slots[done : done + min(needed, _SURVEYORS)]
            for slot, outcome in zip(ahead, pool.map(survey, ahead), strict=True):
                yield slot, outcome
                rows += _rows_of(outcome)
            done += len(ahead)


def _rows_of(outcome: list[Group] | ParquetError) -> int:
    if isinstance(outcome, ParquetError):
        return max(0, outcome.rows)
    return sum(group.rows for group in outcome)


def _survey(repo: Repo, path: str, columns: Columns) -> list[Group] | ParquetError:
    try:
        with open_parquet(repo, path, columns) as file:
            names = present(file, columns)
            groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
            return [
                Group(group.num_rows, size_of(group, names, "total_compressed_size"))
                for group in groups
            ]
    except ParquetError as problem:
        return problem
    except Exception as error:
        return unreadable(error)


def _cut(
    whole: Piece, groups: list[Group], most: int, left: int, is_counted: bool
) -> Iterator[Piece]:
    """Runs of row groups of at most `most` bytes, or of one row group, up to `left` rows.

    Args:
        is_counted: give each piece its number of rows as its limit.
    """
    kept: list[Group] = []
    for group in groups:
        if left <= 0:
            break
        kept.append(Group(min(group.rows, left), group.size))
        left -= group.rows

    start = size = rows = 0
    for number, group in enumerate(kept):
        if number > start and size + group.size > most:
            yield whole._replace(
                start=start, stop=number, size=size, limit=rows if is_counted else -1
            )
            start, size, rows = number, 0, 0
        size += group.size
        rows += group.rows
    if kept:
        yield whole._replace(
            start=start, stop=len(kept), size=size, limit=rows if is_counted else -1
        )
