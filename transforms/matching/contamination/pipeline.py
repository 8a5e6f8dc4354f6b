"""Contamination: training rows that show a benchmark's picture, with evidence that can be audited.

``contamination-00007-of-00012.parquet`` has a row for each training image and benchmark image
that are the same (`CONTAMINATION_SCHEMA`). Files are ranges of the training row's id, so that
decisions cut into as many files find theirs in the file of the same number. What counts as the
same is in `links.py`, what as a common question in `overlap.py`.

  - Of a training image and a benchmark at most three benchmark images are named: first those
    whose question is shared, then the best match, then the smallest id. A training picture keeps
    links to 16 benchmark pictures. Neither changes what is removed by image.
  - A row goes as a whole: `removed` is the same in all its records, also in those of images or
    benchmarks that would not have removed it alone.
  - With `match_text` a row is removed only when a question of it is a benchmark's, asked about
    the same picture. Answers are not compared: those of test sets are seldom published. A
    benchmark without questions then removes nothing, and flags all the same.
  - Only rows with pictures are looked at: the text of a text-only row is compared with nothing.

What an auditor does with it. The evidence against one row::

    SELECT id, image, benchmark, benchmark_id, distance, score, overlap, removed, origin,
           benchmark_origin
    FROM 'curation/FINGERPRINT/contamination-*.parquet' WHERE id = '...'

The weakest matches, which are the ones to look at first (`overlap` is null and the score low)::

    SELECT * EXCLUDE thumbnails FROM 'curation/FINGERPRINT/contamination-*.parquet'
    WHERE removed ORDER BY score, distance DESC, overlap IS NOT NULL LIMIT 100

What was removed from which source because of which benchmark::

    SELECT source, benchmark, removed, count(DISTINCT id) AS rows
    FROM 'curation/FINGERPRINT/contamination-*.parquet' GROUP BY ALL ORDER BY ALL

The pictures side by side as files, named by row and benchmark row (Python, with duckdb)::

    rows = duckdb.sql('''
        SELECT concat_ws('-', id, image, benchmark, benchmark_id, benchmark_image),
               thumbnails[1].bytes, thumbnails[2].bytes
        FROM 'curation/FINGERPRINT/contamination-*.parquet' WHERE id = '...'
    ''')
    for name, ours, theirs in rows.fetchall():
        Path(f"{name}-a.jpg").write_bytes(ours)
        Path(f"{name}-b.jpg").write_bytes(theirs)

A record does not say whether a third picture was between: where the two thumbnails differ more
than its score lets expect, look for one among the row's near-duplicates.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
from cauldron.transforms.arrays import Array, from_bytes, split_by
from cauldron.transforms.matching.contamination.evidence import (
    BenchmarkRows,
    Evidence,
    find_evidence,
)
from cauldron.transforms.matching.contamination.files import ContaminationJob, file_of, write_file
from cauldron.transforms.matching.contamination.images import MATCH, by_part, read_linked_rows
from cauldron.transforms.matching.contamination.leaks import (
    LINK,
    benchmark_pictures,
    equal_links,
    further_links,
    same_pairs,
    sorted_known,
    sorted_numbers,
    steps,
    strongest,
    verdict_links,
)
from cauldron.transforms.matching.records import MatchJob

__all__ = ["ContaminationJob", "FindContamination"]

_BATCH_ROWS = 4_096


def _by_range(links: Array, name: str) -> Iterator[tuple[int, bytes]]:
    """Links cut by the range of one of their pictures."""
    yield from split_by(links, links[name] >> np.uint64(32))


class _ReadBenchmarks(beam.DoFn):
    def __init__(self, job: MatchJob) -> None:
        self._job = job

    def process(self, element: int) -> Iterator[bytes]:
        yield benchmark_pictures(element, self._job).tobytes()


class _LinkDirectly(beam.DoFn):
    """Links of a range by content and by verdict, cut by the training picture's range."""

    def __init__(self, job: MatchJob) -> None:
        self._job = job

    def process(self, element: int, known: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        benchmarks = sorted_known(known)
        own = benchmarks[benchmarks["number"] >> np.uint64(32) == element]
        yield from _by_range(equal_links(own), "training")
        for pairs in same_pairs(self._job.verdicts(element)):
            yield from _by_range(verdict_links(pairs, benchmarks), "training")


def _linked(element: tuple[int, bytes]) -> bytes:
    return np.unique(from_bytes([element[1]], LINK)["training"]).tobytes()


class _FindSteps(beam.DoFn):
    """Steps of a range, cut by the range of the picture that they lead to."""

    def __init__(self, job: MatchJob) -> None:
        self._job = job

    def process(
        self, element: int, known: Iterable[bytes], linked: Iterable[bytes]
    ) -> Iterator[tuple[int, bytes]]:
        benchmarks, numbers = sorted_known(known), sorted_numbers(linked)
        for pairs in same_pairs(self._job.verdicts(element)):
            yield from _by_range(steps(pairs, benchmarks, numbers), "benchmark")


def _walk(element: tuple[int, dict[str, Iterable[bytes]]]) -> Iterator[tuple[int, bytes]]:
    _, pieces = element
    found = further_links(from_bytes(pieces["steps"], LINK), from_bytes(pieces["links"], LINK))
    yield from _by_range(found, "training")


def _wanted(element: tuple[int, bytes]) -> Iterator[tuple[int, bytes]]:
    """The benchmark pictures of links, by range."""
    numbers = np.unique(from_bytes([element[1]], LINK)["benchmark"])
    yield from split_by(numbers, numbers >> np.uint64(32))


class _ReadLinkedRows(beam.DoFn):
    def __init__(self, job: MatchJob) -> None:
        self._job = job

    def process(self, element: tuple[int, dict[str, Iterable[bytes]]]) -> Iterator[Any]:
        number, pieces = element
        links, wanted = (
            strongest(from_bytes(pieces["links"], LINK)),
            sorted_numbers(pieces["wanted"]),
        )
        for of_benchmark, rows in read_linked_rows(links, wanted, number, self._job):
            if of_benchmark:
                yield beam.pvalue.TaggedOutput("benchmarks", rows.tobytes())
            else:
                yield from by_part(rows)


class _FindEvidence(beam.DoFn):
    def __init__(self, job: ContaminationJob) -> None:
        self._job = job
        self._benchmarks: BenchmarkRows | None = None

    def process(
        self, element: tuple[int, Iterable[bytes]], rows: Iterable[bytes]
    ) -> Iterator[tuple[int, bytes]]:
        job = self._job
        if self._benchmarks is None:  # a side input is the same for every element of a job
            self._benchmarks = BenchmarkRows(rows, job.ngram, job.match)
        batch: dict[int, list[Evidence]] = defaultdict(list)
        matches = from_bytes(element[1], MATCH)
        for item in find_evidence(matches, self._benchmarks, job.match_text, job.ngram, job.match):
            number = file_of(item, job.files)
            batch[number].append(item)
            if len(batch[number]) >= _BATCH_ROWS:
                yield number, _packed(batch.pop(number))
        for number, items in batch.items():
            yield number, _packed(items)


def _packed(items: list[Evidence]) -> bytes:
    return json.dumps(items, ensure_ascii=False).encode()


class _WriteFile(beam.DoFn):
    def __init__(self, job: ContaminationJob) -> None:
        self._job = job

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[int]:
        number, pieces = element
        write_file(number, pieces, self._job)
        yield number


class FindContamination(beam.PTransform):
    """Numbers of ranges with verdicts in, the numbers of the written files out."""

    def __init__(self, job: ContaminationJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, ranges: beam.PCollection[int]) -> beam.PCollection[int]:
        job, pair = self._job, tuple[int, bytes]
        linked_rows = self._linked_rows(self._links(ranges))
        empty = ranges.pipeline | "Every file" >> beam.Create(
            [(number, b"[]") for number in range(job.files)]
        ).with_output_types(pair)
        evidence = (
            linked_rows.matches
            | "Group by corpus part" >> beam.GroupByKey()
            | "Find evidence"
            >> beam.ParDo(
                _FindEvidence(job), beam.pvalue.AsIter(linked_rows.benchmarks)
            ).with_output_types(pair)
        )
        return (
            (empty, evidence)
            | "With empty files" >> beam.Flatten()
            | "Group by file" >> beam.GroupByKey()
            | "Write evidence" >> beam.ParDo(_WriteFile(job))
        )

    def _links(self, ranges: beam.PCollection[int]) -> beam.PCollection[tuple[int, bytes]]:
        """`LINK` records by the training picture's range."""
        job, pair = self._job.match, tuple[int, bytes]
        spread = ranges | "Spread ranges" >> beam.Reshuffle().with_output_types(int)
        known = beam.pvalue.AsIter(
            spread | "Read benchmarks" >> beam.ParDo(_ReadBenchmarks(job)).with_output_types(bytes)
        )
        direct = spread | "Link directly" >> beam.ParDo(
            _LinkDirectly(job), known
        ).with_output_types(pair)
        linked = beam.pvalue.AsIter(
            direct | "Linked pictures" >> beam.Map(_linked).with_output_types(bytes)
        )
        near = spread | "Find steps" >> beam.ParDo(
            _FindSteps(job), known, linked
        ).with_output_types(pair)
        further = (
            {"links": direct, "steps": near}
            | "Steps and links" >> beam.CoGroupByKey()
            | "Walk steps" >> beam.FlatMap(_walk).with_output_types(pair)
        )
        return (direct, further) | "All links" >> beam.Flatten()

    def _linked_rows(self, links: beam.PCollection[tuple[int, bytes]]) -> Any:
        """``matches`` by corpus part, and ``benchmarks``: the rows that show linked pictures."""
        pair = tuple[int, bytes]
        wanted = links | "Linked benchmarks" >> beam.FlatMap(_wanted).with_output_types(pair)
        return (
            {"links": links, "wanted": wanted}
            | "Links by range" >> beam.CoGroupByKey()
            | "Read linked rows"
            >> beam.ParDo(_ReadLinkedRows(self._job.match))
            .with_output_types(pair)
            .with_outputs("benchmarks", main="matches")
        )
