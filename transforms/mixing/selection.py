"""How much a stage takes of each source: the same for a plan and for the mix."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from cauldron.transforms.mixing.lengths import LengthRules, Lengths, packed, with_sequences
from cauldron.transforms.mixing.tallies import Tally, tally, total

from cauldron.core.output.manifests import CorpusManifest
from cauldron.core.sections.stage import Budget, StageRecipe
from cauldron.core.shares import Allocation, Counts, SourceCounts, row_parts, solve
from cauldron.core.tokenizer import ESTIMATE


@dataclass(frozen=True, slots=True)
class Terms:
    """What decides how much is taken, besides the rows themselves.

    Attributes:
        sources: that were read. The stage may name more.
        published: counts of complete sources.
        limited: fewer rows of the sources were read than the recipe wants, to try it on. The budget
            is then the same part of the whole one.
        tokenizer: of the recipe; measures rows where the stage asks for it.
        expected: counts of complete sources that are not published, for the budget alone.
        limits: rows that the recipe reads of a source, where it does not read all.
    """

    stage: StageRecipe
    sources: Collection[str]
    published: Counts
    limited: bool = False
    tokenizer: str = ESTIMATE
    expected: Counts = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        stage: StageRecipe,
        corpora: Mapping[str, CorpusManifest],
        published: Counts,
        tokenizer: str = ESTIMATE,
        expected: Counts | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> Terms:
        """The terms of a mixture of these corpora."""
        limits = limits or {}
        limited = is_trial({name: corpus.limit for name, corpus in corpora.items()}, limits)
        return cls(stage, tuple(corpora), published, limited, tokenizer, expected or {}, limits)

    def counts(
        self, tallies: Mapping[str, Tally], lengths: Mapping[str, Lengths] | None = None
    ) -> dict[str, SourceCounts]:
        """What shares are solved from, for each source that was read.

        Args:
            lengths: of the rows of each source, if the stage needs them.

        Raises:
            CauldronError: no shares follow from them; see `solve`.
        """
        counts = {
            name: tallies.get(name, Tally()).counts(self.stage.turns.cap)
            for name in self.stage.mixture
            if name in self.sources
        }
        return counts if lengths is None else self.measured(counts, lengths)

    def measured(
        self, counts: Mapping[str, SourceCounts], lengths: Mapping[str, Lengths]
    ) -> dict[str, SourceCounts]:
        """The counts with the sequences that a pass over each source fills. Raises CauldronError,
        see `solve`."""
        rules = LengthRules.of(self.stage, self.tokenizer)
        counts = with_sequences(counts, lengths, rules)
        return packed(counts, lengths, self.solve(counts), rules)

    def edges(self, allocations: Iterable[Allocation]) -> tuple[tuple[int, int], ...]:
        """Where each longest edge of the stage begins: first position, pixels."""
        parts = row_parts(self.stage, allocations)
        starts = itertools.accumulate(parts[:-1], initial=0.0)
        pixels = (edge for _, edge in self.stage.edges)
        return tuple((int(start * 2**64), edge) for start, edge in zip(starts, pixels, strict=True))

    def solve(self, counts: Counts) -> list[Allocation]:
        """The shares and epochs. Raises CauldronError, see `cauldron.core.shares.solve`."""
        if not self.limited:
            return solve(self.stage, counts, self.published)
        complete = {**self.expected, **self.published}
        for name in self.limits.keys() & complete.keys():
            rows = min(complete[name].rows, self.limits[name])
            complete[name] = replace(complete[name], rows=rows)
        return solve(part_of(self.stage, counts, complete), counts, self.published)


@dataclass(frozen=True, slots=True)
class Passes:
    """How often the rows of a source are taken.

    Attributes:
        whole: number of passes that take every row.
        extra: number of rows that are taken once more.
    """

    whole: int
    extra: int


@dataclass(frozen=True, slots=True)
class Selection:
    """How much a mixture takes.

    Attributes:
        passes: by source; those without any copy are left out.
        bytes: of the mixture, with the pictures of every copy.
    """

    passes: Mapping[str, Passes]
    bytes: int


def tallies_of(decisions: Iterable[str], stage: StageRecipe) -> dict[str, Tally]:
    """Tallies by source, of one file after the other in this process."""
    found: dict[str, Tally] = {}
    for path in decisions:
        for name, item in tally(path, stage.turns.cap):
            found[name] = total([found.get(name, Tally()), item])
    return found


def select(tallies: Mapping[str, Tally], allocations: Iterable[Allocation]) -> Selection:
    """Whole rows from epochs.

    Args:
        allocations: solved from the same tallies.
    """
    epochs, passes, size = {}, {}, 0
    for item in allocations:
        epochs[item.source] = item.epochs
        if item.rows:
            rows = item.counts.rows
            passes[item.source] = Passes(*divmod(item.rows, rows))
            size += tallies[item.source].bytes * item.rows // rows
    # A merged row has as many copies as the source with the most epochs takes of it.
    merged = math.fsum(
        max(epochs.get(name, 0.0) for name in holders) * held
        for item in tallies.values()
        for holders, held in item.merged.items()
    )
    return Selection(passes, size + int(merged))


def is_trial(read: Mapping[str, int], limits: Mapping[str, int]) -> bool:
    """Whether fewer rows of any source were read than its recipe wants.

    Args:
        read: rows that were to be read, by source, -1 for all.
        limits: the recipe's own.
    """
    return any(0 <= rows < limits.get(name, math.inf) for name, rows in read.items())


def part_of(stage: StageRecipe, counts: Counts, published: Counts) -> StageRecipe:
    """The stage with its budget of answer tokens or sequences for the rows at hand.

    A thousand rows of each source would otherwise all be repeated as often as is allowed.

    Args:
        counts: of the rows at hand.
        published: of complete sources, as far as the recipe reads them.
    """
    known = [name for name in counts if name in published]
    whole = sum(published[name].rows for name in known)
    budget = stage.budget
    if budget is None or not whole:
        return stage
    part = min(1.0, sum(counts[name].rows for name in known) / whole)
    if budget.answer_tokens is not None:
        budget = Budget(answer_tokens=max(1.0, budget.answer_tokens * part))
    elif budget.sequences is not None:
        budget = Budget(sequences=max(1.0, budget.sequences * part))
    else:
        return stage
    return stage.model_copy(update={"budget": budget})
