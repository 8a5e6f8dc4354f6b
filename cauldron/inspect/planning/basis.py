"""What is known of a stage's sources before their mixture is there: the counts under a plan.

The best that there is: the decisions of a finished curation, else finished corpora, else published
counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cauldron.core import storage
from cauldron.core.output.finished import Finished
from cauldron.core.output.manifests import CorpusManifest, CurationManifest, curation_folder
from cauldron.core.shares import Allocation, SourceCounts
from cauldron.inspect.planning.curation import curation_of
from cauldron.inspect.planning.made import made_bytes
from cauldron.inspect.statistics import Published, Typical, expected_counts, typical_rows
from cauldron.recipe import Recipe
from cauldron.sources.base import Source
from cauldron.sources.catalog import registry
from cauldron.transforms.mixing.lengths import LengthRules, Lengths, lengths_of, typical
from cauldron.transforms.mixing.selection import Terms, is_trial, select, tallies_of


@dataclass(frozen=True, slots=True)
class Basis:
    """The solved shares of a stage, and the counts that they rest on.

    Attributes:
        kinds: ``published``, ``corpus`` (before curation) or ``decisions``, by source.
        row_bytes: average bytes of a row, by source, where known.
        images: in the rows that are matched with each other, by source, where known; none of
            sources that are decided on.
        bytes: of the mixture; None if unknown for any source that is taken.
        estimated: sources whose tokens were estimated, not counted by a tokenizer.
        missing: sources of which nothing is known.
        limits: rows that are read of the sources that have more.
        made: bytes of pictures to fetch or draw, by source; none of those that are stored as they
            are published, or that are there.
    """

    allocations: list[Allocation]
    kinds: Mapping[str, str]
    bytes: int | None
    row_bytes: Mapping[str, float] = field(default_factory=dict)
    estimated: frozenset[str] = frozenset()
    missing: tuple[str, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    images: Mapping[str, int] = field(default_factory=dict)
    made: Mapping[str, float] = field(default_factory=dict)


def find_basis(
    recipe: Recipe,
    stage: str,
    table: Mapping[str, Published],
    found: Finished | None,
    left_out: Mapping[str, str],
    limit: int = -1,
) -> Basis:
    """Solve a stage over the best counts that there are.

    Args:
        found: what the output folder holds.
        left_out: sources whose licence the recipe does not allow.
        limit: ``--limit`` of the build, -1 for none.
    """
    if found is not None:
        found = _of_limits(found, recipe, limit)
    if found is not None:
        allowed = [name for name in recipe.stage(stage).mixture if name not in left_out]
        curation = curation_of(recipe, stage, allowed, found)
        if curation is not None:
            return _from_decisions(recipe, stage, allowed, table, found, curation)
    return _from_counts(recipe, stage, table, found, left_out, limit)


def _of_limits(found: Finished, recipe: Recipe, limit: int) -> Finished:
    """Without the corpora that a build of the recipe would not use, as it reads more or less."""
    corpora = {
        (name, print_): corpus
        for (name, print_), corpus in found.corpora.items()
        if corpus.limit == recipe.limit_of(name, limit)
    }
    return replace(found, corpora=corpora)


def _from_decisions(
    recipe: Recipe,
    stage: str,
    allowed: Sequence[str],
    table: Mapping[str, Published],
    found: Finished,
    curation: CurationManifest,
) -> Basis:
    folder = curation_folder(found.out, curation.fingerprint)
    paths = [storage.join(folder, file.name) for file in curation.buckets]
    counts = {name: row.counts() for name, row in table.items()}
    read = [name for name in allowed if name in curation.corpora]
    corpora = {name: found.corpora[name, curation.corpora[name]] for name in read}
    rules = recipe.stage(stage)
    expected, limits = expected_counts(), recipe.limits
    terms = Terms.of(rules, corpora, counts, recipe.tokenizer, expected, limits)
    tallies = tallies_of(paths, terms.stage)
    lengths = _measured(recipe, stage, found.out, corpora) if terms.stage.measured else None
    allocations = terms.solve(terms.counts(tallies, lengths))
    return Basis(
        allocations=allocations,
        kinds={item.source: "decisions" for item in allocations},
        bytes=select(tallies, allocations).bytes,
        estimated=_estimated(corpora),
        limits={name: corpora[name].limit for name in read if corpora[name].ended_by_limit},
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a source before its rows are decided on.

    Attributes:
        row_bytes: average of a row in a mixture; None if unknown.
        images: in all rows that are read.
        limit: rows that are read; None if it has no more.
        made: bytes of pictures that are to be fetched or drawn; None if none are.
    """

    counts: SourceCounts | None
    row_bytes: float | None
    images: int
    limit: int | None
    made: float | None = None


def _of_corpus(corpus: CorpusManifest) -> _Known:
    counts = corpus.counts
    return _Known(
        counts=SourceCounts(counts.kept, counts.answer_tokens, counts.answer_tokens),
        row_bytes=pack_bytes(corpus) / max(1, counts.kept),
        images=counts.images,
        limit=corpus.limit if corpus.ended_by_limit else None,
    )


def _unread(
    source: Source | None,
    row: Published | None,
    usual: Typical | None,
    limit: int,
    cap: float | None,
) -> _Known:
    """Args: row: of the published table; cap: most turns in a copy."""
    whole = source.published_rows if source else None
    rows = whole if limit < 0 else limit if whole is None else min(limit, whole)
    counts, images = None, 0
    if row is not None:
        counts = row.expected(rows, cap)
        images = round(row.images * (1.0 if rows is None else min(1.0, rows / row.rows)))
    elif usual is not None:
        counts = usual.counts(rows)
    if usual is not None:
        images = round((usual.rows if rows is None else rows) * usual.images)
    row_bytes = made = None
    if source and source.published_bytes and whole:
        # URLs and PDFs are not stored, what they lead to is.
        row_bytes = made_bytes(source, 1) or source.published_bytes / whole
    if source and counts is not None:
        made = made_bytes(source, counts.rows if rows is None else rows)
    is_limited = limit >= 0 and (whole is None or limit < whole)
    return _Known(counts, row_bytes, images, limit if is_limited else None, made)


def _from_counts(
    recipe: Recipe,
    stage: str,
    table: Mapping[str, Published],
    found: Finished | None,
    left_out: Mapping[str, str],
    limit: int,
) -> Basis:
    rules, sources, usual = recipe.stage(stage), registry(), typical_rows()
    corpora = (
        {} if found is None else {n: found.corpora[n, p] for n, (p, _) in found.current.items()}
    )
    wanted = [name for name in rules.mixture if name not in left_out]
    limits = {name: recipe.limit_of(name, limit) for name in wanted}
    known = {
        name: _of_corpus(corpora[name])
        if name in corpora
        else _unread(
            sources.get(name), table.get(name), usual.get(name), limits[name], rules.turns.cap
        )
        for name in wanted
    }
    counts = {name: item.counts for name, item in known.items() if item.counts is not None}
    terms = terms_of(recipe, stage, counts, table, limits)
    read = {name: corpora[name] for name in wanted if name in corpora}
    if rules.measured:
        lengths = {**expected_lengths(recipe, stage, table)}
        if found is not None:
            lengths |= _measured(recipe, stage, found.out, read)
        counts = terms.measured(counts, lengths)
    allocations = terms.solve(counts)
    row_bytes = {name: item.row_bytes for name, item in known.items() if item.row_bytes is not None}
    return Basis(
        allocations=allocations,
        kinds={name: "corpus" if name in corpora else "published" for name in counts},
        bytes=_bytes(allocations, row_bytes),
        row_bytes=row_bytes,
        estimated=_estimated(read),
        missing=tuple(name for name in wanted if name not in counts),
        limits={name: item.limit for name, item in known.items() if item.limit is not None},
        images={name: item.images for name, item in known.items()},
        made={name: item.made for name, item in known.items() if item.made is not None},
    )


def terms_of(
    recipe: Recipe,
    stage: str,
    sources: Iterable[str],
    table: Mapping[str, Published],
    limits: Mapping[str, int],
) -> Terms:
    """What decides how much a stage takes, before its rows are decided on.

    Args:
        sources: of which something is known.
        limits: rows that are read of each source, -1 for all.
    """
    return Terms(
        stage=recipe.stage(stage),
        sources=tuple(sources),
        published={name: row.counts() for name, row in table.items()},
        limited=is_trial(limits, recipe.limits),
        tokenizer=recipe.tokenizer,
        expected=expected_counts(),
        limits=recipe.limits,
    )


def expected_lengths(
    recipe: Recipe, stage: str, table: Mapping[str, Published]
) -> dict[str, Lengths]:
    """The lengths of rows that are not read yet, of sources of which something is known."""
    rules = LengthRules.of(recipe.stage(stage), recipe.tokenizer)
    found = {}
    for name, row in typical_rows().items():
        turns = 0.0 if row.text_tokens == row.answer_tokens else 1.0
        if name in table:
            turns = table[name].turns / table[name].rows
        size = (row.width, row.height)
        found[name] = typical(row.text_tokens, turns, row.images, size, rules)
    return found


def _measured(
    recipe: Recipe, stage: str, out: str, corpora: Mapping[str, CorpusManifest]
) -> dict[str, Lengths]:
    """The lengths of the rows of corpora, measured in this process."""
    rules = LengthRules.of(recipe.stage(stage), recipe.tokenizer)
    paths = {
        name: [storage.join(out, table) for table in corpus.tables()]
        for name, corpus in corpora.items()
    }
    return lengths_of(paths, rules)


def _bytes(allocations: list[Allocation], row_bytes: Mapping[str, float]) -> int | None:
    taken = [item for item in allocations if item.rows]
    if any(item.source not in row_bytes for item in taken):
        return None
    return round(sum(item.rows * row_bytes[item.source] for item in taken))


def _estimated(corpora: Mapping[str, CorpusManifest]) -> frozenset[str]:
    return frozenset(name for name, corpus in corpora.items() if corpus.tokenizer.estimated)


def pack_bytes(corpus: CorpusManifest) -> int:
    packs = (part.pack for part in corpus.parts)
    return sum(pack.bytes for pack in packs if pack is not None)
