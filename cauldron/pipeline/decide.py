"""Decisions on every corpus row, from ids and from what matching found.

This process reads what the decisions add up to from one file, and never a decision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2

from cauldron.core.fingerprints import fingerprint
from cauldron.core.output.counts import CurationCounts
from cauldron.core.output.manifests import (
    CorpusManifest,
    CurationManifest,
    RatingManifest,
    RowFile,
    corpus_folder,
    curation_folder,
    ratings_folder,
)
from cauldron.core.reviews import Review, reviews_digest
from cauldron.core.sections.ratings import Scale
from cauldron.core.sections.rules import Action, Conflicts, TextOverlapRules
from cauldron.pipeline.runners.runner import Job, Launcher
from cauldron.pipeline.step import Step
from cauldron.sources.catalog import registry
from cauldron.transforms.curate.pipeline import (
    CURATE_ROW_BYTES,
    CURATE_VERSION,
    ROWS_PER_BUCKET,
    CurateCorpora,
)
from cauldron.transforms.curate.records import CurateJob, CurateSource
from cauldron.transforms.graph import Summed
from cauldron.transforms.matching.cluster import CLUSTER_VERSION
from cauldron.transforms.matching.contamination import CONTAMINATION_VERSION
from cauldron.transforms.matching.parts import PARTS_VERSION
from cauldron.transforms.matching.reviews import REVIEW_VERSION
from cauldron.transforms.matching.texts import TEXT_VERSION


@dataclass(frozen=True)
class Matched:
    """What matching found in the corpora of a curation, and what happens to those rows.

    Attributes:
        matches: fingerprint of the matching; None without one.
        action, conflicts, max_documents: as in `DuplicateRules`.
        benchmarks: fingerprints of the benchmarks to keep out, by name.
        against: what a row and a benchmark must share, and how many words in sequence.
        texts: when a row repeats a benchmark's text; None if texts are not compared.
        parts: whether parts of benchmark pictures are looked for.
        clusters, contamination: files in the curation's folder.
        other_colours, other_rendering: whether pictures in other colours, and pages in another
            rendering, are the same in clusters.
        recoloured, rerendered: how many images are in a cluster in other colours, and in another
            rendering.
        reviews: what a person says of pairs.
        reviewed: the file in the curation's folder with what became of them, and their counts.
        ratings: the ratings that decide, by source.
        least: the smallest rating that each turn of a row may have, by scale.
    """

    matches: str | None = None
    benchmarks: Mapping[str, str] = field(default_factory=dict)
    action: Action | None = None
    conflicts: Conflicts = "keep"
    max_documents: int | None = None
    against: tuple[str, int] = ("image", 13)
    texts: TextOverlapRules | None = None
    parts: bool = False
    clusters: tuple[RowFile, ...] = ()
    contamination: tuple[RowFile, ...] = ()
    other_colours: bool = False
    recoloured: int = 0
    other_rendering: bool = False
    rerendered: int = 0
    reviews: tuple[Review, ...] = ()
    reviewed: tuple[RowFile, Mapping[str, int]] | None = None
    ratings: Mapping[str, RatingManifest] = field(default_factory=dict)
    least: Mapping[Scale, int] = field(default_factory=dict)


def curation_fingerprint(corpora: Mapping[str, CorpusManifest], matched: Matched) -> str:
    """Of the curation of `corpora`, which are in the order of the recipe."""
    digests = {name: manifest.fingerprint for name, manifest in corpora.items()}
    values: dict[str, Any] = {"version": CURATE_VERSION, "corpora": digests}
    if matched.matches is not None:
        values |= {
            "priority": list(digests),
            "matches": matched.matches,
            "benchmarks": dict(matched.benchmarks),
            "action": matched.action,
            "conflicts": matched.conflicts,
            "max_documents": matched.max_documents,
            "clusters": CLUSTER_VERSION,
            "dialogues": [name for name in digests if registry()[name].dialogue],
        }
    if matched.benchmarks:
        values["against"] = [CONTAMINATION_VERSION, *matched.against]
        if matched.parts:
            # OpenCV finds the features.
            values["parts"] = [PARTS_VERSION, cv2.__version__]
        if matched.texts is not None:
            values["texts"] = [TEXT_VERSION, matched.texts.model_dump(mode="json")]
    if matched.other_colours:
        values["other_colours"] = True
    if matched.other_rendering:
        values["other_rendering"] = True
    if matched.reviews:
        values["reviews"] = [REVIEW_VERSION, reviews_digest(matched.reviews)]
    if matched.ratings:
        values["ratings"] = {name: item.fingerprint for name, item in matched.ratings.items()}
        values["least"] = dict(matched.least)
    return fingerprint(values)


def curation_step(
    corpora: Mapping[str, CorpusManifest], output: str, matched: Matched
) -> Step[CurationManifest]:
    """The folder of the curation of `corpora`."""
    digest = curation_fingerprint(corpora, matched)
    folder = curation_folder(output, digest)
    return Step(kind=CurationManifest, folder=folder, fingerprint=digest)


def curate(
    corpora: Mapping[str, CorpusManifest],
    output: str,
    launcher: Launcher,
    matched: Matched | None = None,
    find: Callable[[str], Matched] | None = None,
) -> CurationManifest:
    """One decision per row of all corpora.

    Args:
        find: writes clusters and contamination into a folder, and returns `matched` with these
            files. Not called when the curation is finished.
    """
    matched = matched or Matched()
    step = curation_step(corpora, output, matched)

    def build() -> CurationManifest:
        found = find(step.folder) if find else matched
        files = (*found.clusters, *found.contamination)
        counts = Counter(file.name.partition("-")[0] for file in files)
        job = curate_job(corpora, output, found, counts)
        if not job.markers.is_summed():
            rows = _rows(corpora)
            about = f"{rows:,} rows of {len(job.sources)} sources"
            size, markers = rows * CURATE_ROW_BYTES, job.markers.paths()
            launcher.submit(Job("curate", "curate", about, [0], decide_step(job), size, markers))
        return curation_manifest(job, corpora, found)

    return step.make("curate", build, launcher.say)


def decide_step(job: CurateJob) -> Summed:
    """Decide on all rows, unless that is done. Anything in, when clusters and contamination are
    there."""
    markers = (job.merged_markers, job.markers)
    todo = any(one.missing() for one in markers)
    return Summed(markers, CurateCorpora(job) if todo else None)


def bucket_count(corpora: Mapping[str, CorpusManifest]) -> int:
    """How many files the decisions go into; clusters and contamination go into as many."""
    return max(1, -(-_rows(corpora) // ROWS_PER_BUCKET))


def _rows(corpora: Mapping[str, CorpusManifest]) -> int:
    return sum(manifest.counts.kept for manifest in corpora.values())


def curate_job(
    corpora: Mapping[str, CorpusManifest],
    output: str,
    matched: Matched,
    found: Mapping[str, int],
) -> CurateJob:
    """The job as it travels to workers.

    Args:
        found: how many files of clusters and of evidence there will be, by the stem of their names.
    """
    known = registry()

    def source(name: str, corpus: CorpusManifest) -> CurateSource:
        rated = matched.ratings.get(name)
        return CurateSource(
            name,
            corpus_folder(output, name, corpus.fingerprint),
            len(corpus.parts),
            known[name].dialogue,
            None if rated is None else ratings_folder(output, name, rated.fingerprint),
        )

    return CurateJob(
        sources=tuple(source(name, corpus) for name, corpus in corpora.items()),
        buckets=bucket_count(corpora),
        folder=curation_step(corpora, output, matched).folder,
        action=matched.action,
        conflicts=matched.conflicts,
        max_documents=matched.max_documents,
        least=tuple(sorted(matched.least.items())),
        found=tuple(sorted(found.items())),
    )


def curation_manifest(
    job: CurateJob, corpora: Mapping[str, CorpusManifest], matched: Matched
) -> CurationManifest:
    """From the summaries of the decisions and of the merged texts."""
    marks = list(job.markers.read())
    counts = {source.name: CurationCounts(rows_in=0, kept=0) for source in job.sources}
    reviewed, reviews = matched.reviewed or (None, {})
    for mark in marks:
        for name, values in mark["sources"].items():
            counts[name] += CurationCounts(**values)
    return CurationManifest(
        fingerprint=job.folder.rpartition("/")[2],
        corpora={name: item.fingerprint for name, item in corpora.items()},
        priority=list(corpora),
        matches=matched.matches,
        benchmarks=dict(matched.benchmarks),
        action=matched.action,
        conflicts=matched.conflicts,
        max_documents=matched.max_documents,
        ratings={name: item.fingerprint for name, item in matched.ratings.items()},
        least=dict(matched.least),
        buckets=[RowFile(**mark["file"]) for mark in marks],
        clusters=list(matched.clusters),
        contamination=list(matched.contamination),
        merged=[RowFile(**mark["file"]) for mark in job.merged_markers.read()],
        recoloured=matched.recoloured if matched.other_colours else None,
        rerendered=matched.rerendered if matched.other_rendering else None,
        reviewed=[] if reviewed is None else [reviewed],
        reviews=dict(reviews),
        reviews_digest=reviews_digest(matched.reviews) if matched.reviews else None,
        counts=counts,
    )
