"""What a stage takes of each source, from the decisions on its rows: the same for plan and mix."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from cauldron.transforms.mixing.select import Take, Tally, takes, tally

from cauldron.core.shares import Allocation, Counts, solve
from cauldron.core.stage import StageRecipe


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
) -> Selection:
    """Solve the shares of a stage over the rows that decisions keep.

    Args:
        decisions: paths of the files.
        sources: that were read. The stage may name more.
        published: counts of complete sources.
    """
    tallies = tally(decisions, stage.turns.cap)
    counts = {n: tallies.get(n, Tally()).counts() for n in stage.mixture if n in sources}
    allocations = solve(stage, counts, published)
    epochs = {item.source: item.epochs for item in allocations}
    rows = {name: item.rows for name, item in counts.items()}
    taken, size = takes(decisions, epochs, rows, seed)
    size += sum(_bytes_taken(tallies[name], take) for name, take in taken.items())
    return Selection(allocations, taken, size)


def _bytes_taken(total: Tally, take: Take) -> int:
    copies = take.passes * total.rows + take.extra
    return total.bytes * copies // total.rows
