"""What is known of a stage's sources before their mixture is there: the counts under a plan.

The best that there is: the decisions of a finished curation, else finished corpora, else published
counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cauldron.core import storage
from cauldron.core.output.finished import Finished
from cauldron.core.output.manifests import CorpusManifest, CurationManifest, curation_folder
from cauldron.core.reviews import read_reviews, reviews_digest
from cauldron.core.shares import Allocation, SourceCounts, solve
from cauldron.inspect.statistics import Published, Typical, expected_counts, typical_rows
from cauldron.recipe import Recipe
from cauldron.sources.catalog import registry
from cauldron.transforms.mixing.lengths import LengthRules, Lengths, lengths_of, typical
from cauldron.transforms.mixing.selection import Terms, select, tallies_of


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
        limits: the recipe's, of rows that are read of the sources that have more.
    """

    allocations: list[Allocation]
    kinds: Mapping[str, str]
    bytes: int | None
    row_bytes: Mapping[str, float] = field(default_factory=dict)
    estimated: frozenset[str] = frozenset()
    missing: tuple[str, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    images: Mapping[str, int] = field(default_factory=dict)


def find_basis(
    recipe: Recipe,
    stage: str,
    table: Mapping[str, Published],
    found: Finished | None,
    left_out: Mapping[str, str],
) -> Basis:
    """Solve a stage over the best counts that there are.

    Args:
        found: what the output folder holds.
        left_out: sources whose licence the recipe does not allow.
    """
    if found is not None:
        allowed = [name for name in recipe.stage(stage).mixture if name not in left_out]
        curation = curation_of(recipe, stage, allowed, found)
        if curation is not None:
            return _from_decisions(recipe, stage, allowed, table, found, curation)
    return _from_counts(recipe, stage, table, found, left_out)


def curation_of(
    recipe: Recipe, stage: str, allowed: Sequence[str], found: Finished
) -> CurationManifest | None:
    """The newest curation that a build of the stage made, or would use; None if there is none.

    Args:
        allowed: the stage's sources whose licence the recipe allows.
    """
    newest = sorted(found.curations, key=lambda name: (-found.modified[f"curation/{name}"], name))
    return next(
        (
            found.curations[name]
            for name in newest
            if _fits(found.curations[name], recipe, stage, allowed, found)
        ),
        None,
    )


def _fits(
    curation: CurationManifest,
    recipe: Recipe,
    stage: str,
    allowed: Sequence[str],
    found: Finished,
) -> bool:
    held = curation.corpora
    read = [name for name in allowed if name in held]
    if not read or any((name, held[name]) not in found.corpora for name in held):
        return False
    if any(name in found.current and name not in held for name in allowed):
        return False  # a corpus that was added since
    rules, benchmarks = recipe.duplicate_rules(stage), recipe.against.benchmarks
    reviews = read_reviews(rules.reviews) if rules and rules.reviews else ()
    if curation.reviews_digest != (reviews_digest(reviews) if reviews else None):
        return False
    if set(curation.benchmarks) != set(benchmarks):
        return False
    if rules is None and not benchmarks:
        return curation.matches is None
    matches = found.matches.get(curation.matches or "")
    if matches is None or curation.priority != read:
        return False
    if rules is None:
        return curation.action is None
    same = ("radius", "radius256", "aspect", "neighbours")
    decided = ("action", "conflicts", "max_documents")
    return all(getattr(curation, name) == getattr(rules, name) for name in decided) and all(
        getattr(matches, name) == getattr(rules, name) for name in same
    )


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
        limits={name: n for name, n in recipe.limits.items() if _ends(n, corpora.get(name))},
    )


def _from_counts(
    recipe: Recipe,
    stage: str,
    table: Mapping[str, Published],
    found: Finished | None,
    left_out: Mapping[str, str],
) -> Basis:
    rules, known, usual = recipe.stage(stage), registry(), typical_rows()
    corpora = (
        {} if found is None else {n: found.corpora[n, p] for n, (p, _) in found.current.items()}
    )
    counts: dict[str, SourceCounts] = {}
    row_bytes: dict[str, float] = {}
    wanted = [name for name in rules.mixture if name not in left_out]
    limits: dict[str, int] = {}
    images: dict[str, int] = {}
    for name in wanted:
        source, limit = known.get(name), recipe.source(name).limit
        whole = source.published_rows if source else None
        rows = whole if limit is None or whole is None else min(whole, limit)
        if name in corpora:
            if limit is not None and _ends(limit, corpora[name]):
                limits[name] = limit
            totals = corpora[name].counts
            tokens = float(totals.answer_tokens)
            counts[name] = SourceCounts(totals.kept, tokens, tokens)
            row_bytes[name] = pack_bytes(corpora[name]) / max(1, totals.kept)
            images[name] = totals.images
        elif name in table:
            counts[name] = table[name].expected(rows, rules.turns.cap)
        elif name in usual:
            counts[name] = usual[name].counts(rows)
        if name not in corpora:
            images[name] = _expected_images(usual.get(name), table.get(name), rows)
        if name not in corpora and limit is not None and (whole is None or limit < whole):
            limits[name] = limit
        if name not in corpora and source and source.published_bytes and whole:
            row_bytes[name] = source.published_bytes / whole
            if name in usual and (size := usual[name].image_bytes):
                # URLs and PDFs are not stored, what they lead to is.
                row_bytes[name] = usual[name].images * size
    published = {name: row.counts() for name, row in table.items()}
    if rules.measured:
        read = {name: corpora[name] for name in wanted if name in corpora}
        lengths = {**expected_lengths(recipe, stage, table)}
        if found is not None:
            lengths |= _measured(recipe, stage, found.out, read)
        terms = Terms(rules, tuple(counts), published, tokenizer=recipe.tokenizer)
        counts = terms.measured(counts, lengths)
    allocations = solve(rules, counts, published)
    return Basis(
        allocations=allocations,
        kinds={name: "corpus" if name in corpora else "published" for name in counts},
        bytes=_bytes(allocations, row_bytes),
        row_bytes=row_bytes,
        estimated=_estimated({name: corpora[name] for name in wanted if name in corpora}),
        missing=tuple(name for name in wanted if name not in counts),
        limits=limits,
        images=images,
    )


def _expected_images(usual: Typical | None, row: Published | None, rows: int | None) -> int:
    """Args: rows: that are read; None if unknown."""
    if usual is not None:
        return round((usual.rows if rows is None else rows) * usual.images)
    if row is None:
        return 0
    return round(row.images * (1.0 if rows is None else min(1.0, rows / row.rows)))


def _ends(limit: int, corpus: CorpusManifest | None) -> bool:
    """Whether a corpus has no more rows because of the recipe's limit."""
    return corpus is not None and corpus.limit == limit and corpus.ended_by_limit


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
