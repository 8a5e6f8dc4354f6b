"""The mix step: each stage's mixture from the decisions on its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow

from cauldron import __version__
from cauldron.core import storage
from cauldron.core.counts import RowCounts
from cauldron.core.errors import CauldronError
from cauldron.core.fingerprints import fingerprint
from cauldron.core.manifests import (
    DATA,
    MANIFEST,
    CorpusManifest,
    CurationManifest,
    MixtureManifest,
    MixtureTotals,
    RowFile,
    SourceInMixture,
    Unavailable,
    corpus_folder,
    mixture_folder,
    read_manifest,
)
from cauldron.core.shares import Allocation, SourceCounts, solve
from cauldron.inspect.card import write_card
from cauldron.pipeline import runner
from cauldron.pipeline.deciding import decision_paths, merged_paths
from cauldron.pipeline.ingesting import Say
from cauldron.recipe import Recipe
from cauldron.sources.base import registry
from cauldron.transforms.mix import MIX_VERSION, MixJob, MixShards, MixSource
from cauldron.transforms.select import Tally, takes, tally

_NOTHING = SourceCounts(0, 0.0, 0.0)


@dataclass(frozen=True)
class MixRequest:
    """What mixing one stage needs to know."""

    recipe: Recipe
    stage: str
    output: str
    corpora: Mapping[str, CorpusManifest]
    curation: CurationManifest
    unavailable: list[Unavailable]


def mix(request: MixRequest, beam_args: list[str], say: Say) -> MixtureManifest:
    """Build one stage's mixture; done already when nothing that decides it has changed."""
    recipe, stage = request.recipe, request.recipe.stage(request.stage)
    folder = mixture_folder(request.output, request.stage)
    print_ = fingerprint(
        {
            "version": [MIX_VERSION, __version__, pyarrow.__version__],
            "curation": request.curation.fingerprint,
            "recipe": recipe.model_dump(mode="json", exclude={"training"}),
            "unavailable": [item.model_dump() for item in request.unavailable],
        }
    )
    try:
        found = read_manifest(MixtureManifest, folder)
        if found.fingerprint == print_:
            say(f"mix {request.stage}: done already")
            return _with_recipe(found, recipe, folder)
    except FileNotFoundError:
        pass
    paths = decision_paths(request.output, request.curation)
    tallies = tally(paths, stage.turns.cap)
    counts = {
        name: tallies[name].counts() if name in tallies else _NOTHING for name in stage.mixture
    }
    allocations = solve(stage, counts)
    sources = _mix_sources(request, allocations, tallies, paths)
    size = sum(_bytes_taken(tallies[source.name], source) for source in sources)
    shards = max(1, -(-size // stage.shard_bytes))
    merged = merged_paths(request.output, request.curation)
    job = MixJob(sources, stage, recipe.seed, shards, folder, print_, merged)
    # From here on the old mixture is gone: a reader that comes now finds it unfinished.
    storage.remove(storage.join(folder, MANIFEST))
    _remove_strangers(job)
    todo = [shard for shard in range(job.shards) if not _shard_is_done(job, shard)]
    say(f"mix {request.stage}: {len(todo)} shards, {size / 1e6:,.0f} MB")
    if todo:
        _run_mix(job, paths, todo, size, beam_args, say)
    manifest = _manifest(request, allocations, job)
    storage.write_bytes(storage.join(folder, "README.md"), write_card(manifest).encode())
    storage.write_json(storage.join(folder, MANIFEST), manifest.model_dump(mode="json"))
    storage.remove(storage.join(folder, "_done"))
    return manifest


def _with_recipe(found: MixtureManifest, recipe: Recipe, folder: str) -> MixtureManifest:
    """How to train changes no row, but the trainer reads it in the manifest."""
    values = recipe.model_dump(mode="json")
    if found.recipe == values:
        return found
    manifest = found.model_copy(update={"recipe": values})
    storage.write_json(storage.join(folder, MANIFEST), manifest.model_dump(mode="json"))
    return manifest


def _mix_sources(
    request: MixRequest,
    allocations: list[Allocation],
    tallies: Mapping[str, Tally],
    paths: list[str],
) -> tuple[MixSource, ...]:
    """The sources that the mixture takes rows of. Raises CauldronError when there are none."""
    epochs = {item.source: item.epochs for item in allocations}
    rows = {name: item.rows for name, item in tallies.items()}
    taken = takes(paths, epochs, rows, request.recipe.seed)
    if not taken:
        raise CauldronError(f"the budget of stage {request.stage} is less than one row")
    known = registry()
    return tuple(
        MixSource(
            name=name,
            corpus=corpus_folder(request.output, name, request.corpora[name].fingerprint),
            parts=len(request.corpora[name].parts),
            dialogue=known[name].dialogue,
            take=take,
        )
        for name, take in taken.items()
    )


def _bytes_taken(total: Tally, source: MixSource) -> int:
    copies = source.take.passes * total.rows + source.take.extra
    return total.bytes * copies // total.rows


def _shard_is_done(job: MixJob, shard: int) -> bool:
    return storage.exists(job.marker_path(shard)) and storage.exists(job.shard_path(shard))


def _remove_strangers(job: MixJob) -> None:
    """Take away what other builds left in the folder: markers of other settings, then shards."""
    done = set()
    for path in storage.list_files(storage.join(job.folder, "_done")):
        mark = storage.read_json(path)
        if mark["fingerprint"] == job.fingerprint:
            done.add(mark["file"]["name"])
        else:
            storage.remove(path)
    for path in storage.list_files(storage.join(job.folder, DATA)):
        if path.rpartition("/")[2] not in done:
            storage.remove(path)


def _run_mix(
    job: MixJob, paths: list[str], todo: list[int], size: int, beam_args: list[str], say: Say
) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | "Decisions" >> beam.Create(paths, reshuffle=False) | MixShards(job, todo)

    markers = [job.marker_path(shard) for shard in todo]
    runner.run("mix", build, beam_args, size, runner.progress("mix", markers, say))


def _manifest(request: MixRequest, allocations: list[Allocation], job: MixJob) -> MixtureManifest:
    marks = [storage.read_json(job.marker_path(shard)) for shard in range(job.shards)]
    sums: dict[str, Counter[str]] = {item.source: Counter() for item in allocations}
    for mark in marks:
        for name, values in mark["sources"].items():
            sums[name].update(values)
    answers = sum(item["answer_tokens"] for item in sums.values())
    total: Counter[str] = Counter()
    for item in sums.values():
        total.update(item)
    sources = {
        item.source: _source_entry(request, item, sums[item.source], answers)
        for item in allocations
        if item.source in request.corpora
    }
    shards = [RowFile(**mark["file"]) for mark in marks]
    fields = ("rows", "answer_tokens", "text_tokens", "image_tokens", "images")
    first = next(iter(request.corpora.values()))
    return MixtureManifest(
        stage=request.stage,
        fingerprint=job.fingerprint,
        seed=request.recipe.seed,
        code_version=__version__,
        recipe=request.recipe.model_dump(mode="json"),
        recipe_name=request.recipe.name,
        tokenizer=first.tokenizer,
        corpora={name: request.corpora[name].fingerprint for name in sources},
        curation=request.curation.fingerprint,
        unavailable=request.unavailable,
        sources=sources,
        totals=MixtureTotals(
            **{name: total[name] for name in fields}, bytes=sum(shard.bytes for shard in shards)
        ),
        shards=shards,
    )


def _source_entry(
    request: MixRequest, item: Allocation, sums: Counter[str], answers: int
) -> SourceInMixture:
    corpus = request.corpora[item.source]
    ingested = RowCounts(**corpus.counts.model_dump(include=set(RowCounts.model_fields)))
    values: dict[str, Any] = {
        name: sums[name]
        for name in ("rows", "answer_tokens", "text_tokens", "image_tokens", "images")
    }
    return SourceInMixture(
        counts=ingested.after(request.curation.counts[item.source]),
        weight=item.weight,
        share_asked=item.share,
        share_reached=sums["answer_tokens"] / answers if answers else 0.0,
        epochs=item.epochs,
        license=corpus.license,
        repo=corpus.repo,
        commit=corpus.commit,
        **values,
    )
