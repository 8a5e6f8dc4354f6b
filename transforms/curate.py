"""Curate: one decision for every corpus row, from metadata only.

Rows with the same content id are the same sample: the first in (part, row) order stays and the
others merge into it, reason ``exact_copy``. Ids are grouped by buckets of the id's leading bits,
as packed arrays: a row costs 50 bytes on its way, whatever it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from cauldron import storage
from cauldron.schema import DECISION_SCHEMA
from transforms.order import id_halves

# Part of every curation fingerprint; raise it when decisions would come out differently.
CURATE_VERSION = 1

# A bucket is sorted in one worker's memory: 500,000 rows are 25 MB packed.
ROWS_PER_BUCKET = 500_000

INDEX = np.dtype(
    [
        ("high", "<u8"),
        ("low", "<u8"),
        ("source", "<u2"),
        ("part", "<u4"),
        ("row", "<u4"),
        ("answer_tokens", "<i4"),
        ("turns", "<i4"),
        ("offset", "<i8"),
        ("length", "<i8"),
    ]
)
IndexArray = npt.NDArray[np.void]
_INDEX_COLUMNS = ["id", "answer_tokens", "turns", "offset", "length"]


class CorpusPart(NamedTuple):
    """A corpus part to be indexed; `source` is the source's number in the job."""

    source: int
    part: int
    path: str


@dataclass(frozen=True)
class CurateJob:
    """What workers must know.

    Attributes:
        sources: names, in the order of their numbers.
        buckets: number of decision files.
        folder: where they go.
    """

    sources: tuple[str, ...]
    buckets: int
    folder: str


def bucket_of(high: npt.NDArray[np.uint64], buckets: int) -> npt.NDArray[np.int64]:
    """The bucket of each id, by its 32 leading bits: buckets are ranges of ids, in order."""
    return ((high >> np.uint64(32)) * np.uint64(buckets) >> np.uint64(32)).astype(np.int64)


def index_part(part: CorpusPart) -> IndexArray:
    """Read what decisions need of a corpus part; text and pixels are not touched."""
    with storage.open_read(part.path) as file:
        table = pq.read_table(file, columns=_INDEX_COLUMNS)
    index = np.zeros(table.num_rows, dtype=INDEX)
    halves = id_halves(table["id"].to_pylist())
    index["high"], index["low"] = halves[:, 0], halves[:, 1]
    index["source"], index["part"] = part.source, part.part
    index["row"] = np.arange(table.num_rows)
    for name in _INDEX_COLUMNS[1:]:
        index[name] = table[name].to_numpy()
    return index


def split_by(index: IndexArray, keys: npt.NDArray[np.int64]) -> Iterator[tuple[int, bytes]]:
    """Cut an array by key, each piece as raw bytes in the order of the array."""
    if not len(index):
        return
    order = np.argsort(keys, kind="stable")
    found, starts = np.unique(keys[order], return_index=True)
    for key, rows in zip(found, np.split(order, starts[1:]), strict=True):
        yield int(key), index[rows].tobytes()


def decide(packed: Iterable[bytes]) -> tuple[IndexArray, npt.NDArray[np.int64]]:
    """Sort a bucket by id and find for each row the row that it merges into.

    Returns:
        the sorted rows, and for each the position of the first row with its id (its own where
        it is kept).
    """
    index = np.frombuffer(b"".join(packed), dtype=INDEX)
    order = np.lexsort([index[k] for k in ("row", "part", "source", "low", "high")])
    index = index[order]
    new = np.ones(len(index), dtype=bool)
    new[1:] = (index["high"][1:] != index["high"][:-1]) | (index["low"][1:] != index["low"][:-1])
    first = np.maximum.accumulate(np.where(new, np.arange(len(index)), 0))
    return index, first


def decision_table(
    index: IndexArray, first: npt.NDArray[np.int64], sources: tuple[str, ...]
) -> pa.Table:
    """Decisions of a bucket in `DECISION_SCHEMA`, sorted by id."""
    kept = first == np.arange(len(index))
    into = index[first]
    digits = np.stack([index["high"], index["low"]], axis=1).astype(">u8").tobytes().hex()
    return pa.table(
        {
            "source": pa.array(np.array(sources, dtype=object)[index["source"]], pa.string()),
            "id": pa.array([digits[i : i + 32] for i in range(0, len(digits), 32)], pa.string()),
            "part": index["part"].astype(np.int32),
            "row": index["row"].astype(np.int32),
            "decision": pa.array(np.where(kept, "keep", "merge"), pa.string()),
            "reason": pa.array(np.full(len(kept), "exact_copy"), pa.string(), mask=kept),
            "into_part": pa.array(into["part"].astype(np.int32), mask=kept),
            "into_row": pa.array(into["row"].astype(np.int32), mask=kept),
            **{name: index[name] for name in ("answer_tokens", "turns", "offset", "length")},
        },
        schema=DECISION_SCHEMA,
    )


def bucket_name(bucket: int, buckets: int) -> str:
    return f"decisions-{bucket:05d}-of-{buckets:05d}.parquet"


def write_bucket(bucket: int, packed: Iterable[bytes], job: CurateJob) -> dict[str, Any]:
    """Decide a bucket, write its file, and return the marker that was written beside it."""
    index, first = decide(packed)
    table = decision_table(index, first, job.sources)
    name = bucket_name(bucket, job.buckets)
    with storage.atomic_write(storage.join(job.folder, name)) as file:
        pq.write_table(table, file, compression="zstd", row_group_size=65_536)
    kept = first == np.arange(len(index))
    numbers = np.arange(len(job.sources))
    rows = np.bincount(index["source"], minlength=len(numbers))
    stay = np.bincount(index["source"][kept], minlength=len(numbers))
    marker = {
        "bucket": bucket,
        "file": {"name": name, "bytes": file.size, "sha256": file.sha256, "rows": table.num_rows},
        "rows": {job.sources[n]: int(rows[n]) for n in numbers if rows[n]},
        "kept": {job.sources[n]: int(stay[n]) for n in numbers if rows[n]},
    }
    storage.write_json(storage.join(job.folder, "_done", f"{bucket:05d}.json"), marker)
    return marker


class _IndexPart(beam.DoFn):
    def __init__(self, buckets: int) -> None:
        self._buckets = buckets

    def process(self, element: CorpusPart) -> Iterator[tuple[int, bytes]]:
        index = index_part(element)
        yield from split_by(index, bucket_of(index["high"], self._buckets))


class _WriteBucket(beam.DoFn):
    def __init__(self, job: CurateJob) -> None:
        self._job = job

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[int]:
        bucket, packed = element
        write_bucket(bucket, packed, self._job)
        yield bucket


class CurateCorpora(beam.PTransform):
    """`CorpusPart` in, the numbers of the written buckets out."""

    def __init__(self, job: CurateJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, parts: beam.PCollection[CorpusPart]) -> beam.PCollection[int]:
        buckets = parts.pipeline | "Every bucket" >> beam.Create(
            [(bucket, b"") for bucket in range(self._job.buckets)]
        )
        index = (
            parts
            | "Spread parts" >> beam.Reshuffle()
            | "Index ids"
            >> beam.ParDo(_IndexPart(self._job.buckets)).with_output_types(tuple[int, bytes])
        )
        return (
            (buckets, index)
            | "With empty buckets" >> beam.Flatten()
            | "Group by id range" >> beam.GroupByKey()
            | "Decide" >> beam.ParDo(_WriteBucket(self._job))
        )
