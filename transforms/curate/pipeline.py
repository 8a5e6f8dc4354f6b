"""The Beam job of curation: judge rows by id, settle groups by pictures, write decisions by id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import apache_beam as beam
from cauldron.transforms.arrays import Array, range_of, split_by
from cauldron.transforms.curate.decisions import judge, write_bucket
from cauldron.transforms.curate.groups import settle_range
from cauldron.transforms.curate.index import (
    PartPath,
    clustered_images,
    contaminated_rows,
    index_part,
    low_rated_rows,
)
from cauldron.transforms.curate.records import ROW, CurateJob

# Part of every curation fingerprint. Raise it if a change alters decisions.
CURATE_VERSION = 4

# A bucket is sorted in one worker's memory: 500,000 rows take 36 MB.
ROWS_PER_BUCKET = 500_000

# Size of a row in the job's first shuffle.
CURATE_ROW_BYTES = ROW.itemsize

_KEYED = tuple[int, bytes]


def _by_bucket(
    file: Any, read: Callable[[Any], Array], buckets: int
) -> Iterator[tuple[int, bytes]]:
    """The records of a file, keyed by the bucket of their id."""
    records = read(file)
    yield from split_by(records, range_of(records["high"], buckets))


class _Judge(beam.DoFn):
    def __init__(self, job: CurateJob) -> None:
        self._job = job

    def process(self, element: tuple[int, dict[str, Iterable[bytes]]]) -> Iterator[Any]:
        bucket, given = element
        judged, members = judge(given["rows"], given["clustered"], given["gone"], self._job)
        yield bucket, judged.tobytes()
        ranges = range_of(members["key_high"], self._job.buckets)
        for number, piece in split_by(members, ranges):
            yield beam.pvalue.TaggedOutput("members", (number, piece))


class _Settle(beam.DoFn):
    def __init__(self, job: CurateJob) -> None:
        self._job = job

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        fates, held = settle_range(*element, self._job)
        buckets = self._job.buckets
        yield from split_by(fates, range_of(fates["high"], buckets))
        for keyed in split_by(held, range_of(held["high"], buckets)):
            yield beam.pvalue.TaggedOutput("held", keyed)


def _write_bucket(bucket: int, given: dict[str, Iterable[bytes]], job: CurateJob) -> int:
    write_bucket(bucket, given["judged"], given["fates"], given["held"], job)
    return bucket


def _without_fates(bucket: int, judged: bytes) -> tuple[int, dict[str, list[bytes]]]:
    return bucket, {"judged": [judged], "fates": [], "held": []}


class CurateCorpora(beam.PTransform):
    """`PartPath` in, the numbers of the written buckets out.

    Args:
        clusters: paths of files in `CLUSTER_SCHEMA`; ids that no corpus part has are ignored.
        contamination: paths of files in `CONTAMINATION_SCHEMA`.
        ratings: paths of files in `RATING_SCHEMA`; rows with ratings below `job.least` are dropped.
    """

    def __init__(
        self,
        job: CurateJob,
        clusters: Sequence[str] = (),
        contamination: Sequence[str] = (),
        ratings: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self._job = job
        self._clusters = list(clusters)
        self._contamination = list(contamination)
        self._ratings = list(ratings)

    def expand(self, parts: beam.PCollection[PartPath]) -> beam.PCollection[int]:
        job, pipeline = self._job, parts.pipeline
        index = partial(index_part, groups=job.groups)
        rows = (
            parts
            | "Spread parts" >> beam.Reshuffle()
            | "Index rows" >> beam.FlatMap(_by_bucket, index, job.buckets).with_output_types(_KEYED)
        )
        given = {
            "rows": (self._every(pipeline, "bucket"), rows)
            | "With empty buckets" >> beam.Flatten(),
            "clustered": self._ids(pipeline, "clusters", self._clusters, clustered_images),
            "gone": self._gone(pipeline),
        }
        judged = (
            given
            | "Group by id range" >> beam.CoGroupByKey()
            | "Judge"
            >> beam.ParDo(_Judge(job))
            .with_outputs("members", main="judged")
            .with_output_types(_KEYED)
        )
        if not job.groups:
            # Without fates to join, a second shuffle is not needed.
            return (
                judged.judged
                | "Without fates" >> beam.MapTuple(_without_fates)
                | "Write decisions"
                >> beam.MapTuple(partial(_write_bucket, job=job)).with_output_types(int)
            )
        settled = self._settled(judged.members)
        return (
            {"judged": judged.judged, "fates": settled.fates, "held": settled.held}
            | "Rows and their fates" >> beam.CoGroupByKey()
            | "Write decisions"
            >> beam.MapTuple(partial(_write_bucket, job=job)).with_output_types(int)
        )

    def _gone(self, pipeline: beam.Pipeline) -> beam.PCollection[tuple[int, bytes]]:
        gone = self._ids(pipeline, "contamination", self._contamination, contaminated_rows)
        if not self._ratings:
            return gone
        read = partial(low_rated_rows, least=dict(self._job.least))
        rated = self._ids(pipeline, "ratings", self._ratings, read)
        return (gone, rated) | "Rows to drop" >> beam.Flatten()

    def _every(self, pipeline: beam.Pipeline, what: str) -> beam.PCollection[tuple[int, bytes]]:
        """An empty piece for each bucket, because a bucket without rows has a file too."""
        empty = [(number, b"") for number in range(self._job.buckets)]
        return pipeline | f"Every {what}" >> beam.Create(empty).with_output_types(_KEYED)

    def _ids(
        self, pipeline: beam.Pipeline, what: str, paths: list[str], read: Callable[[str], Array]
    ) -> beam.PCollection[tuple[int, bytes]]:
        return (
            pipeline
            | f"Files of {what}" >> beam.Create(paths).with_output_types(str)
            | f"Spread files of {what}" >> beam.Reshuffle().with_output_types(str)
            | f"Read {what}"
            >> beam.FlatMap(_by_bucket, read, self._job.buckets).with_output_types(_KEYED)
        )

    def _settled(self, members: beam.PCollection[tuple[int, bytes]]) -> Any:
        """`FATE` records (`fates`) and `CONTRIBUTION` records (`held`) by bucket."""
        return (
            (self._every(members.pipeline, "range"), members)
            | "With empty ranges" >> beam.Flatten()
            | "Group by pictures" >> beam.GroupByKey()
            | "Settle groups"
            >> beam.ParDo(_Settle(self._job))
            .with_outputs("held", main="fates")
            .with_output_types(_KEYED)
        )
