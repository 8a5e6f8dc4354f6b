"""From shares of answer tokens to epochs of each source, or from epochs to shares.

In the authors' scheme a source's share of answer tokens is proportional to tokens x weight. Epochs
are computed from the tokens that one pass really delivers. In TallyQA, for example, a copy keeps 7
turns of a row at most: if a pass delivers half of the source's tokens, two passes fill its share.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from cauldron.core.errors import CauldronError
from cauldron.core.sections.stage import Budget, Portion, StageRecipe

# A source with a smaller part of its published rows is incomplete.
COMPLETE = 0.9
# How often shares and the division of rows among resolutions are computed from each other. Without
# a cap that binds, the second time changes nothing.
_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class SourceCounts:
    """Totals of one source.

    Attributes:
        rows: samples that may be picked.
        answer_tokens: in all turns of all rows.
        delivered: expected answer tokens of one pass, after the cap on turns.
        sequences: that one pass fills, at each longest edge of the stage; empty if unknown.
    """

    rows: int
    answer_tokens: float
    delivered: float
    sequences: tuple[float, ...] = ()

    def incomplete(self, published: SourceCounts | None) -> bool:
        return published is not None and self.rows < COMPLETE * published.rows


class UnplannedError(CauldronError):
    """No shares follow from a stage and the sizes of its sources."""


Counts = Mapping[str, SourceCounts]


@dataclass(frozen=True, slots=True)
class Allocation:
    """How much of a source a stage takes.

    Attributes:
        share: the wanted part of the mixture's answer tokens.
        epochs: passes over the source, fractional.
        ceiling: most passes over it.
        capped: the ceiling keeps it below its share.
        planned_share: the part that these epochs give; differs from `share` if a source is capped.
    """

    source: str
    counts: SourceCounts
    portion: Portion
    share: float
    epochs: float
    ceiling: float
    capped: bool
    planned_share: float

    @property
    def weight(self) -> float | None:
        return self.portion.weight

    @property
    def rows(self) -> int:
        """Rows of the mixture with turns of it."""
        return round(self.epochs * self.counts.rows)


def solve(stage: StageRecipe, counts: Counts, published: Counts | None = None) -> list[Allocation]:
    """Epochs of every source that has counts, in the recipe's order.

    In ``promise: shares`` epochs are ``min(ceiling, c * asked tokens / delivered)``, with one `c`
    for all that meets the budget. So what a capped source cannot give is divided among the others
    in proportion to their shares. If every source is capped, the mixture stays below its budget.

    Args:
        counts: of the sources that can be read. A source without rows gets nothing, and its share
            is divided among the others.
        published: of complete sources. With ``weigh_by: published`` those that are not in `counts`
            keep their share: the mixture is smaller without them.

    Raises:
        CauldronError: no source has any answer tokens, the budget leaves nothing for shares, or it
            is of sequences, and no source's are known.
    """
    published = published or {}
    if stage.budget is None or stage.budget.sequences is None:
        return _solved(stage, counts, published)
    if not any(item.sequences for item in counts.values()):
        raise UnplannedError("a budget of sequences needs the lengths of rows, which are not known")
    # The larger images become, the fewer rows fill a sequence. How the rows of the stage divide
    # among its resolutions depends on the shares, and the other way round.
    parts = tuple(part for part, _ in stage.edges)
    for _ in range(_ROUNDS):
        found = _solved(stage, {n: _mean(item, parts) for n, item in counts.items()}, published)
        found = [replace(item, counts=counts[item.source]) for item in found]
        parts = row_parts(stage, found)
    return found


def row_parts(stage: StageRecipe, allocations: Iterable[Allocation]) -> tuple[float, ...]:
    """Which part of the rows is consumed at each longest edge of a stage, 0 to 1.

    The recipe divides the stage by its sequences: at a small edge they hold more rows.
    """
    parts = tuple(part for part, _ in stage.edges)
    items = [item for item in allocations if item.counts.sequences and item.epochs]
    rows = []
    for number, part in enumerate(parts):
        filled = math.fsum(item.epochs * item.counts.sequences[number] for item in items)
        if filled <= 0:
            return parts
        rows.append(part / filled)
    whole = math.fsum(rows)
    return tuple(part / whole for part in rows)


def _mean(item: SourceCounts, parts: tuple[float, ...]) -> SourceCounts:
    """The counts with the sequences of a pass whose rows divide so among the edges."""
    each = item.sequences or [0.0] * len(parts)
    filled = math.fsum(part * n for part, n in zip(parts, each, strict=True))
    return replace(item, sequences=(filled,))


def _solved(stage: StageRecipe, counts: Counts, published: Counts) -> list[Allocation]:
    held = {n: counts[n] for n in stage.mixture if n in counts and counts[n].delivered > 0}
    if not held:
        raise UnplannedError("no source of the mixture has any answer tokens")
    ceilings = {name: _ceiling(stage, name, held[name], published.get(name)) for name in held}
    if stage.promise == "epochs":
        asked, factor = _tokens_of_epochs(stage, held), 1.0
    else:
        known = published if stage.weigh_by == "published" else {}
        absent = {n: known[n] for n in stage.mixture if n in known and n not in counts}
        asked = _tokens_of_shares(stage, held, absent, known)
        factor = _factor(stage, held, asked, ceilings)
    epochs = {}
    for name, tokens in asked.items():
        grown = 1.0 if stage.mixture[name].epochs is not None else factor
        passes = grown * tokens / held[name].delivered
        # A rounding error below its ceiling is at its ceiling.
        epochs[name] = ceilings[name] if passes > ceilings[name] * (1 - 1e-12) else passes
    wanted, given = sum(asked.values()), sum(epochs[n] * held[n].delivered for n in held)
    if given <= 0:
        raise UnplannedError("the mixture takes nothing of any source that has answer tokens")
    return [
        Allocation(
            source=name,
            counts=counts[name],
            portion=portion,
            share=asked.get(name, 0.0) / wanted,
            epochs=epochs.get(name, 0.0),
            ceiling=ceilings.get(name, stage.max_epochs),
            capped=name in held and epochs[name] * held[name].delivered < asked[name] * (1 - 1e-9),
            planned_share=epochs.get(name, 0.0) * counts[name].delivered / given,
        )
        for name, portion in stage.mixture.items()
        if name in counts
    ]


def _ceiling(
    stage: StageRecipe, name: str, counts: SourceCounts, published: SourceCounts | None
) -> float:
    """Most passes over a source."""
    limit = stage.max_epochs_incomplete
    if limit is None or stage.mixture[name].epochs is not None or not counts.incomplete(published):
        return stage.max_epochs
    authors = (stage.mixture[name].weight or 0.0) * stage.epochs_per_weight
    return min(stage.max_epochs, max(limit, authors))


def _tokens_of_epochs(stage: StageRecipe, held: Counts) -> dict[str, float]:
    """The answer tokens of each source where the recipe gives epochs, or weights for epochs."""
    asked = {}
    for name, counts in held.items():
        portion = stage.mixture[name]
        if portion.epochs is None:
            assert portion.weight is not None
            asked[name] = portion.weight * stage.epochs_per_weight * counts.delivered
        else:
            asked[name] = portion.epochs * counts.delivered
    return asked


@dataclass(frozen=True, slots=True)
class _Line:
    """A source's answer tokens as a function of those of the whole mixture."""

    slope: float
    offset: float

    def at(self, total: float) -> float:
        return self.slope * total + self.offset


def _tokens_of_shares(
    stage: StageRecipe, held: Counts, absent: Counts, known: Counts
) -> dict[str, float]:
    """The answer tokens that each source should give if none were capped.

    Args:
        absent: published counts of sources that cannot be read.
        known: counts whose tokens weights multiply instead of the measured ones.
    """
    assert stage.budget is not None
    every = {**held, **absent}
    weighed = {name: known.get(name, counts).answer_tokens for name, counts in every.items()}
    lines = _lines(stage.mixture, every, weighed)
    total = _total(stage.budget, lines, every)
    asked = {name: lines[name].at(total) for name in held}
    if min(asked.values()) < 0:
        raise UnplannedError(
            "the sources with `epochs` take more answer tokens than the budget leaves beside the "
            "shares: raise the budget or lower the epochs"
        )
    return asked


def _lines(
    mixture: Mapping[str, Portion], counts: Counts, weighed: Mapping[str, float]
) -> dict[str, _Line]:
    """Each source's tokens: of epochs, of a share, or by weight of what these two leave."""
    portions = {name: mixture[name] for name in counts}
    passes = {
        n: p.epochs * counts[n].delivered for n, p in portions.items() if p.epochs is not None
    }
    shares = {n: p.share for n, p in portions.items() if p.share is not None}
    products = {n: weighed[n] * p.weight for n, p in portions.items() if p.weight is not None}
    taken, fixed, whole = sum(passes.values()), sum(shares.values()), sum(products.values())
    lines = {name: _Line(0.0, tokens) for name, tokens in passes.items()}
    for name, share in shares.items():
        # Without weights the shares are all that the epochs leave.
        part = share / fixed if fixed else 0.0
        lines[name] = _Line(share, 0.0) if whole > 0 else _Line(part, -taken * part)
    for name, product in products.items():
        part = product / whole if whole else 0.0
        lines[name] = _Line((1 - fixed) * part, -taken * part)
    return lines


def _total(budget: Budget, lines: Mapping[str, _Line], counts: Counts) -> float:
    """The answer tokens of the whole mixture, for which its size is the budget's."""
    measures = _measures(budget, counts)
    size = sum(measures[name] * line.offset for name, line in lines.items())
    slope = sum(measures[name] * line.slope for name, line in lines.items())
    epochs = sum((budget.epochs_of or {}).values())
    target = budget.answer_tokens or budget.samples or budget.sequences or epochs
    if slope <= 0:
        if budget.epochs_of is not None:
            name = next(iter(budget.epochs_of))
            what = "is not here, or has no rows or no share; name another source"
            raise UnplannedError(f"budget.epochs_of: {name} {what}")
        raise UnplannedError("no source with a weight or a share has any answer tokens")
    return (target - size) / slope


def _measures(budget: Budget, counts: Counts) -> dict[str, float]:
    """What an answer token of each source counts for the budget."""
    if budget.answer_tokens is not None:
        return dict.fromkeys(counts, 1.0)
    if budget.samples is not None:
        return {name: item.rows / item.delivered for name, item in counts.items()}
    if budget.sequences is not None:
        # A source that cannot be read takes no room.
        return {n: sum(item.sequences) / (item.delivered or 1) for n, item in counts.items()}
    anchor = budget.epochs_of or {}
    return {name: 1 / item.delivered if name in anchor else 0.0 for name, item in counts.items()}


def _factor(
    stage: StageRecipe,
    held: Counts,
    asked: Mapping[str, float],
    ceilings: Mapping[str, float],
) -> float:
    """How much more than asked the sources give that are not capped."""
    assert stage.budget is not None
    if stage.budget.epochs_of is not None:
        return 1.0
    measures = _measures(stage.budget, held)
    sizes = {
        name: measures[name] * tokens
        for name, tokens in asked.items()
        if tokens > 0 and stage.mixture[name].epochs is None
    }
    # The factor at which a source reaches its ceiling.
    full = {name: ceilings[name] * held[name].delivered / asked[name] for name in sizes}
    target, rate, filled = sum(sizes.values()), sum(sizes.values()), 0.0
    for name in sorted(sizes, key=lambda n: (full[n], n)):
        if filled + rate * full[name] >= target:
            return (target - filled) / rate
        filled += full[name] * sizes[name]
        rate -= sizes[name]
    return max(full.values(), default=1.0)
