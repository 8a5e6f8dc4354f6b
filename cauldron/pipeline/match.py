"""The matching step: which pictures of all corpora and benchmarks are the same.

Three kinds of Beam jobs, each for the work that has no marker yet: pictures, candidate pairs (in
as many passes as this machine's memory needs), verdicts on pixels. Verdicts name pictures by
content, so those of earlier matchings stay valid: a new source costs only its own pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
from cauldron.core.output.markers import missing
from cauldron.core.rules import DuplicateRules
from cauldron.pipeline.options import shuffle_limit
from cauldron.pipeline.runner import Job, Launcher
from cauldron.pipeline.step import Step
from cauldron.transforms.matching.compare import COMPARE_VERSION, CompareJob, ComparePairs
from cauldron.transforms.matching.join import Candidates, find_candidates
from cauldron.transforms.matching.pictures import PICTURES_PER_RANGE, CollectPictures, PicturePart
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

    @property
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


def match(request: MatchRequest, launcher: Launcher) -> MatchManifest:
    """Find the pairs of equal pictures.

    Raises:
        CauldronError: a job failed.
    """
    folder = match_folder(request.output, request.fingerprint)
    step = Step(kind=MatchManifest, folder=folder, fingerprint=request.fingerprint)
    return step.make("match", lambda: _match(request, launcher), launcher.say)


def _match(request: MatchRequest, launcher: Launcher) -> MatchManifest:
    job = match_job(request)
    _collect_pictures(request, job, launcher)
    marks = _read_markers(job, "pictures")
    pictures = sum(mark["pictures"]["rows"] for mark in marks)
    candidates = _find_candidates(job, pictures, launcher)
    _compare_pairs(request, job, candidates, launcher)
    # Only the verdicts needed the candidates.
    for path in storage.list_files(job.folder, ".parquet"):
        if path.rpartition("/")[2].startswith("candidates-"):
            storage.remove(path)
    return _manifest(request, job, marks, candidates)


def _values(rules: DuplicateRules) -> dict[str, Any]:
    """The rules that decide which pairs are found; the others decide about their rows."""
    return rules.model_dump(include={"radius", "radius256", "aspect", "neighbours"})


def match_job(request: MatchRequest) -> MatchJob:
    """The job as it travels to workers."""
    kinds = ((request.corpora, corpus_folder, False), (request.benchmarks, benchmark_folder, True))
    sources = tuple(
        MatchSource(name, place(request.output, name, item.fingerprint), len(item.parts), benchmark)
        for items, place, benchmark in kinds
        for name, item in items.items()
    )
    return MatchJob(
        sources=sources,
        folder=match_folder(request.output, request.fingerprint),
        ranges=max(1, -(-request.images // PICTURES_PER_RANGE)),
        **_values(request.rules),
    )


def _collect_pictures(request: MatchRequest, job: MatchJob, launcher: Launcher) -> None:
    markers = _markers(job, "pictures")
    if not missing(markers):
        return
    parts = [
        PicturePart(number, part.part, storage.join(source.corpus, part.parquet.name))
        for number, source in enumerate(job.sources)
        for part in request.manifests[number].parts
    ]
    about = f"{request.images:,} images of {len(job.sources)} sources"
    size = request.images * OCCURRENCE.itemsize
    launcher.submit(Job("match", "pictures", about, parts, CollectPictures(job), size, markers))


def _find_candidates(job: MatchJob, pictures: int, launcher: Launcher) -> Candidates:
    limit = shuffle_limit(launcher.beam_args)
    ranges = list(range(job.ranges))

    def run(name: str, transform: beam.PTransform, size: int) -> None:
        about = f"{name}, {pictures:,} pictures"
        name, size = name.replace(" ", "-"), min(size, limit)
        launcher.submit(Job("match", name, about, ranges, transform, size))

    return find_candidates(job, pictures, limit, run)


def _compare_pairs(
    request: MatchRequest, job: MatchJob, candidates: Candidates, launcher: Launcher
) -> None:
    markers = _markers(job, "verdicts")
    if todo := missing(markers):
        pairs = candidates.counts["pairs"]
        about, size = f"{pairs:,} pairs to compare", pairs * _PAIR_BYTES
        compare = ComparePairs(CompareJob(job, candidates.files, _earlier(request, job)))
        launcher.submit(Job("match", "compare", about, todo, compare, size, markers))


def _markers(job: MatchJob, stem: str) -> list[str]:
    return [job.marker(stem, number) for number in range(job.ranges)]


def _read_markers(job: MatchJob, stem: str) -> list[dict[str, Any]]:
    return [storage.read_json(path) for path in _markers(job, stem)]


def _earlier(request: MatchRequest, job: MatchJob) -> tuple[tuple[str, ...], ...]:
    """For each range the verdict files of finished matchings that may hold its pairs.

    Ranges are equal parts of all keys, in order, so a file holds the keys of a known interval.
    """
    known: list[list[str]] = [[] for _ in range(job.ranges)]
    for name in storage.list_folders(storage.join(request.output, "matches")):
        folder = match_folder(request.output, name)
        try:
            old = read_manifest(MatchManifest, folder)
        except FileNotFoundError:
            continue  # unfinished
        if (old.compare_version, old.opencv) != (COMPARE_VERSION, cv2.__version__):
            continue
        for number in range(job.ranges):
            first = number * len(old.verdicts) // job.ranges
            last = -(-(number + 1) * len(old.verdicts) // job.ranges)
            files = old.verdicts[first:last]
            known[number] += [storage.join(folder, file.name) for file in files]
    return tuple(tuple(paths) for paths in known)


def _manifest(
    request: MatchRequest, job: MatchJob, marks: list[dict[str, Any]], candidates: Candidates
) -> MatchManifest:
    """From the markers of pictures, and of verdicts."""
    pictures = [RowFile(**mark["pictures"]) for mark in marks]
    occurrences = [RowFile(**mark["occurrences"]) for mark in marks]
    marks = _read_markers(job, "verdicts")
    verdicts = [RowFile(**mark["verdicts"]) for mark in marks]
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
            compared=sum(mark["compared"] for mark in marks),
            same=sum(mark["same"] for mark in marks),
            crowded=candidates.counts.get("in_crowds", 0),
        ),
    )
