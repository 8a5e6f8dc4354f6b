"""The Beam job of curation: judge rows by id, settle groups by pictures, write decisions by id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
from cauldron.transforms.curate.repeated import find_repeated
from cauldron.transforms.graph import After, Each
from cauldron.transforms.matching.cluster import ClusterJob
from cauldron.transforms.matching.contamination import ContaminationJob
from cauldron.transforms.matching.texts import TextJob

# Part of every curation fingerprint. Raise it if a change alters decisions.
CURATE_VERSION = 5

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
        judged, members, shown = judge(given["rows"], given["clustered"], given["gone"], self._job)
        yield bucket, judged.tobytes()
        for tag, records, high in (
            ("members", members, "key_high"),
            ("shown", shown, "cluster_high"),
        ):
            ranges = range_of(records[high], self._job.buckets)
            for number, piece in split_by(records, ranges):
                yield beam.pvalue.TaggedOutput(tag, (number, piece))


class _Settle(beam.DoFn):
    def __init__(self, job: CurateJob) -> None:
        self._job = job

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        fates, held = settle_range(*element, self._job)
        buckets = self._job.buckets
        yield from split_by(fates, range_of(fates["high"], buckets))
        for keyed in split_by(held, range_of(held["high"], buckets)):
            yield beam.pvalue.TaggedOutput("held", keyed)


def _left_out(number: int, shown: Iterable[bytes], job: CurateJob) -> Iterator[tuple[int, bytes]]:
    """The images to leave out, keyed by the bucket of their document."""
    assert job.max_documents is not None, "no limit to count for"
    found = find_repeated(shown, job.max_documents)
    yield from split_by(found, range_of(found["high"], job.buckets))


def _write_bucket(bucket: int, given: dict[str, Iterable[bytes]], job: CurateJob) -> int:
    fates, held, left_out = (given.get(name, ()) for name in ("fates", "held", "left_out"))
    write_bucket(bucket, given["judged"], fates, held, left_out, job)
    return bucket


def _without_fates(bucket: int, judged: bytes) -> tuple[int, dict[str, list[bytes]]]:
    return bucket, {"judged": [judged]}


def _parts(job: CurateJob) -> Iterator[PartPath]:
    for number, source in enumerate(job.sources):
        for part, path in enumerate(source.tables(source.corpus)):
            yield PartPath(number, part, path)


def _rated(job: CurateJob) -> Iterator[str]:
    for source in job.sources:
        if source.ratings is not None:
            yield from source.tables(source.ratings)


class CurateCorpora(beam.PTransform):
    """Anything in; when all of it is there, files are read. The numbers of written buckets out.

    Ids in clusters that no corpus part has are ignored. Rows with ratings below `job.least` are
    dropped.
    """

    def __init__(self, job: CurateJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, begin: beam.PCollection[Any]) -> beam.PCollection[int]:
        job, pipeline = self._job, begin.pipeline
        index = partial(index_part, pictures=job.groups or job.max_documents is not None)
        clusters = After(job.found_files, ClusterJob.STEM)
        rows = (
            begin
            | "Parts" >> After(_parts, job)
            | "Spread parts" >> beam.Reshuffle()
            | "Index rows" >> beam.FlatMap(_by_bucket, index, job.buckets).with_output_types(_KEYED)
        )
        given = {
            "rows": (self._every(pipeline, "bucket"), rows)
            | "With empty buckets" >> beam.Flatten(),
            "clustered": self._ids(begin, "clusters", clusters, clustered_images),
            "gone": self._gone(begin),
        }
        judged = (
            given
            | "Group by id range" >> beam.CoGroupByKey()
            | "Judge"
            >> beam.ParDo(_Judge(job))
            .with_outputs("members", "shown", main="judged")
            .with_output_types(_KEYED)
        )
        told: dict[str, beam.PCollection[tuple[int, bytes]]] = {}
        if job.groups:
            settled = self._settled(judged.members)
            told |= {"fates": settled.fates, "held": settled.held}
        if job.max_documents is not None:
            told["left_out"] = (
                judged.shown
                | "Group by picture" >> beam.GroupByKey()
                | "Count documents"
                >> beam.FlatMapTuple(partial(_left_out, job=job)).with_output_types(_KEYED)
            )
        # With nothing to join, a second shuffle is not needed.
        joined = (
            {"judged": judged.judged, **told} | "Rows and their fates" >> beam.CoGroupByKey()
            if told
            else judged.judged | "Without fates" >> beam.MapTuple(_without_fates)
        )
        return joined | "Write decisions" >> beam.MapTuple(
            partial(_write_bucket, job=job)
        ).with_output_types(int)

    def _gone(self, begin: beam.PCollection[Any]) -> beam.PCollection[tuple[int, bytes]]:
        job = self._job
        leaks = After(job.found_files, ContaminationJob.STEM, TextJob.STEM)
        gone = self._ids(begin, "contamination", leaks, contaminated_rows)
        if not job.least:
            return gone
        read = partial(low_rated_rows, least=dict(job.least))
        rated = self._ids(begin, "ratings", After(_rated, job), read)
        return (gone, rated) | "Rows to drop" >> beam.Flatten()

    def _every(self, pipeline: beam.Pipeline, what: str) -> beam.PCollection[tuple[int, bytes]]:
        """An empty piece for each bucket, because a bucket without rows has a file too."""
        return pipeline | f"Every {what}" >> Each(self._job.buckets, b"", bytes)

    def _ids(
        self, begin: beam.PCollection[Any], what: str, paths: After, read: Callable[[str], Array]
    ) -> beam.PCollection[tuple[int, bytes]]:
        return (
            begin
            | f"Files of {what}" >> paths.with_output_types(str)
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
