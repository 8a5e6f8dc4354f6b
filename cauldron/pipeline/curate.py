"""The curate step of a stage: equal pictures are found and clustered, then each row is decided on.

Matching (`match.py`) is about pictures and common to all stages; what happens to their rows
depends on the stage. Clusters and evidence of contamination are written into the curation's folder
first; decisions (`decide.py`) are made from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cauldron.core import storage
from cauldron.core.output.manifests import (
    CorpusManifest,
    CurationManifest,
    MatchCounts,
    RowFile,
)
from cauldron.core.output.markers import missing
from cauldron.core.rules import DuplicateRules, TextOverlapRules
from cauldron.pipeline.decide import Matched, bucket_count, curate
from cauldron.pipeline.match import MatchRequest, match, match_job
from cauldron.pipeline.rate import kept_ratings
from cauldron.pipeline.runner import Job, Launcher
from cauldron.recipe import Recipe
from cauldron.transforms.matching.cluster import ClusterJob, ClusterPictures
from cauldron.transforms.matching.compare import PictureComparer
from cauldron.transforms.matching.contamination import ContaminationJob, FindContamination
from cauldron.transforms.matching.records import OCCURRENCE, MatchJob
from cauldron.transforms.matching.texts import FindTexts, TextJob

# Comparing the text of a row takes as long as reading this many bytes: decides between one process
# and many.
_TEXT_BYTES = 2_000


@dataclass(frozen=True)
class CurateRequest:
    """What a build has to curate.

    Attributes:
        corpora: in the order of the recipe, which is the sources' priority.
        benchmarks: to keep out, by name.
    """

    recipe: Recipe
    output: str
    corpora: Mapping[str, CorpusManifest]
    benchmarks: Mapping[str, CorpusManifest]


def curate_stage(request: CurateRequest, stage: str, launcher: Launcher) -> CurationManifest:
    """The decisions that a stage's mixture is made from; stages with equal settings share them."""
    rules = request.recipe.duplicate_rules(stage)
    if rules is None and not request.benchmarks:
        rated = _rated(request, request.corpora)
        return curate(request.corpora, request.output, launcher, rated)
    # A row of this stage must not merge into a row that only another stage takes.
    mixed = request.recipe.stage(stage).mixture
    corpora = {name: request.corpora[name] for name in mixed if name in request.corpora}
    matching = MatchRequest(corpora, request.benchmarks, rules or DuplicateRules(), request.output)
    matches = match(matching, launcher)
    matched = replace(
        _rated(request, corpora),
        matches=matches.fingerprint,
        benchmarks=matches.benchmarks,
        action=rules.action if rules else None,
        conflicts=rules.conflicts if rules else "keep",
        against=(request.recipe.against.match, request.recipe.against.ngram),
        texts=request.recipe.against.texts if request.benchmarks else None,
    )

    def find(folder: str) -> Matched:
        job, files = match_job(matching), bucket_count(corpora)
        clusters = ClusterJob(job, folder, files)
        share, ngram = matched.against
        evidence = ContaminationJob(job, folder, files, share == "image_and_text", ngram)
        contamination = _write(evidence, matches.counts, launcher) if request.benchmarks else ()
        if matched.texts is not None:
            texts = _text_job(matched.texts, job, folder, files)
            contamination += _write_texts(texts, matching, launcher)
        return replace(
            matched,
            clusters=_write(clusters, matches.counts, launcher) if rules else (),
            contamination=contamination,
        )

    return curate(corpora, request.output, launcher, matched, find)


def _rated(request: CurateRequest, corpora: Mapping[str, CorpusManifest]) -> Matched:
    """What ratings drop, before anything is known of pictures."""
    ratings = kept_ratings(request.recipe, request.output, corpora)
    rules = request.recipe.ratings
    if rules is None or not ratings:
        return Matched()
    return Matched(ratings=ratings, least=rules.least)


def _write(
    job: ClusterJob | ContaminationJob, counts: MatchCounts, launcher: Launcher
) -> tuple[RowFile, ...]:
    """Write clusters or contamination unless they are there; returns the files."""
    name = job.name(0).partition("-")[0]
    markers = [job.marker(number) for number in range(job.files)]
    if missing(markers):
        about = f"{name} among {counts.pictures:,} pictures"
        transform = (
            ClusterPictures(job, PictureComparer)
            if isinstance(job, ClusterJob)
            else FindContamination(job)
        )
        size = counts.images * OCCURRENCE.itemsize
        ranges = list(range(job.match.ranges))
        launcher.submit(Job("curate", name, about, ranges, transform, size, markers))
    return _files(markers)


def _text_job(rules: TextOverlapRules, job: MatchJob, folder: str, files: int) -> TextJob:
    return TextJob(
        match=job,
        folder=folder,
        files=files,
        ngram=rules.ngram,
        overlap=rules.overlap,
        max_texts=rules.max_texts,
        remove=rules.action == "remove",
        remove_pictured=rules.pictured == "remove",
    )


def _write_texts(job: TextJob, matching: MatchRequest, launcher: Launcher) -> tuple[RowFile, ...]:
    """Write the evidence of texts unless it is there; returns the files."""
    markers = [job.marker(number) for number in range(job.files)]
    if missing(markers):
        rows = sum(item.counts.kept for item in matching.manifests)
        parts = [
            (number, part)
            for number, source in enumerate(job.match.sources)
            for part in range(source.parts)
        ]
        about, size = f"texts of {rows:,} rows", rows * _TEXT_BYTES
        launcher.submit(Job("curate", "texts", about, parts, FindTexts(job), size, markers))
    return _files(markers)


def _files(markers: list[str]) -> tuple[RowFile, ...]:
    return tuple(RowFile(**storage.read_json(marker)["file"]) for marker in markers)
