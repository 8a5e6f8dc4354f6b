"""The curate step of a stage: equal pictures found, clustered, and decided on row by row.

Matching (`matching.py`) is about pictures and common to all stages; what becomes of their rows is
the stage's. Clusters and evidence of contamination are written into the curation's folder first,
decisions are made from them (`deciding.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import apache_beam as beam

from cauldron.core import storage
from cauldron.core.manifests import (
    CorpusManifest,
    CurationManifest,
    MatchCounts,
    MatchManifest,
    RowFile,
    curation_folder,
    read_manifest,
)
from cauldron.core.rules import DuplicateRules
from cauldron.pipeline import runner
from cauldron.pipeline.deciding import Matched, curate, curation_fingerprint
from cauldron.pipeline.ingesting import Say
from cauldron.pipeline.matching import MatchRequest, match, match_job
from cauldron.recipe import Recipe
from cauldron.transforms.curate.pipeline import ROWS_PER_BUCKET
from cauldron.transforms.matching.cluster import ClusterJob, ClusterPictures
from cauldron.transforms.matching.compare import PictureComparer
from cauldron.transforms.matching.contamination import ContaminationJob, FindContamination
from cauldron.transforms.matching.records import OCCURRENCE


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


def curate_stage(
    request: CurateRequest, stage: str, beam_args: list[str], say: Say
) -> CurationManifest:
    """The decisions that a stage's mixture is made from; done already for equal settings."""
    rules = request.recipe.duplicate_rules(stage)
    if rules is None and not request.benchmarks:
        return curate(request.corpora, request.output, beam_args, say)
    # A row of this stage must not go into a row that only another stage takes.
    mixed = request.recipe.stage(stage).mixture
    corpora = {name: request.corpora[name] for name in mixed if name in request.corpora}
    matching = MatchRequest(corpora, request.benchmarks, rules or DuplicateRules(), request.output)
    matches = match(matching, beam_args, say)
    matched = _matched(request, rules, matches)
    folder = curation_folder(request.output, curation_fingerprint(corpora, matched))
    if not _is_finished(folder):
        job = match_job(matching, matches.fingerprint)
        run = _Run(matches.counts, beam_args, say)
        if rules is not None:
            clusters = ClusterJob(job, folder, _files(corpora))
            matched = replace(
                matched, clusters=run.find(clusters, ClusterPictures(clusters, PictureComparer))
            )
        if request.benchmarks:
            evidence = ContaminationJob(
                job,
                folder,
                _files(corpora),
                matched.against[0] == "image_and_text",
                matched.against[1],
            )
            matched = replace(
                matched, contamination=run.find(evidence, FindContamination(evidence))
            )
    return curate(corpora, request.output, beam_args, say, matched)


def _matched(
    request: CurateRequest, rules: DuplicateRules | None, matches: MatchManifest
) -> Matched:
    against = request.recipe.against
    return Matched(
        matches=matches.fingerprint,
        benchmarks=matches.benchmarks,
        action=rules.action if rules else None,
        conflicts=rules.conflicts if rules else "keep",
        against=(against.match, against.ngram),
    )


def _is_finished(folder: str) -> bool:
    try:
        read_manifest(CurationManifest, folder)
    except FileNotFoundError:
        return False
    return True


def _files(corpora: Mapping[str, CorpusManifest]) -> int:
    """As many as there are files of decisions, so that one of each covers the same rows."""
    rows = sum(corpus.counts.kept for corpus in corpora.values())
    return max(1, -(-rows // ROWS_PER_BUCKET))


@dataclass(frozen=True)
class _Run:
    """Runs the jobs that write into a curation's folder, unless their files are there."""

    counts: MatchCounts
    beam_args: list[str]
    say: Say

    def find(
        self, job: ClusterJob | ContaminationJob, transform: beam.PTransform
    ) -> tuple[RowFile, ...]:
        """Write clusters or contamination; returns the files."""
        name = job.name(0).partition("-")[0]
        markers = [job.marker(number) for number in range(job.files)]
        if not all(storage.exists(marker) for marker in markers):
            self.say(f"curate: {name} among {self.counts.pictures:,} pictures")
            ranges = list(range(job.match.ranges))

            def build(pipeline: beam.Pipeline) -> None:
                _ = pipeline | "Ranges" >> beam.Create(ranges, reshuffle=False) | transform

            runner.run(name, build, self.beam_args, self.counts.images * OCCURRENCE.itemsize)
        return tuple(RowFile(**storage.read_json(marker)["file"]) for marker in markers)
