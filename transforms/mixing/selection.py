"""What a stage takes of each source, from the decisions on its rows: the same for plan and mix."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from cauldron.transforms.mixing.select import Take, Tally, takes, tally

from cauldron.core.shares import Allocation, Counts, solve
from cauldron.core.stage import Budget, StageRecipe


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows of a mixture.

    Attributes:
        takes: by source; those without any copy are left out.
        bytes: of the mixture, with the pictures of every copy.
    """

    allocations: list[Allocation]
    takes: Mapping[str, Take]
    bytes: int


def select(
    decisions: Sequence[str],
    stage: StageRecipe,
    sources: Collection[str],
    published: Counts,
    seed: int,
    limited: bool = False,
) -> Selection:
    """Solve the shares of a stage over the rows that decisions keep.

    Args:
        decisions: paths of the files.
        sources: that were read. The stage may name more.
        published: counts of complete sources.
        limited: only some rows of the sources were read, to try the recipe on. The budget is then
            the same part of the whole one.
    """
    tallies = tally(decisions, stage.turns.cap)
    counts = {n: tallies.get(n, Tally()).counts() for n in stage.mixture if n in sources}
    if limited:
        stage = part_of(stage, counts, published)
    allocations = solve(stage, counts, published)
    epochs = {item.source: item.epochs for item in allocations}
    rows = {name: item.rows for name, item in counts.items()}
    taken, size = takes(decisions, epochs, rows, seed)
    size += sum(_bytes_taken(tallies[name], take) for name, take in taken.items())
    return Selection(allocations, taken, size)


def part_of(stage: StageRecipe, counts: Counts, published: Counts) -> StageRecipe:
    """The stage with its budget of answer tokens for the rows at hand.

    A thousand rows of each source would otherwise all be repeated as often as is allowed.

    Args:
        counts: of the rows at hand.
        published: of complete sources.
    """
    known = [name for name in counts if name in published]
    whole = sum(published[name].rows for name in known)
    if stage.budget is None or stage.budget.answer_tokens is None or not whole:
        return stage
    part = min(1.0, sum(counts[name].rows for name in known) / whole)
    budget = Budget(answer_tokens=max(1.0, stage.budget.answer_tokens * part))
    return stage.model_copy(update={"budget": budget})


def _bytes_taken(total: Tally, take: Take) -> int:
    copies = take.passes * total.rows + take.extra
    return total.bytes * copies // total.rows
