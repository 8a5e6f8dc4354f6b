"""Clusters of near-duplicates: verified pairs to groups of images around a representative.

    verdicts ──components──▶ labels ──by range──▶ members ──▶ representatives ──▶ settled pictures
                                                      ▲               │ pairs never compared
                                                      └──── judge ◀───┘ (`PASSES` - 1 times)
    settled ──by range──▶ images ──by corpus part──▶ with origins ──by cluster──▶ clusters-*.parquet

A range's worker holds a few columns of its pictures, a component's worker its members and their
pairs (`representatives.py`), a file's worker its rows. Judging is the expensive part, 10 to 30 ms
a pair: it is cut into shards of `SHARD` pairs which any worker takes, however large the component
that asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import apache_beam as beam
import numpy as np
from cauldron.transforms.arrays import Array, from_bytes
from cauldron.transforms.matching.cluster.components import (
    LABEL,
    ConnectedComponents,
    bucket_of,
    cut_by,
)
from cauldron.transforms.matching.cluster.files import (
    ClusterJob,
    Rows,
    clustered_images,
    count_splits,
    with_origins,
    write_file,
)
from cauldron.transforms.matching.cluster.members import read_compared, read_edges, read_members
from cauldron.transforms.matching.cluster.representatives import (
    COMPARED,
    MEMBER,
    PASSES,
    SETTLED,
    advance,
)
from cauldron.transforms.matching.compare.pipeline import Judge
from cauldron.transforms.matching.contamination.leaks import benchmark_pictures, sorted_known
from cauldron.transforms.matching.records import PAIR, MatchJob

__all__ = ["ClusterJob", "ClusterPictures"]

SHARD = 256

# A pair that a component of a bucket waits for.
ASKED = np.dtype([*PAIR.descr, ("bucket", "<u4")])

_PAIR = tuple[int, bytes]


class PairJudge(Protocol):
    """Compares pictures by their pixels."""

    def judge(self, pairs: Array) -> Array:
        """`PAIR` records to `VERDICT` records in the same order."""


class _ReadBenchmarks(beam.DoFn):
    def __init__(self, job: MatchJob) -> None:
        self._job = job

    def process(self, element: int) -> Iterator[bytes]:
        yield benchmark_pictures(element, self._job).tobytes()


class _ReadEdges(beam.DoFn):
    def __init__(self, job: MatchJob) -> None:
        self._job = job

    def process(self, element: int, known: Iterable[bytes]) -> Iterator[bytes]:
        edges = read_edges(element, self._job, sorted_known(known))
        if len(edges):
            yield edges.tobytes()


class _ReadMembers(beam.DoFn):
    """The labelled pictures of a range and their verdicts, cut by the bucket of their root."""

    def __init__(self, job: MatchJob) -> None:
        self._job = job

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        number, job = element[0], self._job
        labels = from_bytes(element[1], LABEL)
        labels = labels[np.argsort(labels["vertex"])]
        members = read_members(labels, number, job)
        yield from cut_by(members, bucket_of(labels["root"], job.ranges))
        for roots, compared in read_compared(labels, number, job):
            for piece in cut_by(compared, bucket_of(roots, job.ranges)):
                yield beam.pvalue.TaggedOutput("compared", piece)


class _Advance(beam.DoFn):
    """Settle the components of a bucket as far as they go."""

    def __init__(self, job: MatchJob, last: bool) -> None:
        self._job, self._last = job, last

    def process(self, element: tuple[int, dict[str, Iterable[bytes]]]) -> Iterator[Any]:
        bucket, pieces = element
        members, compared = (
            from_bytes(pieces["members"], MEMBER),
            from_bytes(pieces["compared"], COMPARED),
        )
        done = advance(members, compared, self._job, self._last)
        for told in cut_by(done.settled, done.settled["number"] >> np.uint64(32)):
            yield beam.pvalue.TaggedOutput("settled", told)
        if not len(done.members):
            return
        yield from cut_by(done.members, np.full(len(done.members), bucket))
        for own in cut_by(done.compared, np.full(len(done.compared), bucket)):
            yield beam.pvalue.TaggedOutput("compared", own)
        asked = np.zeros(len(done.asked), dtype=ASKED)
        asked["bucket"] = bucket
        for name in PAIR.names or ():
            asked[name] = done.asked[name]
        for wanted in cut_by(asked, asked["first"] >> np.uint64(32)):
            yield beam.pvalue.TaggedOutput("asked", wanted)


def shards(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The asked pairs of a range in shards that touch few ranges, and each picture in few."""
    asked = from_bytes(pieces, ASKED)
    asked = asked[np.lexsort([asked["second"], asked["first"], asked["second"] >> np.uint64(32)])]
    for start in range(0, len(asked), SHARD):
        yield asked[start : start + SHARD].tobytes()


def _shards(element: tuple[int, Iterable[bytes]]) -> Iterator[bytes]:
    yield from shards(element[1])


class _Judge(beam.DoFn):
    def __init__(self, job: MatchJob, judge: Callable[[MatchJob], PairJudge]) -> None:
        self._job, self._make = job, judge

    def setup(self) -> None:
        self._judge = self._make(self._job)

    def process(self, element: bytes) -> Iterator[tuple[int, bytes]]:
        asked = from_bytes([element], ASKED)
        verdicts = self._judge.judge(asked[list(PAIR.names or ())].astype(PAIR))
        compared = verdicts[list(COMPARED.names or ())].astype(COMPARED)
        yield from cut_by(compared, asked["bucket"])


def _count_splits(element: tuple[int, bytes], files: int) -> Iterator[tuple[int, tuple[int, int]]]:
    yield from count_splits(from_bytes([element[1]], SETTLED), files)


class _ReadImages(beam.DoFn):
    def __init__(self, job: MatchJob) -> None:
        self._job = job

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        number, pieces = element
        yield from clustered_images(from_bytes(pieces, SETTLED), number, self._job)


class _AddOrigins(beam.DoFn):
    def __init__(self, job: ClusterJob) -> None:
        self._job = job

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, Rows]]:
        source, part = divmod(element[0], 1 << 32)
        yield from with_origins(source, part, element[1], self._job)


class _WriteFile(beam.DoFn):
    def __init__(self, job: ClusterJob) -> None:
        self._job = job

    def process(self, element: tuple[int, dict[str, Iterable[Any]]]) -> Iterator[int]:
        number, given = element
        write_file(number, given["rows"], given["splits"], self._job)
        yield number


class _Waiting(NamedTuple):
    """Pictures and pairs of components that wait, and the pairs that they wait for."""

    members: beam.PCollection[tuple[int, bytes]]
    compared: beam.PCollection[tuple[int, bytes]]
    asked: beam.PCollection[tuple[int, bytes]]


class ClusterPictures(beam.PTransform):
    """The numbers of all ranges in, the numbers of the written files out.

    Args:
        judge: makes what compares pictures, from the matching's job; it must pickle.
    """

    def __init__(self, job: ClusterJob, judge: Callable[[MatchJob], PairJudge] = Judge) -> None:
        super().__init__()
        self._job, self._judge = job, judge

    def expand(self, ranges: beam.PCollection[int]) -> beam.PCollection[int]:
        spread = ranges | "Spread ranges" >> beam.Reshuffle().with_output_types(int)
        settled = self._settle(self._labels(spread))
        every = spread | "Every range" >> beam.Map(_empty).with_output_types(_PAIR)
        rows = (
            (every, settled)
            | "With quiet ranges" >> beam.Flatten()
            | "Settled by range" >> beam.GroupByKey()
            | "Read images" >> beam.ParDo(_ReadImages(self._job.match)).with_output_types(_PAIR)
            | "Images by corpus part" >> beam.GroupByKey()
            | "Add origins"
            >> beam.ParDo(_AddOrigins(self._job)).with_output_types(tuple[int, Rows])
        )
        return self._write(rows, settled)

    def _labels(self, ranges: beam.PCollection[int]) -> beam.PCollection[tuple[int, bytes]]:
        """`LABEL` records by the range of their picture."""
        job = self._job.match
        known = beam.pvalue.AsIter(
            ranges | "Read benchmarks" >> beam.ParDo(_ReadBenchmarks(job)).with_output_types(bytes)
        )
        return (
            ranges
            | "Read pairs" >> beam.ParDo(_ReadEdges(job), known).with_output_types(bytes)
            | "Connect" >> ConnectedComponents(job.ranges)
        )

    def _settle(
        self, labels: beam.PCollection[tuple[int, bytes]]
    ) -> beam.PCollection[tuple[int, bytes]]:
        """`SETTLED` records by the range of their picture."""
        job = self._job.match
        read = (
            labels
            | "Group labels" >> beam.GroupByKey()
            | "Read members"
            >> beam.ParDo(_ReadMembers(job))
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
                >> beam.ParDo(_Advance(job, last))
                .with_output_types(_PAIR)
                .with_outputs("settled", "compared", "asked", main="members")
            )
            settled.append(done.settled)
            if not last:
                members = done.members
                compared = (done.compared, self._judged(done.asked, name)) | (
                    f"{name}: known and new" >> beam.Flatten()
                )
        return tuple(settled) | "All settled" >> beam.Flatten()

    def _judged(
        self, asked: beam.PCollection[tuple[int, bytes]], name: str
    ) -> beam.PCollection[tuple[int, bytes]]:
        return (
            asked
            | f"{name}: asked by range" >> beam.GroupByKey()
            | f"{name}: cut" >> beam.FlatMap(_shards).with_output_types(bytes)
            | f"{name}: spread" >> beam.Reshuffle().with_output_types(bytes)
            | f"{name}: judge"
            >> beam.ParDo(_Judge(self._job.match, self._judge)).with_output_types(_PAIR)
        )

    def _write(
        self,
        rows: beam.PCollection[tuple[int, Rows]],
        settled: beam.PCollection[tuple[int, bytes]],
    ) -> beam.PCollection[int]:
        job, counts = self._job, tuple[int, tuple[int, int]]
        every = rows.pipeline | "Every file" >> beam.Create(
            [(number, (0, 0)) for number in range(job.files)]
        ).with_output_types(counts)
        splits = settled | "Count splits" >> beam.FlatMap(
            _count_splits, job.files
        ).with_output_types(counts)
        splits = (every, splits) | "With empty files" >> beam.Flatten()
        return (
            {"rows": rows, "splits": splits}
            | "Group by file" >> beam.CoGroupByKey()
            | "Write clusters" >> beam.ParDo(_WriteFile(job))
        )


def _empty(element: int) -> tuple[int, bytes]:
    return element, b""
