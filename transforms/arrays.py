"""Arrays: NumPy structured arrays as bytes in a shuffle and as parquet at rest.

A million records of 50 bytes as one bytes element costs a runner a millionth of what a million
elements cost. At rest the same records are parquet columns, so that DuckDB reads them too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from cauldron.core import storage

Array = npt.NDArray[np.void]

_ROW_GROUP_ROWS = 65_536


def from_bytes(pieces: Iterable[bytes], dtype: np.dtype[np.void]) -> Array:
    """One array from the raw bytes of many, in the order given."""
    return np.frombuffer(b"".join(pieces), dtype=dtype)


def split_by(records: Array, keys: npt.NDArray[Any]) -> Iterator[tuple[int, bytes]]:
    """Cut an array by key, each piece as raw bytes in the order of the array."""
    if not len(records):
        return
    order = np.argsort(keys, kind="stable")
    found, starts = np.unique(keys[order], return_index=True)
    for key, rows in zip(found, np.split(order, starts[1:]), strict=True):
        yield int(key), records[rows].tobytes()


def range_of(high: npt.NDArray[np.uint64], ranges: int) -> npt.NDArray[np.int64]:
    """Which of `ranges` equal ranges of 64-bit numbers each lies in, by its 32 leading bits."""
    return ((high >> np.uint64(32)) * np.uint64(ranges) >> np.uint64(32)).astype(np.int64)


def to_table(records: Array) -> pa.Table:
    """A column for each field; fields of several numbers become fixed-size binary."""
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
    """The inverse of `to_table`; columns that `dtype` lacks are left out."""
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
    """Write records as parquet; returns the file's entry for a manifest."""
    with storage.atomic_write(path) as file:
        pq.write_table(to_table(records), file, compression="zstd", row_group_size=_ROW_GROUP_ROWS)
    name = path.rpartition("/")[2]
    return {"name": name, "bytes": file.size, "sha256": file.sha256, "rows": len(records)}


def read_array(path: str, dtype: np.dtype[np.void]) -> Array:
    """Read what `write_array` wrote."""
    with storage.open_read(path) as file:
        return from_table(pq.read_table(file, columns=list(dtype.names or ())), dtype)
