"""The curate step: equal pictures are found and clustered, then each row is decided on.

Matching (`match.py`) is about pictures and common to all stages; what happens to their rows
depends on the stage. Clusters and evidence of contamination are written into the curation's folder
first; decisions (`decide.py`) are made from them. Here each step is a job; `together.py` makes one
job of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from cauldron.core.output.manifests import (
    CorpusManifest,
    CurationManifest,
    RowFile,
)
from cauldron.core.reviews import read_reviews, reviews_told
from cauldron.core.sections.rules import DuplicateRules
from cauldron.pipeline.decide import (
    Matched,
    bucket_count,
    curate,
    curate_job,
    curation_step,
)
from cauldron.pipeline.match import MatchRequest, match
from cauldron.pipeline.rate import kept_ratings
from cauldron.pipeline.runners.runner import Job, Launcher
from cauldron.pipeline.step import Step
from cauldron.recipe import Recipe
from cauldron.transforms.curate.records import CurateJob
from cauldron.transforms.graph import Summed
from cauldron.transforms.matching.cluster import ClusterJob, ClusterPictures
from cauldron.transforms.matching.compare import PictureComparer
from cauldron.transforms.matching.contamination import ContaminationJob, FindContamination
from cauldron.transforms.matching.parts import features_each
from cauldron.transforms.matching.records import OCCURRENCE, CurationJob, MatchJob
from cauldron.transforms.matching.reviews import ResolveReviews, ReviewJob, write_asked
from cauldron.transforms.matching.texts import FindTexts, TextJob, text_parts

# Comparing the text of a row takes as long as reading this many bytes: decides between one process
# and many.
_TEXT_BYTES = 2_000

FindJob = ClusterJob | ContaminationJob | TextJob


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


@dataclass(frozen=True)
class Curation:
    """The curation of a stage, and what it needs.

    Attributes:
        corpora: those that the stage mixes, or all if no pictures are compared.
        matching: of its pictures; None if neither duplicates nor contamination are searched for.
        clusters: to write before the decisions.
        evidence: of contamination, to write before them.
        reviews: to look up before both.
    """

    corpora: Mapping[str, CorpusManifest]
    output: str
    matched: Matched
    matching: MatchRequest | None = None
    clusters: ClusterJob | None = None
    evidence: tuple[ContaminationJob | TextJob, ...] = ()
    reviews: ReviewJob | None = None

    @property
    def step(self) -> Step[CurationManifest]:
        return curation_step(self.corpora, self.output, self.matched)

    @property
    def finds(self) -> tuple[FindJob, ...]:
        """What is found before the decisions."""
        clusters = () if self.clusters is None else (self.clusters,)
        return (*clusters, *self.evidence)

    @property
    def decisions(self) -> CurateJob:
        found = {job.STEM: job.files for job in self.finds}
        return curate_job(self.corpora, self.output, self.matched, found)

    def found(self) -> Matched:
        """What matching found, with the files of clusters and contamination."""
        clusters = () if self.clusters is None else tuple(_files(self.clusters))
        contamination = tuple(file for job in self.evidence for file in _files(job))
        matched = replace(self.matched, clusters=clusters, contamination=contamination)
        if self.clusters is not None and (matched.other_colours or matched.other_rendering):
            marks = list(self.clusters.markers.read())
            matched = replace(
                matched,
                recoloured=sum(mark["other_colours"] for mark in marks),
                rerendered=sum(mark["other_rendering"] for mark in marks),
            )
        if self.reviews is None:
            return matched
        (mark,) = self.reviews.markers.read()
        return replace(matched, reviewed=(RowFile(**mark["file"]), mark["counts"]))

    def hand_over(self) -> None:
        """Write what the workers need of the recipe's files."""
        if self.reviews is not None:
            write_asked(self.matched.reviews, self.reviews)


def _files(job: CurationJob) -> Iterator[RowFile]:
    return (RowFile(**mark["file"]) for mark in job.markers.read())


def curation_of(request: CurateRequest, stage: str) -> Curation:
    """What a stage needs; stages with equal settings need the same."""
    rules, against = request.recipe.duplicate_rules(stage), request.recipe.against
    if rules is None and not request.benchmarks:
        rated = _rated(request, request.corpora)
        return Curation(request.corpora, request.output, rated)
    # A row of this stage must not merge into a row that only another stage takes.
    mixed = request.recipe.stage(stage).mixture
    corpora = {name: request.corpora[name] for name in mixed if name in request.corpora}
    matching = MatchRequest(corpora, request.benchmarks, rules or DuplicateRules(), request.output)
    matched = replace(
        _rated(request, corpora),
        matches=matching.fingerprint,
        benchmarks={name: item.fingerprint for name, item in request.benchmarks.items()},
        action=rules.action if rules else None,
        conflicts=rules.conflicts if rules else "keep",
        max_documents=rules.max_documents if rules else None,
        other_colours=bool(rules and rules.other_colours),
        other_rendering=bool(rules and rules.other_rendering),
        against=(against.match, against.ngram),
        texts=against.texts if request.benchmarks else None,
        parts=against.parts and bool(request.benchmarks),
        reviews=read_reviews(rules.reviews) if rules and rules.reviews else (),
    )
    folder = curation_step(corpora, request.output, matched).folder
    job = replace(
        matching.job,
        other_colours=matched.other_colours,
        other_rendering=matched.other_rendering,
    )
    reviews = ReviewJob(job, folder, files=1) if matched.reviews else None
    if reviews is not None:
        job = replace(job, reviews=reviews.reviewed)
    clusters = ClusterJob(job, folder, bucket_count(corpora)) if rules else None
    pictures = sum(item.counts.images for item in request.benchmarks.values())
    evidence = _evidence(matched, job, folder, bucket_count(corpora), pictures)
    return Curation(corpora, request.output, matched, matching, clusters, evidence, reviews)


def _rated(request: CurateRequest, corpora: Mapping[str, CorpusManifest]) -> Matched:
    """What ratings drop, before anything is known of pictures."""
    ratings = kept_ratings(request.recipe, request.output, corpora)
    rules = request.recipe.ratings
    if rules is None or not ratings:
        return Matched()
    return Matched(ratings=ratings, least=rules.least)


def _evidence(
    matched: Matched, job: MatchJob, folder: str, files: int, of_benchmarks: int
) -> tuple[ContaminationJob | TextJob, ...]:
    """The jobs that find contamination.

    Args:
        of_benchmarks: how many pictures all benchmarks have.
    """
    if not matched.benchmarks:
        return ()
    share, ngram = matched.against
    pictures = ContaminationJob(
        match=job,
        folder=folder,
        files=files,
        match_text=share == "image_and_text",
        ngram=ngram,
        parts=features_each(of_benchmarks) if matched.parts else 0,
    )
    rules = matched.texts
    if rules is None:
        return (pictures,)
    texts = TextJob(
        match=job,
        folder=folder,
        files=files,
        ngram=rules.ngram,
        overlap=rules.overlap,
        max_texts=rules.max_texts,
        remove=rules.action == "remove",
        remove_pictured=rules.pictured == "remove",
    )
    return pictures, texts


def curate_stage(request: CurateRequest, stage: str, launcher: Launcher) -> CurationManifest:
    """The decisions that a stage's mixture is made from, in a job for each step; stages with equal
    settings share them."""
    curation = curation_of(request, stage)
    matching = curation.matching
    if matching is None:
        return curate(curation.corpora, request.output, launcher, curation.matched)
    pictures = match(matching, launcher).counts.pictures

    def find(folder: str) -> Matched:
        curation.hand_over()
        reviews = () if curation.reviews is None else (curation.reviews,)
        for job in (*reviews, *curation.finds):
            _find(job, matching, pictures, launcher)
        return curation.found()

    made = curate(curation.corpora, request.output, launcher, curation.matched, find)
    tell_reviews(made, launcher)
    return made


def tell_reviews(curation: CurationManifest, launcher: Launcher) -> None:
    """Say what became of the reviews, if there are any."""
    if curation.reviews_digest is not None:
        launcher.say(f"reviews: {reviews_told(curation.reviews)}")


def find_step(job: FindJob | ReviewJob) -> Summed:
    """Reviews, clusters or evidence of contamination, unless they are there. Anything in, when
    verdicts (and reviews) are there."""
    todo = bool(job.markers.missing())
    if isinstance(job, TextJob):
        return Summed((job.markers,), FindTexts(job) if todo else None, text_parts, job)
    if isinstance(job, ReviewJob):
        work = ResolveReviews(job) if todo else None
        return Summed((job.markers,), work, range, job.match.ranges)
    find = (
        ClusterPictures(job, PictureComparer)
        if isinstance(job, ClusterJob)
        else FindContamination(job)
    )
    return Summed((job.markers,), find if todo else None, range, job.match.ranges)


def _find(
    job: FindJob | ReviewJob, matching: MatchRequest, pictures: int, launcher: Launcher
) -> None:
    if job.markers.is_summed():
        return
    about, size = f"{job.STEM} among {pictures:,} pictures", matching.images * OCCURRENCE.itemsize
    if isinstance(job, TextJob):
        rows = sum(item.counts.kept for item in matching.manifests)
        about, size = f"texts of {rows:,} rows", rows * _TEXT_BYTES
    launcher.submit(Job("curate", job.STEM, about, [0], find_step(job), size, job.markers.paths()))
