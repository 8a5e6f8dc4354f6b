"""The mix step: each stage's mixture, from the decisions on its rows."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow

from cauldron import __version__
from cauldron.core import storage
from cauldron.core.disk import free_bytes
from cauldron.core.errors import CauldronError
from cauldron.core.fingerprints import fingerprint
from cauldron.core.output.counts import RowCounts
from cauldron.core.output.lock import locked
from cauldron.core.output.manifests import (
    DATA,
    CorpusManifest,
    CurationManifest,
    MixtureManifest,
    MixtureTotals,
    SourceInMixture,
    Unavailable,
    corpus_folder,
    curation_folder,
    mixture_folder,
)
from cauldron.core.shares import Allocation, SourceCounts
from cauldron.inspect.card import write_card
from cauldron.inspect.causes import shortfall
from cauldron.inspect.planning.basis import pack_bytes
from cauldron.inspect.statistics import expected_counts, published, published_counts
from cauldron.pipeline.runners.runner import Job, Launcher, job_name
from cauldron.pipeline.space import check_room
from cauldron.pipeline.step import Step
from cauldron.recipe import Recipe
from cauldron.sources.catalog import registry
from cauldron.transforms.mixing.pipeline import MixRows
from cauldron.transforms.mixing.plan import MixPlan, MixRun, MixSummary
from cauldron.transforms.mixing.selection import Terms
from cauldron.transforms.mixing.shuffle import MIX_VERSION, MixJob, MixSource

_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class MixRequest:
    """The mixture of one stage, and what it is made from.

    Attributes:
        check_disk: stop before any shard is written if the disk is too small.
    """

    recipe: Recipe
    stage: str
    output: str
    corpora: Mapping[str, CorpusManifest]
    curation: CurationManifest
    unavailable: list[Unavailable]
    check_disk: bool = True


def mix(request: MixRequest, launcher: Launcher) -> MixtureManifest:
    """Make one stage's mixture, unless nothing that decides its rows has changed."""
    recipe = request.recipe
    folder = mixture_folder(request.output, recipe.name, request.stage)
    digest = fingerprint(
        {
            "version": [MIX_VERSION, __version__, pyarrow.__version__],
            # What ratings drop is part of the curation.
            "curation": request.curation.fingerprint,
            "recipe": recipe.model_dump(mode="json", exclude={"training", "ratings", "docmatix"}),
            "unavailable": [item.model_dump() for item in request.unavailable],
            "statistics": _statistics(request),
        }
    )
    # Its own for each fingerprint: the mixture that is there stays whole until the new one is.
    data = storage.join(folder, DATA, digest)
    step = Step(kind=MixtureManifest, folder=folder, fingerprint=digest, beside=(data,))
    found = step.make(f"mix {request.stage}", lambda: _mix(request, step, launcher), launcher.say)
    # Settings of training change no row, but the trainer reads them in the manifest.
    values = recipe.model_dump(mode="json")
    if found.recipe != values:
        found = found.model_copy(update={"recipe": values})
        with locked([folder]):
            step.write(found)
    _remove_other_data(found, step)
    return found


def _remove_other_data(mixture: MixtureManifest, step: Step[MixtureManifest]) -> None:
    """Delete the shards of the recipe's earlier mixtures, and those of builds that were killed."""
    data = storage.join(step.folder, DATA)
    others = [name for name in storage.list_folders(data) if name != mixture.fingerprint]
    ours = [storage.join(data, name) for name in others if _FINGERPRINT.fullmatch(name)]
    if ours:
        with locked([step.folder]):
            _write_card(mixture, step)  # a killed build may have written that of its own shards
            for folder in ours:
                storage.remove(folder)


def _write_card(mixture: MixtureManifest, step: Step[MixtureManifest]) -> None:
    storage.write_bytes(storage.join(step.folder, "README.md"), write_card(mixture).encode())


def _mix(request: MixRequest, step: Step[MixtureManifest], launcher: Launcher) -> MixtureManifest:
    """Run the job, unless a build that was killed after it left all shards; if it was killed
    before, the job keeps those that are there."""
    run = _run(request, step)
    earlier = run.finished()
    if earlier is not None:
        run = replace(run, name=earlier)
    name = f"mix {request.stage}"
    sources = [source.name for source in run.job.sources]
    rows = sum(request.curation.counts[source].kept for source in sources)
    about = f"{rows:,} rows of {len(sources)} sources"
    size, work = _expected_bytes(request, run.terms), [run.job.curation]
    called = job_name(request.recipe.name, (request.stage,), "mix", request.output)
    if earlier is None:
        launcher.submit(Job(name, called, about, work, MixRows(run), size, count=run.progress))
    plan = MixPlan.read(run.plan_path)
    allocations = run.terms.solve(plan.counts)
    if not plan.shards:
        raise CauldronError(f"the budget of stage {request.stage} is less than one row")
    launcher.say(f"{name}: {plan.shards} shards, {plan.bytes / 1e6:,.0f} MB")
    what = f"the mixture of stage {request.stage}"
    if earlier is None:
        check_room(request.output, run.room, {what: plan.missing_bytes})
    summary = MixSummary.read(run.summary_path)
    manifest = _manifest(request, allocations, step.fingerprint, summary)
    _write_card(manifest, step)
    return manifest


def _expected_bytes(request: MixRequest, terms: Terms) -> int:
    """About the size of the mixture, from what the corpora counted; the job finds it out.

    Of a stage whose rows must be measured first, one pass over its sources is the best guess.
    """
    read = {name: request.corpora[name] for name in terms.stage.mixture if name in request.corpora}
    if terms.stage.measured:
        return sum(map(pack_bytes, read.values()))
    counts = {}
    for name, corpus in read.items():
        tokens = float(corpus.counts.answer_tokens)
        counts[name] = SourceCounts(corpus.counts.kept, tokens, tokens)
    try:
        allocations = terms.solve(counts)
    except CauldronError:
        return 0  # most likely these shares have no solution in the job either, which says so
    return int(sum(item.epochs * pack_bytes(read[item.source]) for item in allocations))


def _run(request: MixRequest, step: Step[MixtureManifest]) -> MixRun:
    stage, recipe = request.recipe.stage(request.stage), request.recipe
    job = MixJob(
        sources=_mix_sources(request),
        stage=stage,
        seed=recipe.seed,
        folder=step.beside[0],
        curation=curation_folder(request.output, request.curation.fingerprint),
        merged_files=len(request.curation.merged),
    )
    counts = published_counts(recipe.statistics)
    expected, limits = expected_counts(), recipe.limits
    terms = Terms.of(stage, request.corpora, counts, recipe.tokenizer, expected, limits)
    room = free_bytes(request.output) if request.check_disk else None
    return MixRun(terms, job, room, uuid.uuid4().hex)


def _mix_sources(request: MixRequest) -> tuple[MixSource, ...]:
    """Every source of the stage: a row may be taken for turns that are not of its own source."""
    known = registry()
    return tuple(
        MixSource(
            name=name,
            corpus=corpus_folder(request.output, name, request.corpora[name].fingerprint),
            parts=len(request.corpora[name].parts),
            dialogue=known[name].dialogue,
        )
        for name in request.recipe.stage(request.stage).mixture
        if name in request.corpora
    )


def _statistics(request: MixRequest) -> dict[str, Any]:
    """The published figures of the stage's sources, which its shares may follow from."""
    table = published(request.recipe.statistics)
    names = request.recipe.stage(request.stage).mixture
    return {name: asdict(table[name]) for name in names if name in table}


def _manifest(
    request: MixRequest, allocations: list[Allocation], digest: str, summary: MixSummary
) -> MixtureManifest:
    sums = {item.source: summary.sources.get(item.source, Counter()) for item in allocations}
    shards = summary.shards
    total = sum(sums.values(), Counter[str]())
    # A row with turns of several sources counts for each of them.
    total["rows"] = sum(shard.rows for shard in shards)
    sources = {
        item.source: _source_entry(request, item, sums[item.source], total["answer_tokens"])
        for item in allocations
    }
    return MixtureManifest(
        stage=request.stage,
        fingerprint=digest,
        seed=request.recipe.seed,
        code_version=__version__,
        recipe=request.recipe.model_dump(mode="json"),
        recipe_name=request.recipe.name,
        tokenizer=next(iter(request.corpora.values())).tokenizer,
        corpora={name: request.corpora[name].fingerprint for name in sources},
        curation=request.curation.fingerprint,
        reviews=request.curation.reviews,
        recoloured=request.curation.recoloured,
        rerendered=request.curation.rerendered,
        unavailable=request.unavailable,
        sources=sources,
        totals=MixtureTotals(**_counted(total), bytes=sum(shard.bytes for shard in shards)),
        shards=shards,
    )


def _source_entry(
    request: MixRequest, item: Allocation, sums: Counter[str], answers: int
) -> SourceInMixture:
    corpus = request.corpora[item.source]
    ingested = RowCounts(**corpus.counts.model_dump(include=set(RowCounts.model_fields)))
    stage = request.recipe.stage(request.stage)
    known = published(request.recipe.statistics).get(item.source)
    reached = sums["answer_tokens"] / answers if answers else 0.0
    limit = request.recipe.source(item.source).limit
    if limit != corpus.limit or not corpus.ended_by_limit:
        limit = None
    return SourceInMixture(
        counts=ingested.after(request.curation.counts[item.source]),
        limit=corpus.limit,
        rows_published=registry()[item.source].published_rows,
        weight=item.weight,
        share_published=None if known is None else known.share,
        share_asked=item.share,
        share_reached=reached,
        reason=shortfall(stage, item, known, reached, limit),
        epochs=item.epochs,
        pass_rows=item.counts.rows,
        license=corpus.license,
        repo=corpus.repo,
        commit=corpus.commit,
        notes=corpus.notes,
        **_counted(sums),
    )


def _counted(sums: Counter[str]) -> dict[str, Any]:
    names = ("rows", "answer_tokens", "text_tokens", "image_tokens", "images")
    return {name: sums[name] for name in names}
