"""Contamination as a Beam job: leaks of pictures, images of rows, evidence, files."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import apache_beam as beam
import numpy as np
from cauldron.transforms.arrays import Array, from_bytes, split_by
from cauldron.transforms.graph import Each
from cauldron.transforms.matching.arrays import (
    benchmark_pictures,
    by_part,
    unpack_benchmarks,
)
from cauldron.transforms.matching.contamination.evidence import (
    BenchmarkImages,
    Evidence,
    find_evidence,
)
from cauldron.transforms.matching.contamination.files import (
    ContaminationJob,
    file_of,
    write_file,
)
from cauldron.transforms.matching.contamination.images import TRAINING_IMAGE, read_images
from cauldron.transforms.matching.contamination.leaks import (
    indirect_leaks,
    leaks_by_content,
    leaks_by_verdict,
    sorted_numbers,
    steps,
    strongest,
)
from cauldron.transforms.matching.parts import FindParts
from cauldron.transforms.matching.records import ALIKE, LEAK, MatchJob
from cauldron.transforms.matching.reviews import kept_apart, same_pairs

_BATCH_ROWS = 4_096

_PAIR = tuple[int, bytes]


def _by_range(leaks: Array, name: str) -> Iterator[tuple[int, bytes]]:
    """Leaks split by the range of one of their pictures."""
    yield from split_by(leaks, leaks[name] >> np.uint64(32))


def _direct_leaks(
    element: int, benchmarks: Iterable[bytes], job: MatchJob
) -> Iterator[tuple[int, bytes]]:
    """Leaks of a range by content and by verdict, split by the training picture's range."""
    pictures = unpack_benchmarks(benchmarks)
    own = pictures[pictures["number"] >> np.uint64(32) == element]
    yield from _by_range(leaks_by_content(own), "training")
    for pairs in same_pairs(element, job, ALIKE):
        yield from _by_range(leaks_by_verdict(pairs, pictures), "training")


def _unless_apart(element: tuple[int, bytes], job: MatchJob) -> tuple[int, bytes]:
    """Without the leaks that are none by review."""
    leaks = from_bytes([element[1]], LEAK)
    apart = kept_apart(leaks["training"], leaks["benchmark"], job)
    return element[0], leaks[~apart].tobytes()


def _training_pictures(element: tuple[int, bytes]) -> bytes:
    return np.unique(from_bytes([element[1]], LEAK)["training"]).tobytes()


def _find_steps(
    element: int, benchmarks: Iterable[bytes], job: MatchJob, *leaked: Iterable[bytes]
) -> Iterator[tuple[int, bytes]]:
    """Steps of a range, split by the range of the picture that they lead to."""
    pictures, numbers = unpack_benchmarks(benchmarks), sorted_numbers(chain(*leaked))
    for pairs in same_pairs(element, job, ALIKE):
        yield from _by_range(steps(pairs, pictures, numbers), "benchmark")


def _follow_steps(
    element: tuple[int, dict[str, Iterable[bytes]]], job: MatchJob
) -> Iterator[tuple[int, bytes]]:
    _, pieces = element
    direct = [piece for name in pieces if name != "steps" for piece in pieces[name]]
    found = indirect_leaks(from_bytes(pieces["steps"], LEAK), from_bytes(direct, LEAK))
    found = found[~kept_apart(found["training"], found["benchmark"], job)]
    yield from _by_range(found, "training")


def _benchmark_numbers(element: tuple[int, bytes]) -> Iterator[tuple[int, bytes]]:
    """The benchmark pictures of leaks, by range."""
    numbers = np.unique(from_bytes([element[1]], LEAK)["benchmark"])
    yield from split_by(numbers, numbers >> np.uint64(32))


def _read_images(element: tuple[int, dict[str, Iterable[bytes]]], job: MatchJob) -> Iterator[Any]:
    number, pieces = element
    leaks, leaked = strongest(from_bytes(pieces["leaks"], LEAK)), sorted_numbers(pieces["leaked"])
    for of_benchmark, images in read_images(leaks, leaked, number, job):
        if of_benchmark:
            yield beam.pvalue.TaggedOutput("benchmark", images.tobytes())
        else:
            yield from by_part(images)


class _FindEvidence(beam.DoFn):
    def __init__(self, job: ContaminationJob) -> None:
        self._job = job
        self._benchmarks: BenchmarkImages | None = None

    def process(
        self, element: tuple[int, Iterable[bytes]], benchmark: Iterable[bytes]
    ) -> Iterator[tuple[int, bytes]]:
        job = self._job
        if self._benchmarks is None:  # a side input is the same for every element of a job
            self._benchmarks = BenchmarkImages(benchmark, job.ngram, job.match)
        batch: dict[int, list[Evidence]] = defaultdict(list)
        images = from_bytes(element[1], TRAINING_IMAGE)
        for item in find_evidence(images, self._benchmarks, job.match_text, job.ngram, job.match):
            number = file_of(item, job.files)
            batch[number].append(item)
            if len(batch[number]) >= _BATCH_ROWS:
                yield number, _packed(batch.pop(number))
        for number, items in batch.items():
            yield number, _packed(items)


def _packed(items: list[Evidence]) -> bytes:
    return json.dumps(items, ensure_ascii=False).encode()


def _write_file(element: tuple[int, Iterable[bytes]], job: ContaminationJob) -> Iterator[int]:
    number, pieces = element
    write_file(number, pieces, job)
    yield number


class FindContamination(beam.PTransform):
    """Numbers of ranges with verdicts in, the numbers of the written files out."""

    def __init__(self, job: ContaminationJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, ranges: beam.PCollection[int]) -> beam.PCollection[int]:
        job = self._job
        images = self._images(self._leaks(ranges))
        empty = ranges.pipeline | "Empty files" >> Each(job.files, b"[]", bytes)
        find = beam.ParDo(_FindEvidence(job), beam.pvalue.AsIter(images.benchmark))
        evidence = (
            images.training
            | "Group by corpus part" >> beam.GroupByKey()
            | "Find evidence" >> find.with_output_types(_PAIR)
        )
        return (
            (empty, evidence)
            | "With empty files" >> beam.Flatten()
            | "Group by file" >> beam.GroupByKey()
            | "Write evidence" >> beam.FlatMap(_write_file, job)
        )

    def _leaks(self, ranges: beam.PCollection[int]) -> beam.PCollection[tuple[int, bytes]]:
        """`LEAK` records by the training picture's range."""
        job = self._job.match
        spread = ranges | "Spread ranges" >> beam.Reshuffle().with_output_types(int)
        benchmarks = benchmark_pictures(spread, job)
        direct = spread | "Direct leaks" >> beam.FlatMap(
            _direct_leaks, benchmarks, job
        ).with_output_types(_PAIR)
        found = {"leaks": direct}
        if self._job.parts:
            found["parts"] = (
                spread
                | "Find parts" >> FindParts(job, self._job.parts)
                | "Without reviewed" >> beam.Map(_unless_apart, job).with_output_types(_PAIR)
            )
        # One side input each: FnApiRunner does not run a side input of flattened collections.
        leaked = [
            beam.pvalue.AsIter(
                leaks
                | f"Leaked pictures: {name}"
                >> beam.Map(_training_pictures).with_output_types(bytes)
            )
            for name, leaks in found.items()
        ]
        steps = spread | "Find steps" >> beam.FlatMap(
            _find_steps, benchmarks, job, *leaked
        ).with_output_types(_PAIR)
        indirect = (
            {**found, "steps": steps}
            | "Leaks and steps" >> beam.CoGroupByKey()
            | "Indirect leaks" >> beam.FlatMap(_follow_steps, job).with_output_types(_PAIR)
        )
        return (*found.values(), indirect) | "All leaks" >> beam.Flatten()

    def _images(self, leaks: beam.PCollection[tuple[int, bytes]]) -> Any:
        """The images that show leaked pictures: ``training`` by corpus part, and ``benchmark``."""
        leaked = leaks | "Leaked benchmark pictures" >> beam.FlatMap(
            _benchmark_numbers
        ).with_output_types(_PAIR)
        return (
            {"leaks": leaks, "leaked": leaked}
            | "Leaks by range" >> beam.CoGroupByKey()
            | "Read images"
            >> beam.FlatMap(_read_images, self._job.match)
            .with_output_types(_PAIR)
            .with_outputs("benchmark", main="training")
        )
