"""The arrays that matching keeps on disk: read a part at a time, joined, cut, written.

Verdicts and occurrences are read a row group at a time, so that a logo in a million rows takes no
more memory than any other picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from cauldron.transforms.arrays import Array, from_table, read_array, split_by
from cauldron.transforms.compiled import compiled
from cauldron.transforms.matching.records import (
    BENCHMARK,
    OCCURRENCE,
    CurationJob,
    MatchJob,
)
from cauldron.transforms.pictures.signatures import is_blank

from cauldron.core import storage

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# A picture that a benchmark shows.
BENCHMARK_PICTURE = np.dtype([("number", "<u8"), ("kind", "u1")])

# Identifies an image of a row.
ROW_FIELDS = ("source", "part", "row", "image", "id_high", "id_low")

_KIND = np.dtype([("kind", "u1"), ("ground", "u1")])
_KEYS = ("key_high", "key_low")
_OCCURRENCE = np.dtype([(name, OCCURRENCE[name]) for name in (*_KEYS, *ROW_FIELDS)])
# Runners refuse large elements.
_PIECE_BYTES = 8 * 1024 * 1024


def starts(records: Array, *names: str) -> Flags:
    """Where one of the fields differs from the record before; true for the first record."""
    new = np.ones(len(records), dtype=bool)
    new[1:] = np.any([records[name][1:] != records[name][:-1] for name in names], axis=0)
    return new


def is_in(numbers: U64, found: U64) -> Flags:
    """Whether each number is in `found`, which is sorted."""
    if not len(found):
        return np.zeros(len(numbers), dtype=bool)
    places = np.minimum(np.searchsorted(found, numbers), len(found) - 1)
    result: Flags = found[places] == numbers
    return result


def equal_pairs(left: U64, right: U64) -> tuple[I64, I64]:
    """The places of every two equal numbers, ordered by place in `left`; `right` is sorted."""
    start = np.searchsorted(right, left, side="left")
    count = np.searchsorted(right, left, side="right") - start
    place, within = repeated(count)
    return place, start[place] + within


def repeated(count: npt.NDArray[Any]) -> tuple[I64, I64]:
    """Each place as often as `count` says, and 0, 1, ... within each place."""
    place = np.repeat(np.arange(len(count)), count)
    return place, np.arange(len(place)) - np.repeat(np.cumsum(count) - count, count)


@compiled
def _join(first: I64, second: I64, parent: I64) -> None:
    for edge in range(len(first)):
        a, b = first[edge], second[edge]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a < b:
            parent[b] = a
        else:
            parent[a] = b
    # No parent is larger than its child.
    for vertex in range(len(parent)):
        parent[vertex] = parent[parent[vertex]]


def smallest_of_component(first: I64, second: I64, vertices: int) -> I64:
    """For each of the vertices 0, 1, ... the smallest one of its component."""
    parent = np.arange(vertices)
    _join(np.ascontiguousarray(first), np.ascontiguousarray(second), parent)
    return parent


def cut_by(records: Array, keys: npt.NDArray[Any]) -> Iterator[tuple[int, bytes]]:
    """`split_by`, in pieces of bounded size."""
    step = _PIECE_BYTES // records.itemsize * records.itemsize
    for key, data in split_by(records, keys):
        for start in range(0, len(data), step):
            yield key, data[start : start + step]


def by_part(images: Array) -> Iterator[tuple[int, bytes]]:
    """Images split by the corpus part that holds their rows: ``source << 32 | part``."""
    return split_by(images, images["source"].astype(np.int64) << 32 | images["part"])


def row_groups(path: str, dtype: np.dtype[np.void]) -> Iterator[Array]:
    """The records of a file, a row group at a time."""
    with storage.open_read(path) as source:
        file = pq.ParquetFile(source)
        for group in range(file.num_row_groups):
            yield from_table(file.read_row_group(group, list(dtype.names or ())), dtype)


def read_pictures(numbers: U64, number: int, job: MatchJob, dtype: np.dtype[np.void]) -> Array:
    """Some fields of pictures of a range, in the order of `numbers`."""
    places = (numbers & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return read_array(job.pictures(number), dtype)[places]


def occurrences_of(wanted: U64, number: int, job: MatchJob) -> Iterator[tuple[U64, Array]]:
    """The images that show some pictures of a range.

    Args:
        wanted: numbers of the pictures, sorted.

    Yields:
        picture numbers and occurrences, a row group of the file at a time.
    """
    last, picture = None, -1
    for images in row_groups(job.occurrences(number), _OCCURRENCE):
        if not len(images):
            continue
        new = starts(images, *_KEYS)
        new[0] = images[0][list(_KEYS)].tolist() != last
        # Pictures are numbered in the order of their keys, and occurrences are sorted by key.
        places = picture + np.cumsum(new)
        last, picture = images[-1][list(_KEYS)].tolist(), int(places[-1])
        numbers = places.astype(np.uint64) + np.uint64(number << 32)
        rows = is_in(numbers, wanted)
        if rows.any():
            yield numbers[rows], images[rows]


def _read_benchmarks(element: int, job: MatchJob) -> Iterator[bytes]:
    read = read_array(job.pictures(element), _KIND)
    kinds = read["kind"]
    places = np.flatnonzero((kinds & BENCHMARK != 0) & ~is_blank(read["ground"]))
    pictures = np.zeros(len(places), dtype=BENCHMARK_PICTURE)
    pictures["number"] = places + (element << 32)
    pictures["kind"] = kinds[places]
    yield pictures.tobytes()


def benchmark_pictures(ranges: beam.PCollection[int], job: MatchJob) -> Any:
    """A side input of packed `BENCHMARK_PICTURE` records, from the numbers of all ranges.

    Without blank pictures, which leak nothing. Benchmarks are small: every worker can hold 9 bytes
    for each of their pictures.
    """
    read = beam.FlatMap(_read_benchmarks, job).with_output_types(bytes)
    return beam.pvalue.AsIter(ranges | "Read benchmarks" >> read)


def unpack_benchmarks(pieces: Iterable[bytes]) -> Array:
    """`BENCHMARK_PICTURE` records sorted by number, from pieces in any order."""
    pictures = np.frombuffer(b"".join(pieces), dtype=BENCHMARK_PICTURE)
    return pictures[np.argsort(pictures["number"], kind="stable")]


def write_tables(
    job: CurationJob, number: int, schema: pa.Schema, tables: Iterable[pa.Table], **options: Any
) -> dict[str, Any]:
    """Write a file of a job, each table a row group; returns the file's entry for its marker."""
    rows = 0
    with storage.atomic_write(job.file(number)) as file:
        writer = pq.ParquetWriter(file, schema, compression="zstd", **options)
        for table in tables:
            writer.write_table(table)
            rows += table.num_rows
        writer.close()
    return file.entry(job.name(number), rows)
