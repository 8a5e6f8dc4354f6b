"""Clusters of near-duplicates, as a Beam job.

    verdicts ──components──▶ labels ──by range──▶ members ──▶ representatives ──▶ settled pictures
                                                      ▲               │ missing pairs
                                                      └── compared ◀──┘ (`PASSES` - 1 times)
    settled ──by range──▶ images ──by corpus part──▶ with origins ──by cluster──▶ clusters-*.parquet

The worker of a range holds a few columns of its pictures, the worker of a component its members and
their pairs, the worker of a file its rows. Comparing pixels takes most of the time, 10 to 30 ms a
pair, so missing pairs are spread over all workers in batches, whichever component needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
from cauldron.transforms.arrays import from_bytes
from cauldron.transforms.graph import Each
from cauldron.transforms.matching.arrays import benchmark_pictures, cut_by, unpack_benchmarks
from cauldron.transforms.matching.cluster.components import (
    LABEL,
    ConnectedComponents,
    Pieces,
    bucket_of,
)
from cauldron.transforms.matching.cluster.files import (
    ClusterJob,
    Rows,
    clustered_images,
    count_splits,
    with_origins,
    write_file,
)
from cauldron.transforms.matching.cluster.members import (
    as_compared,
    read_compared,
    read_edges,
    read_members,
)
from cauldron.transforms.matching.cluster.representatives import (
    COMPARED,
    MEMBER,
    PASSES,
    SETTLED,
    advance,
)
from cauldron.transforms.matching.compare import PictureComparer, batches
from cauldron.transforms.matching.records import PAIR, MatchJob

# A pair that components of a bucket wait for.
MISSING = np.dtype([*PAIR.descr, ("bucket", "<u4")])

_PAIR = tuple[int, bytes]


def _read_edges(element: int, benchmarks: Iterable[bytes], job: MatchJob) -> Iterator[bytes]:
    edges = read_edges(element, job, unpack_benchmarks(benchmarks))
    if len(edges):
        yield edges.tobytes()


def _read_members(element: tuple[int, Iterable[bytes]], job: MatchJob) -> Iterator[Any]:
    """The labelled pictures of a range and their verdicts, split by the bucket of their root."""
    number = element[0]
    labels = from_bytes(element[1], LABEL)
    labels = labels[np.argsort(labels["vertex"])]
    members = read_members(labels, number, job)
    yield from cut_by(members, bucket_of(labels["root"], job.ranges))
    for roots, compared in read_compared(labels, number, job):
        for piece in cut_by(compared, bucket_of(roots, job.ranges)):
            yield beam.pvalue.TaggedOutput("compared", piece)


def _advance(
    element: tuple[int, dict[str, Iterable[bytes]]], job: MatchJob, last: bool
) -> Iterator[Any]:
    """Settle the components of a bucket, or find their missing pairs."""
    bucket, pieces = element
    members = from_bytes(pieces["members"], MEMBER)
    compared = from_bytes(pieces["compared"], COMPARED)
    done = advance(members, compared, job, last)
    for piece in cut_by(done.settled, done.settled["number"] >> np.uint64(32)):
        yield beam.pvalue.TaggedOutput("settled", piece)
    if not len(done.members):
        return
    yield from cut_by(done.members, np.full(len(done.members), bucket))
    for piece in cut_by(done.compared, np.full(len(done.compared), bucket)):
        yield beam.pvalue.TaggedOutput("compared", piece)
    missing = np.zeros(len(done.missing), dtype=MISSING)
    missing["bucket"] = bucket
    for name in PAIR.names or ():
        missing[name] = done.missing[name]
    for piece in cut_by(missing, missing["first"] >> np.uint64(32)):
        yield beam.pvalue.TaggedOutput("missing", piece)


def _batches(element: tuple[int, Iterable[bytes]]) -> Iterator[bytes]:
    for batch in batches(from_bytes(element[1], MISSING)):
        yield batch.tobytes()


class _Compare(beam.DoFn):
    def __init__(self, job: MatchJob, make: Callable[[MatchJob], PictureComparer]) -> None:
        self._job, self._make = job, make

    def setup(self) -> None:
        self._comparer = self._make(self._job)

    def process(self, element: bytes) -> Iterator[tuple[int, bytes]]:
        missing = from_bytes([element], MISSING)
        verdicts = self._comparer.compare(missing[list(PAIR.names or ())].astype(PAIR))
        yield from cut_by(as_compared(verdicts, self._job), missing["bucket"])


def _count_splits(element: tuple[int, bytes], files: int) -> Iterator[tuple[int, tuple[int, int]]]:
    yield from count_splits(from_bytes([element[1]], SETTLED), files)


def _read_images(
    element: tuple[int, Iterable[bytes]], job: MatchJob
) -> Iterator[tuple[int, bytes]]:
    number, pieces = element
    yield from clustered_images(from_bytes(pieces, SETTLED), number, job)


def _add_origins(
    element: tuple[int, Iterable[bytes]], job: ClusterJob
) -> Iterator[tuple[int, Rows]]:
    source, part = divmod(element[0], 1 << 32)
    yield from with_origins(source, part, element[1], job)


def _write_file(element: tuple[int, dict[str, Iterable[Any]]], job: ClusterJob) -> Iterator[int]:
    number, given = element
    write_file(number, given["rows"], given["splits"], job)
    yield number


class ClusterPictures(beam.PTransform):
    """The numbers of all ranges in, the numbers of the written files out.

    Args:
        comparer: makes a comparer for the matching's job; it must pickle.
    """

    def __init__(
        self, job: ClusterJob, comparer: Callable[[MatchJob], PictureComparer] = PictureComparer
    ) -> None:
        super().__init__()
        self._job, self._comparer = job, comparer

    def expand(self, ranges: beam.PCollection[int]) -> beam.PCollection[int]:
        spread = ranges | "Spread ranges" >> beam.Reshuffle().with_output_types(int)
        settled = self._settle(self._labels(spread))
        empty = spread | "Empty ranges" >> beam.Map(_empty).with_output_types(_PAIR)
        rows = (
            (empty, settled)
            | "With empty ranges" >> beam.Flatten()
            | "Settled by range" >> beam.GroupByKey()
            | "Read images" >> beam.FlatMap(_read_images, self._job.match).with_output_types(_PAIR)
            | "Images by corpus part" >> beam.GroupByKey()
            | "Add origins"
            >> beam.FlatMap(_add_origins, self._job).with_output_types(tuple[int, Rows])
        )
        return self._write(rows, settled)

    def _labels(self, ranges: beam.PCollection[int]) -> Pieces:
        """`LABEL` records by the range of their picture."""
        job = self._job.match
        benchmarks = benchmark_pictures(ranges, job)
        return (
            ranges
            | "Read pairs" >> beam.FlatMap(_read_edges, benchmarks, job).with_output_types(bytes)
            | "Connect" >> ConnectedComponents(job.ranges)
        )

    def _settle(self, labels: Pieces) -> Pieces:
        """`SETTLED` records by the range of their picture."""
        job = self._job.match
        read = (
            labels
            | "Group labels" >> beam.GroupByKey()
            | "Read members"
            >> beam.FlatMap(_read_members, job)
            .with_output_types(_PAIR)
            .with_outputs("compared", main="members")
        )
        members, compared, settled = read.members, read.compared, []
        for number in range(PASSES):
            last, name = number == PASSES - 1, f"Pass {number + 1}"
            done = (
                {"members": members, "compared": compared}
                | f"{name}: components" >> beam.CoGroupByKey()
                | f"{name}: representatives"
                >> beam.FlatMap(_advance, job, last)
                .with_output_types(_PAIR)
                .with_outputs("settled", "compared", "missing", main="members")
            )
            settled.append(done.settled)
            if not last:
                members = done.members
                compared = (done.compared, self._compared(done.missing, name)) | (
                    f"{name}: known and new" >> beam.Flatten()
                )
        return tuple(settled) | "All settled" >> beam.Flatten()

    def _compared(self, missing: Pieces, name: str) -> Pieces:
        compare = _Compare(self._job.match, self._comparer)
        return (
            missing
            | f"{name}: missing by range" >> beam.GroupByKey()
            | f"{name}: batches" >> beam.FlatMap(_batches).with_output_types(bytes)
            | f"{name}: spread" >> beam.Reshuffle().with_output_types(bytes)
            | f"{name}: compare" >> beam.ParDo(compare).with_output_types(_PAIR)
        )

    def _write(
        self, rows: beam.PCollection[tuple[int, Rows]], settled: Pieces
    ) -> beam.PCollection[int]:
        job, counts = self._job, tuple[int, tuple[int, int]]
        empty = rows.pipeline | "Empty files" >> Each(job.files, (0, 0), tuple[int, int])
        splits = settled | "Count splits" >> beam.FlatMap(
            _count_splits, job.files
        ).with_output_types(counts)
        splits = (empty, splits) | "With empty files" >> beam.Flatten()
        return (
            {"rows": rows, "splits": splits}
            | "Group by file" >> beam.CoGroupByKey()
            | "Write clusters" >> beam.FlatMap(_write_file, job)
        )


def _empty(element: int) -> tuple[int, bytes]:
    return element, b""
