"""The matching step: which pictures of all corpora and benchmarks are the same.

Three Beam jobs, each skipped as far as its files are there: pictures, candidate pairs (in as many
passes as this machine's memory asks for), verdicts on pixels. Verdicts name pictures by content,
so those of earlier matchings hold: a source added to a finished build costs only its own pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import cv2

from cauldron.core import storage
from cauldron.core.fingerprints import fingerprint
from cauldron.core.manifests import (
    MANIFEST,
    CorpusManifest,
    MatchCounts,
    MatchManifest,
    RowFile,
    benchmark_folder,
    corpus_folder,
    match_folder,
    read_manifest,
)
from cauldron.core.rules import DuplicateRules
from cauldron.pipeline import runner
from cauldron.pipeline.ingesting import Say
from cauldron.transforms.matching.compare import COMPARE_VERSION, CompareJob, ComparePairs
from cauldron.transforms.matching.join import Candidates, find_candidates
from cauldron.transforms.matching.pictures import PICTURES_PER_RANGE, CollectPictures, PicturePart
from cauldron.transforms.matching.records import OCCURRENCE, MatchJob, MatchSource

# Part of every matching's fingerprint; raise it when the same corpora would match differently.
MATCH_VERSION = 1

# What comparing a pair weighs against reading bytes, to decide between one process and many.
_PAIR_BYTES = 1_000_000


@dataclass(frozen=True)
class MatchRequest:
    """What is matched.

    Attributes:
        corpora: in the order of the recipe, which is the sources' priority.
        benchmarks: and the folders of both.
    """

    corpora: Mapping[str, CorpusManifest]
    benchmarks: Mapping[str, CorpusManifest]
    rules: DuplicateRules
    output: str


def match(request: MatchRequest, beam_args: list[str], say: Say) -> MatchManifest:
    """Find the pairs of equal pictures; done already when nothing that decides them has changed.

    Raises:
        CauldronError: a job failed.
    """
    print_ = _fingerprint(request)
    folder = match_folder(request.output, print_)
    try:
        found = read_manifest(MatchManifest, folder)
        say("match: done already")
        return found
    except FileNotFoundError:
        pass
    job = match_job(request, print_)
    _collect_pictures(request, job, beam_args, say)
    marks = [storage.read_json(job.marker("pictures", n)) for n in range(job.ranges)]
    pictures = sum(mark["pictures"]["rows"] for mark in marks)
    candidates = _find_candidates(job, pictures, beam_args, say)
    _verify_pairs(request, job, candidates, candidates.counts["pairs"], beam_args, say)
    return _finish(request, job, candidates)


def _fingerprint(request: MatchRequest) -> str:
    return fingerprint(
        {
            # Pixels are compared by OpenCV's arithmetic.
            "version": [MATCH_VERSION, COMPARE_VERSION, cv2.__version__],
            # Lists, not mappings: the order is the sources' priority.
            "corpora": [[name, item.fingerprint] for name, item in request.corpora.items()],
            "benchmarks": [[name, item.fingerprint] for name, item in request.benchmarks.items()],
            "rules": _values(request.rules),
        }
    )


def _values(rules: DuplicateRules) -> dict[str, Any]:
    """The rules that decide which pairs are found; the others say what becomes of them."""
    return rules.model_dump(include={"radius", "radius256", "aspect", "neighbours"})


def match_job(request: MatchRequest, print_: str) -> MatchJob:
    """The job as it travels to workers."""
    kinds = ((request.corpora, corpus_folder, False), (request.benchmarks, benchmark_folder, True))
    sources = tuple(
        MatchSource(name, place(request.output, name, item.fingerprint), len(item.parts), benchmark)
        for items, place, benchmark in kinds
        for name, item in items.items()
    )
    manifests = [*request.corpora.values(), *request.benchmarks.values()]
    images = sum(item.counts.images for item in manifests)
    return MatchJob(
        sources=sources,
        folder=match_folder(request.output, print_),
        ranges=max(1, -(-images // PICTURES_PER_RANGE)),
        **_values(request.rules),
    )


def _collect_pictures(request: MatchRequest, job: MatchJob, beam_args: list[str], say: Say) -> None:
    markers = [job.marker("pictures", number) for number in range(job.ranges)]
    if all(storage.exists(marker) for marker in markers):
        return
    manifests = [*request.corpora.values(), *request.benchmarks.values()]
    parts = [
        PicturePart(number, part.part, storage.join(source.corpus, part.parquet.name))
        for number, (source, manifest) in enumerate(zip(job.sources, manifests, strict=True))
        for part in manifest.parts
    ]
    images = sum(item.counts.images for item in manifests)
    say(f"match: {images:,} images of {len(job.sources)} sources")

    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | "Corpus parts" >> beam.Create(parts, reshuffle=False) | CollectPictures(job)

    runner.run("pictures", build, beam_args, images * OCCURRENCE.itemsize)


def _find_candidates(job: MatchJob, pictures: int, beam_args: list[str], say: Say) -> Candidates:
    ranges = list(range(job.ranges))
    limit = runner.shuffle_limit(beam_args)

    def run(name: str, transform: beam.PTransform, size: int) -> None:
        say(f"match: {name}, {pictures:,} pictures")

        def build(pipeline: beam.Pipeline) -> None:
            _ = pipeline | "Ranges" >> beam.Create(ranges, reshuffle=False) | transform

        runner.run(name.replace(" ", "-"), build, beam_args, min(size, limit))

    return find_candidates(job, pictures, limit, run)


def _verify_pairs(
    request: MatchRequest,
    job: MatchJob,
    candidates: Candidates,
    pairs: int,
    beam_args: list[str],
    say: Say,
) -> None:
    markers = [job.marker("verdicts", number) for number in range(job.ranges)]
    todo = [n for n, marker in enumerate(markers) if not storage.exists(marker)]
    if not todo:
        return
    say(f"match: {pairs:,} pairs to compare")
    compare = CompareJob(job, candidates.files, _earlier(request, job))

    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | "Ranges" >> beam.Create(todo, reshuffle=False) | ComparePairs(compare)

    watch = runner.progress("match", markers, say)
    runner.run("verify", build, beam_args, pairs * _PAIR_BYTES, watch)


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
            continue  # a matching that never ended
        if (old.compare_version, old.opencv) != (COMPARE_VERSION, cv2.__version__):
            continue
        for number in range(job.ranges):
            first = number * len(old.verdicts) // job.ranges
            last = -(-(number + 1) * len(old.verdicts) // job.ranges)
            files = old.verdicts[first:last]
            known[number] += [storage.join(folder, file.name) for file in files]
    return tuple(tuple(paths) for paths in known)


def _finish(request: MatchRequest, job: MatchJob, candidates: Candidates) -> MatchManifest:
    """Write the manifest, and take away what only later steps of this job needed."""
    marks = {
        stem: [storage.read_json(job.marker(stem, n)) for n in range(job.ranges)]
        for stem in ("pictures", "verdicts")
    }
    pictures = [RowFile(**mark["pictures"]) for mark in marks["pictures"]]
    occurrences = [RowFile(**mark["occurrences"]) for mark in marks["pictures"]]
    verdicts = [RowFile(**mark["verdicts"]) for mark in marks["verdicts"]]
    manifest = MatchManifest(
        fingerprint=job.folder.rpartition("/")[2],
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
            compared=sum(mark["compared"] for mark in marks["verdicts"]),
            same=sum(mark["same"] for mark in marks["verdicts"]),
            crowded=candidates.counts.get("in_crowds", 0),
        ),
    )
    storage.remove_temporaries(job.folder)
    # Before the manifest: whoever finds that one looks no further.
    for path in storage.list_files(job.folder, ".parquet"):
        if path.rpartition("/")[2].startswith("candidates-"):
            storage.remove(path)
    storage.write_json(storage.join(job.folder, MANIFEST), manifest.model_dump(mode="json"))
    storage.remove(storage.join(job.folder, "_done"))
    return manifest
