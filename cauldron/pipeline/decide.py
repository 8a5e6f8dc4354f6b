"""Decisions on every corpus row, from ids and from what matching found; one Beam job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cauldron.core import storage
from cauldron.core.fingerprints import fingerprint
from cauldron.core.output.counts import CurationCounts
from cauldron.core.output.manifests import (
    CorpusManifest,
    CurationManifest,
    RatingManifest,
    RowFile,
    corpus_folder,
    curation_folder,
)
from cauldron.core.ratings import Scale
from cauldron.core.rules import Action, Conflicts, TextOverlapRules
from cauldron.pipeline.runner import Job, Launcher
from cauldron.pipeline.step import Step
from cauldron.sources.catalog import registry
from cauldron.transforms.curate.index import PartPath
from cauldron.transforms.curate.pipeline import (
    CURATE_ROW_BYTES,
    CURATE_VERSION,
    ROWS_PER_BUCKET,
    CurateCorpora,
)
from cauldron.transforms.curate.records import CurateJob, CurateSource
from cauldron.transforms.matching.cluster import CLUSTER_VERSION
from cauldron.transforms.matching.contamination import CONTAMINATION_VERSION
from cauldron.transforms.matching.texts import TEXT_VERSION


@dataclass(frozen=True)
class Matched:
    """What matching found in the corpora of a curation, and what happens to those rows.

    Attributes:
        matches: fingerprint of the matching; None without one.
        benchmarks: fingerprints of the benchmarks to keep out, by name.
        against: what a row and a benchmark must share, and how many words in sequence.
        texts: when a row repeats a benchmark's text; None if texts are not compared.
        clusters, contamination: files in the curation's folder.
        ratings: the ratings that decide, by source.
        least: the smallest rating that each turn of a row may have, by scale.
    """

    matches: str | None = None
    benchmarks: Mapping[str, str] = field(default_factory=dict)
    action: Action | None = None
    conflicts: Conflicts = "keep"
    against: tuple[str, int] = ("image", 13)
    texts: TextOverlapRules | None = None
    clusters: tuple[RowFile, ...] = ()
    contamination: tuple[RowFile, ...] = ()
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
            "clusters": CLUSTER_VERSION,
            "dialogues": [name for name in digests if registry()[name].dialogue],
        }
    if matched.benchmarks:
        values["against"] = [CONTAMINATION_VERSION, *matched.against]
        if matched.texts is not None:
            values["texts"] = [TEXT_VERSION, matched.texts.model_dump(mode="json")]
    if matched.ratings:
        values["ratings"] = {name: item.fingerprint for name, item in matched.ratings.items()}
        values["least"] = dict(matched.least)
    return fingerprint(values)


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
    digest = curation_fingerprint(corpora, matched)
    folder = curation_folder(output, digest)

    def build() -> CurationManifest:
        return _decide(corpora, output, folder, find(folder) if find else matched, launcher)

    step = Step(kind=CurationManifest, folder=folder, fingerprint=digest)
    return step.make("curate", build, launcher.say)


def _decide(
    corpora: Mapping[str, CorpusManifest],
    output: str,
    folder: str,
    matched: Matched,
    launcher: Launcher,
) -> CurationManifest:
    job = _curate_job(corpora, output, folder, matched)
    parts = [
        PartPath(number, part.part, storage.join(source.corpus, part.parquet.name))
        for number, source in enumerate(job.sources)
        for part in corpora[source.name].parts
    ]
    clusters = [storage.join(folder, file.name) for file in matched.clusters]
    contamination = [storage.join(folder, file.name) for file in matched.contamination]
    rows = _rows(corpora)
    about = f"{rows:,} rows of {len(job.sources)} sources"
    rated = [path for item in matched.ratings.values() for path in item.tables()]
    ratings = [storage.join(output, path) for path in rated]
    decisions = CurateCorpora(job, clusters, contamination, ratings)
    markers = [job.marker(bucket) for bucket in range(job.buckets)]
    size = rows * CURATE_ROW_BYTES
    launcher.submit(Job("curate", "curate", about, parts, decisions, size, markers))
    return _manifest(job, corpora, matched)


def bucket_count(corpora: Mapping[str, CorpusManifest]) -> int:
    """How many files the decisions go into; clusters and contamination go into as many."""
    return max(1, -(-_rows(corpora) // ROWS_PER_BUCKET))


def _rows(corpora: Mapping[str, CorpusManifest]) -> int:
    return sum(manifest.counts.kept for manifest in corpora.values())


def _curate_job(
    corpora: Mapping[str, CorpusManifest], output: str, folder: str, matched: Matched
) -> CurateJob:
    known = registry()
    return CurateJob(
        sources=tuple(
            CurateSource(
                name,
                corpus_folder(output, name, manifest.fingerprint),
                len(manifest.parts),
                known[name].dialogue,
            )
            for name, manifest in corpora.items()
        ),
        buckets=bucket_count(corpora),
        folder=folder,
        action=matched.action,
        conflicts=matched.conflicts,
        least=tuple(sorted(matched.least.items())),
    )


def _manifest(
    job: CurateJob, corpora: Mapping[str, CorpusManifest], matched: Matched
) -> CurationManifest:
    marks = [storage.read_json(job.marker(bucket)) for bucket in range(job.buckets)]
    counts = {source.name: CurationCounts(rows_in=0, kept=0) for source in job.sources}
    for mark in marks:
        for name, values in mark["sources"].items():
            counts[name] += CurationCounts(**values)
    merged = job.merged_files
    return CurationManifest(
        fingerprint=job.folder.rpartition("/")[2],
        corpora={name: item.fingerprint for name, item in corpora.items()},
        priority=list(corpora),
        matches=matched.matches,
        benchmarks=dict(matched.benchmarks),
        action=matched.action,
        conflicts=matched.conflicts,
        ratings={name: item.fingerprint for name, item in matched.ratings.items()},
        least=dict(matched.least),
        buckets=[RowFile(**mark["file"]) for mark in marks],
        clusters=list(matched.clusters),
        contamination=list(matched.contamination),
        merged=[RowFile(**storage.read_json(job.merged_marker(n))["file"]) for n in range(merged)],
        counts=counts,
    )
