"""Parquet files, opened so that damage becomes a `ParquetError` and any other failure does not.

Rows are decoded a few at a time; no row group is held whole. Memory holds a page, the format's
unit, up to three times. A page of images has 1,024 rows or one row group, whichever is less, and
`datasets` wrote row groups of 100 rows: 230 MB in cord-v2, under 50 MB in the other published sets.

A dictionary page holds each different value once, and rows refer to it. So a file of 0.9 MB may
decode to gigabytes: 1,024 rows with one picture. A batch therefore has so few rows that it stays
under `DECODED_BYTES` even if every row refers to a value as large as the dictionary.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from cauldron.sources.repos.files import Repo
from fsspec.implementations.local import LocalFileOpener

from cauldron.core.errors import first_line

# A batch of rows is about this large, decoded.
BATCH_BYTES = 16 * 1024 * 1024
BATCH_ROWS = 1024
# A batch is never larger than this, decoded, unless one row is. The footer says how large a
# dictionary may be, and how many values the rows have on average.
DECODED_BYTES = 64 * 1024 * 1024
# Bytes of one value beside its content: its place in a column or a list.
_VALUE_BYTES = 8
# What a codec makes of a dictionary page at most: nothing, or 64 bytes from 3. Others have no
# useful bound.
_EXPANSION = {"UNCOMPRESSED": 1, "SNAPPY": 22}
_PAGE_HEADER = 1024
# A broken footer may claim any number of rows; the quarantine counts in 32 bits.
MOST_ROWS = 2**31 - 1
# Each column chunk is read through a window of this size, so that small reads do not become
# requests; a page larger than it is read at once.
_WINDOW = 1024 * 1024
# Memory of a larger row group is freed before the next is read; for smaller ones that costs time
# and saves little.
_LARGE_GROUP = 64 * 1024 * 1024


class Columns(NamedTuple):
    """The columns to read.

    Attributes:
        required: a file without one of these has `wrong_columns`.
        optional: read if present; if none is required, at least one of these must be present.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


class ParquetError(Exception):
    """A whole file that cannot be read.

    Attributes:
        reason: a code of `cauldron.core.reasons`.
        rows: how many rows the file says it has, -1 if unknown.
    """

    def __init__(self, reason: str, message: str, rows: int = -1) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.rows = rows


@contextlib.contextmanager
def open_parquet(repo: Repo, path: str, columns: Columns) -> Iterator[Any]:
    """A `pyarrow.parquet.ParquetFile` that has the columns.

    Raises:
        ParquetError: ``unreadable_file`` or ``wrong_columns``.
    """
    with repo.open(path) as stream, _native(stream) as handle:
        try:
            file = pq.ParquetFile(handle, pre_buffer=False, buffer_size=_WINDOW)
            rows = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            present(file, columns)
        except Exception as error:
            raise unreadable(error) from error
        if min(rows, default=0) < 0 or sum(rows) != file.metadata.num_rows:
            raise ParquetError("unreadable_file", "the footer contradicts itself")
        _check_columns(file, columns, sum(rows))
        yield file


def is_corrupt(error: BaseException) -> bool:
    """Whether the file is damaged, rather than the disk, network or memory failing.

    Arrow reports damage as its own exceptions or as a plain OSError without an errno; errors of
    the machine have an errno or a class of their own.
    """
    if isinstance(error, MemoryError):
        return False
    if isinstance(error, pa.ArrowException | UnicodeDecodeError):
        return True
    return type(error) is OSError and error.errno is None


def unreadable(error: Exception) -> ParquetError:
    """The error of a damaged footer. Raises `error` itself unless the file is damaged."""
    if not is_corrupt(error):
        raise error
    return ParquetError("unreadable_file", f"not a whole parquet file ({first_line(error)})")


def batches_of(
    file: Any, group: int, names: Sequence[str], rows: int
) -> Iterator[pa.RecordBatch | ParquetError]:
    """The first `rows` rows of a row group, a few at a time.

    Ends with a `ParquetError` (`unreadable_row_group`) where the rest cannot be decoded.
    """
    metadata = file.metadata.row_group(group)
    size = size_of(metadata, names, "total_uncompressed_size")
    step = max(1, min(rows, batch_rows(metadata, names)))
    batches = file.iter_batches(step, row_groups=[group], columns=list(names), use_threads=False)
    batch: Any = None
    done = 0
    while done < rows:
        try:
            batch = next(batches, None)
        except Exception as error:
            if not is_corrupt(error):
                raise
            yield ParquetError(
                "unreadable_row_group", f"row group {group}: {first_line(error)}", rows - done
            )
            return
        if batch is None:
            message = f"row group {group} ends after {done} rows"
            yield ParquetError("unreadable_row_group", message, rows - done)
            return
        batch = batch.slice(0, rows - done)
        done += batch.num_rows
        yield batch
    if size > _LARGE_GROUP:
        batch = batches = None
        pa.default_memory_pool().release_unused()


def batch_rows(row_group: Any, names: Sequence[str]) -> int:
    """How many rows of the columns to decode at a time: at least one, at most `BATCH_ROWS`."""
    rows: int = row_group.num_rows
    size = max(1, size_of(row_group, names, "total_uncompressed_size"))
    at_worst = max(1, sum(_decoded_at_worst(chunk) for chunk in _chunks(row_group, names)))
    return max(1, min(BATCH_ROWS, BATCH_BYTES * rows // size, DECODED_BYTES * rows // at_worst))


def size_of(row_group: Any, names: Sequence[str], attribute: str) -> int:
    return sum(max(0, getattr(chunk, attribute)) for chunk in _chunks(row_group, names))


def _chunks(row_group: Any, names: Sequence[str]) -> Iterator[Any]:
    """The parts of columns, or of single leaves of columns, in a row group."""
    for number in range(row_group.num_columns):
        chunk = row_group.column(number)
        path = chunk.path_in_schema
        if path in names or path.split(".")[0] in names:
            yield chunk


def _decoded_at_worst(chunk: Any) -> int:
    """Bytes of a chunk, decoded, if every value is as large as its dictionary."""
    size: int = max(0, chunk.total_uncompressed_size)
    values: int = max(0, chunk.num_values)
    encoded = any("DICTIONARY" in encoding for encoding in chunk.encodings)
    if chunk.physical_type != "BYTE_ARRAY" or not encoded:
        return size + values * _VALUE_BYTES
    largest, expansion = size, _EXPANSION.get(chunk.compression)
    if chunk.has_dictionary_page and expansion is not None:
        compressed: int = chunk.data_page_offset - chunk.dictionary_page_offset
        if compressed > 0:
            largest = min(size, compressed * expansion + _PAGE_HEADER)
    return values * (largest + _VALUE_BYTES) + size


def present(file: Any, columns: Columns) -> list[str]:
    there = file.schema_arrow.names
    return [name for name in columns.required + columns.optional if name in there]


def _check_columns(file: Any, columns: Columns, rows: int) -> None:
    there = file.schema_arrow.names
    lacking = [name for name in columns.required if there.count(name) != 1]
    if not lacking and present(file, columns):
        return
    wanted = ", ".join(lacking or columns.optional)
    has = ", ".join(there[:8]) or "none"
    message = f"has no column {wanted}; its columns: {has}"
    raise ParquetError("wrong_columns", message, min(rows, MOST_ROWS))


@contextlib.contextmanager
def _native(stream: BinaryIO) -> Iterator[Any]:
    """A local file opened by Arrow itself: through Python each page is copied once more."""
    if not isinstance(stream, LocalFileOpener):
        yield stream
        return
    with pa.OSFile(stream.path) as file:
        yield file
