"""The matching step: which pictures of all corpora and benchmarks are the same.

Three steps, each for the work that has no marker yet: pictures, candidate pairs (in as many passes
as a runner on this machine needs), verdicts on pixels. On this machine each is a job, on a remote
runner all are parts of one graph (`MatchPictures`). Verdicts name pictures by content, so those of
earlier matchings stay valid: a new source costs only its own pairs.

What this process does grows with the ranges (500,000 images each): their entries in the manifest,
about 700 bytes each, and one listing per 1,000 markers. It reads the manifest of each earlier
matching once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import apache_beam as beam
import cv2

from cauldron.core import storage
from cauldron.core.fingerprints import fingerprint
from cauldron.core.output.manifests import (
    CorpusManifest,
    MatchCounts,
    MatchManifest,
    RowFile,
    benchmark_folder,
    corpus_folder,
    match_folder,
    read_manifest,
)
from cauldron.core.sections.rules import DuplicateRules
from cauldron.pipeline.runners.options import shuffle_limit
from cauldron.pipeline.runners.runner import Job, Launcher
from cauldron.pipeline.step import Step
from cauldron.transforms.graph import Summed
from cauldron.transforms.matching.compare import (
    COMPARE_VERSION,
    CompareJob,
    ComparePairs,
    ranges_to_compare,
)
from cauldron.transforms.matching.join import (
    JoinPictures,
    find_candidates,
    found_candidates,
    passes_left,
)
from cauldron.transforms.matching.pictures import (
    PICTURES_PER_RANGE,
    CollectPictures,
    picture_parts,
)
from cauldron.transforms.matching.records import OCCURRENCE, MatchJob, MatchSource

# Part of every matching's fingerprint; raise it when the same corpora would match differently.
MATCH_VERSION = 2

# Comparing a pair takes as long as reading this many bytes: decides between one process and many.
_PAIR_BYTES = 1_000_000


@dataclass(frozen=True)
class MatchRequest:
    """What is matched.

    Attributes:
        corpora: in the order of the recipe, which is the sources' priority.
    """

    corpora: Mapping[str, CorpusManifest]
    benchmarks: Mapping[str, CorpusManifest]
    rules: DuplicateRules
    output: str

    @property
    def manifests(self) -> list[CorpusManifest]:
        """Of corpora, then of benchmarks."""
        return [*self.corpora.values(), *self.benchmarks.values()]

    @property
    def images(self) -> int:
        return sum(item.counts.images for item in self.manifests)

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(
            {
                # OpenCV's arithmetic compares the pixels.
                "version": [MATCH_VERSION, COMPARE_VERSION, cv2.__version__],
                # Lists, not mappings: the order is the sources' priority.
                "corpora": [[name, item.fingerprint] for name, item in self.corpora.items()],
                "benchmarks": [[name, item.fingerprint] for name, item in self.benchmarks.items()],
                "rules": _values(self.rules),
            }
        )

    @property
    def folder(self) -> str:
        return match_folder(self.output, self.fingerprint)

    @property
    def step(self) -> Step[MatchManifest]:
        return Step(kind=MatchManifest, folder=self.folder, fingerprint=self.fingerprint)

    @cached_property
    def job(self) -> MatchJob:
        """As it travels to workers."""
        kinds = (
            (self.corpora, corpus_folder, False),
            (self.benchmarks, benchmark_folder, True),
        )
        sources = tuple(
            MatchSource(
                name, place(self.output, name, item.fingerprint), len(item.parts), benchmark
            )
            for items, place, benchmark in kinds
            for name, item in items.items()
        )
        return MatchJob(
            sources=sources,
            folder=self.folder,
            ranges=max(1, -(-self.images // PICTURES_PER_RANGE)),
            **_values(self.rules),
        )


def match(request: MatchRequest, launcher: Launcher) -> MatchManifest:
    """Find the pairs of equal pictures, in a job for each step.

    Raises:
        CauldronError: a job failed.
    """

    def build() -> MatchManifest:
        _collect_pictures(request, launcher)
        _find_candidates(request, launcher)
        _compare_pairs(request, launcher)
        return match_manifest(request)

    return request.step.make("match", build, launcher.say)


class MatchPictures(beam.PTransform):
    """A matching as a part of one graph: anything in, and out when all verdicts are written. What
    is written already is not written again.

    Args:
        before: matchings of the same graph that are complete when this one begins.
    """

    def __init__(self, request: MatchRequest, before: Iterable[MatchRequest] = ()) -> None:
        super().__init__()
        self._request, self._before = request, tuple(before)

    def expand(self, done: beam.PCollection[Any]) -> beam.PCollection[Any]:
        job = self._request.job
        if not job.markers("pictures").is_summed():
            done = done | "Pictures" >> _pictures_step(job)
        if job.markers("verdicts").missing() and passes_left(job):
            done = done | "Candidates" >> JoinPictures(job, self._request.images)
        return done | "Compare" >> _compare_step(self._request, self._before)

    def markers(self) -> list[str]:
        """Of all that the transform writes."""
        job = self._request.job
        return [*job.markers("pictures").paths(), *job.markers("verdicts").paths()]


def _values(rules: DuplicateRules) -> dict[str, Any]:
    """The rules that decide which pairs are found; the others decide about their rows."""
    return rules.model_dump(include={"radius", "radius256", "aspect", "neighbours"})


def _pictures_step(job: MatchJob) -> Summed:
    markers = job.markers("pictures")
    todo = markers.missing()
    work = CollectPictures(job, _others(todo, job)) if todo else None
    return Summed((markers,), work, picture_parts, job)


def _compare_step(request: MatchRequest, before: Iterable[MatchRequest] = ()) -> Summed:
    job = request.job
    markers = job.markers("verdicts")
    todo = markers.missing()
    known = (*_earlier(request), *((one.folder, one.job.ranges) for one in before))
    compare = CompareJob(job, known, _others(todo, job))
    return Summed((markers,), ComparePairs(compare) if todo else None, ranges_to_compare, compare)


def _others(todo: Iterable[int], job: MatchJob) -> frozenset[int]:
    return frozenset(range(job.ranges)).difference(todo)


def _collect_pictures(request: MatchRequest, launcher: Launcher) -> None:
    job, markers = request.job, request.job.markers("pictures")
    if not markers.is_summed():
        about = f"{request.images:,} images of {len(job.sources)} sources"
        size = request.images * OCCURRENCE.itemsize
        step = _pictures_step(job)
        launcher.submit(Job("match", "pictures", about, [0], step, size, markers.paths()))


def _find_candidates(request: MatchRequest, launcher: Launcher) -> None:
    job, limit = request.job, shuffle_limit(launcher.beam_args)
    if job.markers("verdicts").is_summed():
        return
    pictures = sum(mark["pictures"]["rows"] for mark in job.markers("pictures").read())
    ranges = list(range(job.ranges))

    def run(name: str, transform: beam.PTransform, size: int) -> None:
        about = f"{name}, {pictures:,} pictures"
        name, size = name.replace(" ", "-"), min(size, limit)
        launcher.submit(Job("match", name, about, ranges, transform, size))

    find_candidates(job, pictures, limit, run)


def _compare_pairs(request: MatchRequest, launcher: Launcher) -> None:
    job, markers = request.job, request.job.markers("verdicts")
    if not markers.is_summed():
        pairs = found_candidates(job).counts["pairs"]
        about, size = f"{pairs:,} pairs to compare", pairs * _PAIR_BYTES
        step = _compare_step(request)
        launcher.submit(Job("match", "compare", about, [0], step, size, markers.paths()))


def _earlier(request: MatchRequest) -> tuple[tuple[str, int], ...]:
    """Folders of finished matchings whose verdicts are still right, and the ranges of each."""
    found = []
    for name in storage.list_folders(storage.join(request.output, "matches")):
        folder = match_folder(request.output, name)
        try:
            old = read_manifest(MatchManifest, folder)
        except FileNotFoundError:
            continue  # unfinished
        if (old.compare_version, old.opencv) == (COMPARE_VERSION, cv2.__version__):
            found.append((folder, len(old.verdicts)))
    return tuple(found)


def match_manifest(request: MatchRequest) -> MatchManifest:
    """From the summaries of pictures and of verdicts. Removes the candidates, which only the
    verdicts needed."""
    job = request.job
    marks, compared = (list(job.markers(stem).read()) for stem in ("pictures", "verdicts"))
    pictures = [RowFile(**mark["pictures"]) for mark in marks]
    occurrences = [RowFile(**mark["occurrences"]) for mark in marks]
    verdicts = [RowFile(**mark["verdicts"]) for mark in compared]
    candidates = found_candidates(job)
    storage.remove(job.temporaries)
    return MatchManifest(
        fingerprint=request.fingerprint,
        corpora={name: item.fingerprint for name, item in request.corpora.items()},
        benchmarks={name: item.fingerprint for name, item in request.benchmarks.items()},
        order=[source.name for source in job.sources],
        **_values(request.rules),
        compare_version=COMPARE_VERSION,
        opencv=cv2.__version__,
        pictures=pictures,
        occurrences=occurrences,
        verdicts=verdicts,
        counts=MatchCounts(
            images=sum(file.rows for file in occurrences),
            pictures=sum(file.rows for file in pictures),
            candidates=sum(file.rows for file in verdicts),
            compared=sum(mark["compared"] for mark in compared),
            same=sum(mark["same"] for mark in compared),
            other_colours=sum(mark["other_colours"] for mark in compared),
            other_rendering=sum(mark["other_rendering"] for mark in compared),
            crowded=candidates.counts.get("in_crowds", 0),
        ),
    )
