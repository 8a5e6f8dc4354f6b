"""The curate step of a stage: equal pictures are found and clustered, then each row is decided on.

Matching (`match.py`) is about pictures and common to all stages; what happens to their rows
depends on the stage. Clusters and evidence of contamination are written into the curation's folder
first; decisions (`decide.py`) are made from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cauldron.core import storage
from cauldron.core.manifests import (
    CorpusManifest,
    CurationManifest,
    MatchCounts,
    MatchManifest,
    RowFile,
)
from cauldron.core.markers import missing
from cauldron.core.rules import DuplicateRules
from cauldron.pipeline.decide import Matched, bucket_count, curate
from cauldron.pipeline.match import MatchRequest, match, match_job
from cauldron.pipeline.runner import Job, Launcher
from cauldron.recipe import Recipe
from cauldron.transforms.matching.cluster.files import ClusterJob
from cauldron.transforms.matching.cluster.pipeline import ClusterPictures
from cauldron.transforms.matching.compare.pipeline import Judge
from cauldron.transforms.matching.contamination.pipeline import ContaminationJob, FindContamination
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


def curate_stage(request: CurateRequest, stage: str, launcher: Launcher) -> CurationManifest:
    """The decisions that a stage's mixture is made from; stages with equal settings share them."""
    rules = request.recipe.duplicate_rules(stage)
    if rules is None and not request.benchmarks:
        return curate(request.corpora, request.output, launcher)
    # A row of this stage must not merge into a row that only another stage takes.
    mixed = request.recipe.stage(stage).mixture
    corpora = {name: request.corpora[name] for name in mixed if name in request.corpora}
    matching = MatchRequest(corpora, request.benchmarks, rules or DuplicateRules(), request.output)
    matches = match(matching, launcher)
    matched = _matched(request, rules, matches)

    def find(folder: str) -> Matched:
        job, files = match_job(matching), bucket_count(corpora)
        clusters = ClusterJob(job, folder, files)
        share, ngram = matched.against
        evidence = ContaminationJob(job, folder, files, share == "image_and_text", ngram)
        return replace(
            matched,
            clusters=_write(clusters, matches.counts, launcher) if rules else (),
            contamination=_write(evidence, matches.counts, launcher) if request.benchmarks else (),
        )

    return curate(corpora, request.output, launcher, matched, find)


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


def _write(
    job: ClusterJob | ContaminationJob, counts: MatchCounts, launcher: Launcher
) -> tuple[RowFile, ...]:
    """Write clusters or contamination unless they are there; returns the files."""
    name = job.name(0).partition("-")[0]
    markers = [job.marker(number) for number in range(job.files)]
    if missing(markers):
        about = f"{name} among {counts.pictures:,} pictures"
        transform = (
            ClusterPictures(job, Judge) if isinstance(job, ClusterJob) else FindContamination(job)
        )
        size = counts.images * OCCURRENCE.itemsize
        ranges = list(range(job.match.ranges))
        launcher.submit(Job("curate", name, about, ranges, transform, size, markers))
    return tuple(RowFile(**storage.read_json(marker)["file"]) for marker in markers)
