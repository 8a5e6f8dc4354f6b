"""NumPy structured arrays: as bytes in a shuffle, as parquet on disk.

One element of a million records costs a runner far less than a million elements. On disk the fields
are parquet columns, which DuckDB can read.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from cauldron.core import storage
from cauldron.core.stores.hashing import HashingWriter

Array = npt.NDArray[np.void]

_ROW_GROUP_ROWS = 65_536


def from_bytes(pieces: Iterable[bytes], dtype: np.dtype[np.void]) -> Array:
    """One array from the bytes of several, in the given order."""
    return np.frombuffer(b"".join(pieces), dtype=dtype)


def copy_fields(records: Array, to: Array) -> None:
    """Copy the fields that two arrays have in common."""
    for name in to.dtype.names or ():
        if name in (records.dtype.names or ()):
            to[name] = records[name]


def starts(records: Array, *names: str) -> npt.NDArray[np.bool_]:
    """Which records of a sorted array differ from the one before in any of the named fields."""
    new = np.ones(len(records), dtype=bool)
    new[1:] = np.any([records[name][1:] != records[name][:-1] for name in names], axis=0)
    return new


def split_by(records: Array, keys: npt.NDArray[Any]) -> Iterator[tuple[int, bytes]]:
    """Split an array by key; each piece is raw bytes, in the order of the array."""
    if not len(records):
        return
    order = np.argsort(keys, kind="stable")
    found, starts = np.unique(keys[order], return_index=True)
    for key, rows in zip(found, np.split(order, starts[1:]), strict=True):
        yield int(key), records[rows].tobytes()


def range_of(high: npt.NDArray[np.uint64], ranges: int) -> npt.NDArray[np.int64]:
    """The number of the range that each 64-bit number is in, of `ranges` equal ranges."""
    # The 32 leading bits are enough, and their product does not overflow.
    return ((high >> np.uint64(32)) * np.uint64(ranges) >> np.uint64(32)).astype(np.int64)


def to_table(records: Array) -> pa.Table:
    """A table with a column per field; fields of several numbers become fixed-size binary."""
    columns: dict[str, Any] = {}
    assert records.dtype.names is not None
    for name in records.dtype.names:
        values = records[name]
        if values.ndim > 1:
            width = values.dtype.itemsize * values.shape[1]
            buffer = pa.py_buffer(np.ascontiguousarray(values).tobytes())
            columns[name] = pa.Array.from_buffers(pa.binary(width), len(values), [None, buffer])
        else:
            columns[name] = pa.array(np.ascontiguousarray(values))
    return pa.table(columns)


def from_table(table: pa.Table, dtype: np.dtype[np.void]) -> Array:
    """The inverse of `to_table`, for the columns that `dtype` has."""
    records = np.zeros(table.num_rows, dtype=dtype)
    assert dtype.names is not None
    for name in dtype.names:
        column = table[name].combine_chunks()
        if pa.types.is_fixed_size_binary(column.type):
            flat = np.frombuffer(column.buffers()[1], dtype=dtype[name].base)
            start = column.offset * dtype[name].shape[0]
            size = len(column) * dtype[name].shape[0]
            records[name] = flat[start : start + size].reshape(records[name].shape)
        else:
            records[name] = column.to_numpy(zero_copy_only=False)
    return records


def write_array(path: str, records: Array) -> dict[str, Any]:
    """Write records as parquet; returns the file's entry in a manifest."""
    with storage.atomic_write(path) as file:
        write_groups(file, (to_table(records[rows]) for rows in groups(len(records))))
    return file.entry(path.rpartition("/")[2], len(records))


def groups(rows: int) -> Iterator[slice]:
    """The rows of each row group, at least one. One is a table at a time, because columns of all
    would take as much memory as the records once more."""
    for start in range(0, max(1, rows), _ROW_GROUP_ROWS):
        yield slice(start, start + _ROW_GROUP_ROWS)


def write_groups(file: HashingWriter, tables: Iterable[pa.Table]) -> None:
    """Write tables of one schema as parquet, each as a row group."""
    first = next(tables := iter(tables))
    with pq.ParquetWriter(file, first.schema, compression="zstd") as writer:
        for table in itertools.chain([first], tables):
            writer.write_table(table, row_group_size=max(1, table.num_rows))


def read_array(path: str, dtype: np.dtype[np.void]) -> Array:
    """Read a file that `write_array` wrote."""
    with storage.open_read(path) as file:
        return from_table(pq.read_table(file, columns=list(dtype.names or ())), dtype)
