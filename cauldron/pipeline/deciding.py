"""Decisions on every corpus row, from ids and from what matching found; one Beam job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam

from cauldron.core import storage
from cauldron.core.fingerprints import fingerprint
from cauldron.core.manifests import (
    MANIFEST,
    CorpusManifest,
    CurationCounts,
    CurationManifest,
    RowFile,
    corpus_folder,
    curation_folder,
    read_manifest,
)
from cauldron.core.rules import Action, Conflicts
from cauldron.pipeline import runner
from cauldron.pipeline.ingesting import Say
from cauldron.sources.base import registry
from cauldron.transforms.curate.index import CorpusPart
from cauldron.transforms.curate.pipeline import (
    CURATE_ROW_BYTES,
    CURATE_VERSION,
    ROWS_PER_BUCKET,
    CurateCorpora,
)
from cauldron.transforms.curate.records import CurateJob, CurateSource
from cauldron.transforms.matching.cluster import CLUSTER_VERSION
from cauldron.transforms.matching.contamination import CONTAMINATION_VERSION


@dataclass(frozen=True)
class Matched:
    """What matching found on the corpora of a curation, and what is to become of it.

    Attributes:
        matches: fingerprint of the matching; None where there was none.
        benchmarks: fingerprints of the benchmarks to keep out, by name.
        against: what a row and a benchmark must share, and how many words in a row.
        clusters, contamination: files that are in the curation's folder already.
    """

    matches: str | None = None
    benchmarks: Mapping[str, str] = field(default_factory=dict)
    action: Action | None = None
    conflicts: Conflicts = "keep"
    against: tuple[str, int] = ("image", 13)
    clusters: tuple[RowFile, ...] = ()
    contamination: tuple[RowFile, ...] = ()


def curation_fingerprint(corpora: Mapping[str, CorpusManifest], matched: Matched) -> str:
    """Names the curation of corpora; `corpora` are in the order of the recipe."""
    prints = {name: manifest.fingerprint for name, manifest in corpora.items()}
    values: dict[str, Any] = {"version": CURATE_VERSION, "corpora": prints}
    if matched.matches is not None:
        values |= {
            "priority": list(prints),
            "matches": matched.matches,
            "benchmarks": dict(matched.benchmarks),
            "action": matched.action,
            "conflicts": matched.conflicts,
            "clusters": CLUSTER_VERSION,
            "dialogues": [name for name in prints if registry()[name].dialogue],
        }
    if matched.benchmarks:
        values["against"] = [CONTAMINATION_VERSION, *matched.against]
    return fingerprint(values)


def curate(
    corpora: Mapping[str, CorpusManifest],
    output: str,
    beam_args: list[str],
    say: Say,
    matched: Matched | None = None,
) -> CurationManifest:
    """One decision per row of all corpora; done already when the corpora are the same."""
    matched = matched or Matched()
    folder = curation_folder(output, curation_fingerprint(corpora, matched))
    try:
        found = read_manifest(CurationManifest, folder)
        say("curate: done already")
        return found
    except FileNotFoundError:
        pass
    rows = sum(manifest.counts.kept for manifest in corpora.values())
    job = _curate_job(corpora, output, folder, rows, matched)
    parts = [
        CorpusPart(number, part.part, storage.join(source.corpus, part.parquet.name))
        for number, source in enumerate(job.sources)
        for part in corpora[source.name].parts
    ]
    clusters = [storage.join(folder, file.name) for file in matched.clusters]
    contamination = [storage.join(folder, file.name) for file in matched.contamination]
    say(f"curate: {rows:,} rows of {len(job.sources)} sources")

    def build(pipeline: beam.Pipeline) -> None:
        _ = (
            pipeline
            | "Corpus parts" >> beam.Create(parts, reshuffle=False)
            | CurateCorpora(job, clusters, contamination)
        )

    runner.run("curate", build, beam_args, rows * CURATE_ROW_BYTES)
    return _finish_curation(job, corpora, matched)


def _curate_job(
    corpora: Mapping[str, CorpusManifest], output: str, folder: str, rows: int, matched: Matched
) -> CurateJob:
    known = registry()
    return CurateJob(
        sources=tuple(
            CurateSource(
                name=name,
                corpus=corpus_folder(output, name, manifest.fingerprint),
                parts=len(manifest.parts),
                dialogue=known[name].dialogue,
            )
            for name, manifest in corpora.items()
        ),
        buckets=max(1, -(-rows // ROWS_PER_BUCKET)),
        folder=folder,
        action=matched.action,
        conflicts=matched.conflicts,
    )


def _finish_curation(
    job: CurateJob, corpora: Mapping[str, CorpusManifest], matched: Matched
) -> CurationManifest:
    marks = [storage.read_json(job.marker(bucket)) for bucket in range(job.buckets)]
    counts = {source.name: CurationCounts(rows_in=0, kept=0) for source in job.sources}
    for mark in marks:
        for name, values in mark["sources"].items():
            counts[name] += CurationCounts(**values)
    merged = job.merged_files
    manifest = CurationManifest(
        fingerprint=job.folder.rpartition("/")[2],
        corpora={name: item.fingerprint for name, item in corpora.items()},
        priority=list(corpora),
        matches=matched.matches,
        benchmarks=dict(matched.benchmarks),
        action=matched.action,
        conflicts=matched.conflicts,
        buckets=[RowFile(**mark["file"]) for mark in marks],
        clusters=list(matched.clusters),
        contamination=list(matched.contamination),
        merged=[RowFile(**storage.read_json(job.merged_marker(n))["file"]) for n in range(merged)],
        counts=counts,
    )
    storage.remove_temporaries(job.folder)
    storage.write_json(storage.join(job.folder, MANIFEST), manifest.model_dump(mode="json"))
    storage.remove(storage.join(job.folder, "_done"))
    return manifest


def decision_paths(output: str, curation: CurationManifest) -> list[str]:
    folder = curation_folder(output, curation.fingerprint)
    return [storage.join(folder, bucket.name) for bucket in curation.buckets]


def merged_paths(output: str, curation: CurationManifest) -> tuple[str, ...]:
    folder = curation_folder(output, curation.fingerprint)
    return tuple(storage.join(folder, file.name) for file in curation.merged)
