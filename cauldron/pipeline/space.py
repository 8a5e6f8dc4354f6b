"""Is the disk large enough for a build? Asked before any work, and again in each mix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cauldron.core.disk import free_bytes
from cauldron.core.errors import CauldronError
from cauldron.core.output.manifests import CorpusManifest
from cauldron.core.shares import SourceCounts, solve
from cauldron.inspect.planning.basis import expected_lengths, pack_bytes, terms_of
from cauldron.inspect.planning.made import made_bytes
from cauldron.inspect.statistics import (
    published,
    published_counts,
    typical_rows,
)
from cauldron.pipeline.corpora import BuildOptions, PlannedCorpus
from cauldron.pipeline.runners.options import joins_on_disk

# Estimates below this are not held against the disk: a small build goes on until its exact size is
# known, before the mix.
LEAST_CHECKED = 10e9
# benchmarks/README.md, "Made-up corpora": what joins had on disk at 10^7 rows with a picture each.
JOINED_PICTURE_BYTES = 340
JOINED_ROW_BYTES = 490


def check_room(folder: str, free: int | None, needed: Mapping[str, float]) -> None:
    """Raises CauldronError if a local disk has less room than is needed.

    Args:
        free: its free bytes; None if it is not a local disk.
        needed: bytes by what takes them.
    """
    if free is None or sum(needed.values()) <= free:
        return
    parts = " and ".join(f"{what} {size / 1e9:,.1f} GB" for what, size in needed.items() if size)
    raise CauldronError(
        f"{folder} has {free / 1e9:,.1f} GB free, and {parts} are to come: free some space, name "
        "another --output, or go on anyway with --skip-disk-check"
    )


def check_plan(options: BuildOptions, planned: Sequence[PlannedCorpus]) -> None:
    """Estimate what a build writes to a local disk. Raises CauldronError if it does not fit."""
    free = free_bytes(options.output)
    if options.skip_disk_check or free is None:
        return
    finished = {item.source.name: item.finished() for item in planned}
    sizes = {p.source.name: _corpus_bytes(p, finished[p.source.name]) for p in planned}
    new = sum(size for name, size in sizes.items() if finished[name] is None)
    stages = options.stages or tuple(options.recipe.stages)
    passes = max(options.recipe.stage(stage).max_epochs for stage in stages)
    if sum(sizes.values()) * (1 + passes) < LEAST_CHECKED:
        return
    needed = {
        "images by URL of about": sum(map(_images_to_fetch, planned)),
        "corpora of about": new,
    }
    mixtures = [_mixture_bytes(options, stage, planned, finished, sizes) for stage in stages]
    if joins_on_disk(options.beam_args):
        joined = [_joined_bytes(options, stage, planned, finished) for stage in stages]
        needed["files of joins of about"] = before_mixtures(joined, mixtures)
    for stage, size in zip(stages, mixtures, strict=True):
        needed[f"a mixture {stage} of about"] = size
    if sum(needed.values()) >= LEAST_CHECKED:
        check_room(options.output, free, needed)


def _corpus_bytes(planned: PlannedCorpus, finished: CorpusManifest | None) -> float:
    if finished is not None:
        return pack_bytes(finished)
    size = sum(file.size for file in planned.files)
    return _made_images(planned) or size * _part_read(planned, size)


def _made_images(planned: PlannedCorpus) -> float:
    """Bytes of images that are not stored as published, but fetched or drawn; 0 if they are."""
    return made_bytes(planned.source, _rows_read(planned)) or 0.0


def _images_to_fetch(planned: PlannedCorpus) -> float:
    """They are in the store and in the corpus."""
    is_wanted = planned.source.by_url and planned.fetched is None
    return _made_images(planned) if is_wanted else 0.0


def _rows_read(planned: PlannedCorpus) -> float:
    """About how many rows a build reads; 0 if unknown."""
    size = sum(file.size for file in planned.files)
    return _rows_here(planned, size) * _part_read(planned, size)


def _part_read(planned: PlannedCorpus, size: float) -> float:
    """The part of the rows that a limit lets through, if their number is known."""
    rows = _rows_here(planned, size)
    return min(1.0, planned.limit / rows) if planned.limit > 0 and rows else 1.0


def _rows_here(planned: PlannedCorpus, size: float) -> float:
    """About how many rows files of this size hold; 0 if unknown."""
    rows, whole = planned.source.published_rows, planned.source.published_bytes
    return min(1.0, size / whole) * rows if rows and whole else 0.0


def _joined_bytes(
    options: BuildOptions,
    stage: str,
    planned: Sequence[PlannedCorpus],
    finished: Mapping[str, CorpusManifest | None],
) -> float:
    """Of the largest join of a stage, whose files are there until its job ends."""
    recipe, usual = options.recipe, typical_rows()
    is_matched = recipe.duplicate_rules(stage) is not None or bool(recipe.against.benchmarks)
    rows = pictures = 0.0
    for item in planned:
        name = item.source.name
        # Without matching one curation decides on the rows of all stages.
        if is_matched and name not in recipe.stage(stage).mixture:
            continue
        corpus = finished[name]
        if corpus is not None:
            rows, pictures = rows + corpus.counts.kept, pictures + corpus.counts.images
        else:
            read = _rows_read(item)
            each = usual[name].images if name in usual else 1.0
            rows, pictures = rows + read, pictures + read * each
    return max(rows * JOINED_ROW_BYTES, pictures * JOINED_PICTURE_BYTES * is_matched)


def before_mixtures(joined: Sequence[float], mixtures: Sequence[float]) -> float:
    """What joins need beyond the room of mixtures that are written after them, stage by stage."""
    return max([0.0, *(size - sum(mixtures[at:]) for at, size in enumerate(joined))])


def _mixture_bytes(
    options: BuildOptions,
    stage: str,
    planned: Sequence[PlannedCorpus],
    finished: Mapping[str, CorpusManifest | None],
    sizes: Mapping[str, float],
) -> float:
    """Each source's bytes as often as the stage passes over them."""
    recipe = options.recipe
    rules, table, usual = recipe.stage(stage), published(recipe.statistics), typical_rows()
    counts: dict[str, SourceCounts] = {}
    for item in planned:
        name, corpus = item.source.name, finished[item.source.name]
        if name not in rules.mixture:
            continue
        if corpus is not None:
            tokens = float(corpus.counts.answer_tokens)
            counts[name] = SourceCounts(corpus.counts.kept, tokens, tokens)
        elif name in table:
            counts[name] = table[name].expected(int(_rows_read(item)), rules.turns.cap)
        elif name in usual:
            counts[name] = usual[name].counts(int(_rows_read(item)))
    if not any(item.delivered for item in counts.values()):
        return 0.0
    if rules.measured:
        lengths = expected_lengths(recipe, stage, table)
        counts = {name: item for name, item in counts.items() if name in lengths}
        limits = {item.source.name: item.limit for item in planned}
        terms = terms_of(recipe, stage, counts, table, limits)
        allocations = terms.solve(terms.measured(counts, lengths))
    else:
        allocations = solve(rules, counts, published_counts(recipe.statistics))
    return sum(item.epochs * sizes[item.source] for item in allocations)
