"""Plans packs in the global order from what workers measured; the same on every rank.

Planning needs no pixels and no communication: every rank measures all rows (a tenth of a
millisecond each) and packs them in the same way. The position is global: the number of packs used
of a round. When the longest edge changes inside a round, the remaining rows are packed again, and
the position says how many packs were used at each edge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from cauldron.training.data.bad_rows import BadRows, SkippedRow
from cauldron.training.data.builder import BuildTask, MeasureTask
from cauldron.training.data.packing import (
    MeasuredRow,
    PackedWindow,
    PackRules,
    extent,
    pack_window,
)
from cauldron.training.data.sampler import Order, PackPosition, RowGroup, permutation
from cauldron.training.data.workers import Ticket, Workers

from cauldron.core.errors import CauldronError

# The cost of a pack, from its tiles, the lengths of its documents, and its supervised tokens.
Cost = Callable[[int, Sequence[int], int], float]


@dataclass(frozen=True, slots=True)
class PlannedPack:
    """A pack before it is built.

    Attributes:
        worker: the one that builds it: the one that measured its window and has its text in
            memory, or, with fewer windows than workers, each in turn.
        length: tokens.
        supervised: tokens that count in the loss.
    """

    task: BuildTask
    worker: int
    length: int
    supervised: int
    cost: float


@dataclass
class _Round:
    """A measured round: its rows by window, and how many of its packs are used.

    Attributes:
        packed: by window, as the workers packed the rows.
        taken: (edge, packs used) for each edge in turn.
        packs: at the last edge; the first ``taken[-1][1]`` of them are used.
    """

    epoch: int
    number: int
    windows: list[list[MeasuredRow]]
    packed: list[PackedWindow]
    taken: list[tuple[int, int]] = field(default_factory=list)
    packs: list[PlannedPack] = field(default_factory=list)

    @property
    def used(self) -> bool:
        return any(packs for _, packs in self.taken)


@dataclass
class _PrefetchedRound:
    """The next round, of which the first windows may be submitted for measuring."""

    epoch: int
    number: int
    windows: list[list[RowGroup]]
    tickets: list[Ticket] = field(default_factory=list)


class PackPlanner:
    """Packs in the global order, from a position on.

    Args:
        position: `position` of a planner with the same order. None: the start.

    Attributes:
        too_long: rows longer than a sequence, by source, of the rounds planned so far.
        bad: rows that could not be measured.
    """

    def __init__(
        self,
        order: Order,
        rules: PackRules,
        cost: Cost,
        workers: Workers,
        bad: BadRows,
        position: dict[str, Any] | None = None,
    ) -> None:
        self.too_long: Counter[str] = Counter()
        self.bad = bad
        self._order = order
        self._rules = rules
        self._cost = cost
        self._workers = workers
        self._unused_rounds = 0
        start = position or {"epoch": 0, "round": 0, "taken": []}
        self._upcoming = self._rounds(start["epoch"], start["round"])
        self._prefetched = next(self._upcoming)
        self._round: _Round | None = None
        for edge, packs in start["taken"]:
            self._round = self._round or self._next_round(edge)
            self._start_edge(self._round, edge)
            self._round.taken[-1] = (edge, packs)

    @property
    def position(self) -> dict[str, Any] | None:
        """Where the next pack is; plain JSON."""
        if self._round is None:
            return None
        taken = [list(item) for item in self._round.taken]
        return {"epoch": self._round.epoch, "round": self._round.number, "taken": taken}

    def take(self, count: int, edge: int) -> list[PlannedPack]:
        """The next packs, their images scaled to `edge`.

        Raises:
            CauldronError: a whole epoch has no usable row.
        """
        found: list[PlannedPack] = []
        while True:
            this = self._round = self._round or self._next_round(edge)
            if not this.taken or this.taken[-1][0] != edge:
                self._start_edge(this, edge)
            used = this.taken[-1][1]
            more = this.packs[used : used + count - len(found)]
            this.taken[-1] = (edge, used + len(more))
            found += more
            self._prefetch(this.taken[-1][1] / max(1, len(this.packs)), edge)
            if len(found) == count:
                return found
            self._unused_rounds = 0 if this.used else self._unused_rounds + 1
            self._round = None

    def _rounds(self, epoch: int, first: int) -> Iterator[_PrefetchedRound]:
        """All rounds from the given one on, without end."""
        while True:
            rounds = self._order.rounds(epoch)
            for number in range(first, len(rounds)):
                yield _PrefetchedRound(epoch, number, rounds[number])
            if self._unused_rounds >= len(rounds):
                raise CauldronError(
                    "no row of the mixture can be trained on: all are bad, excluded, or longer "
                    f"than a sequence of {self._rules.sequence_length} tokens"
                )
            epoch, first = epoch + 1, 0

    def _prefetch(self, progress: float, edge: int) -> None:
        """Submit windows of the next round for measuring, in step with the current round.

        All windows at once would keep the workers from building packs, and the first pack of a
        run would wait for two rounds.

        Args:
            progress: share of the current round that is used, 0 to 1.
        """
        following = self._prefetched
        wanted = int(len(following.windows) * min(1.0, 1.25 * progress))
        for window in range(len(following.tickets), wanted):
            groups = tuple(following.windows[window])
            task = MeasureTask((following.epoch, following.number), window, groups, edge)
            following.tickets.append(self._workers.submit(window % self._workers.count, task))

    def _next_round(self, edge: int) -> _Round:
        """The next round, measured."""
        self._prefetch(1.0, edge)
        this, self._prefetched = self._prefetched, next(self._upcoming)
        measured = [self._workers.measured(ticket) for ticket in this.tickets]
        for window in measured:
            self.bad.record(row if isinstance(row, SkippedRow) else None for row in window.rows)
        good = [[row for row in w.rows if isinstance(row, MeasuredRow)] for w in measured]
        return _Round(this.epoch, this.number, good, [window.packed for window in measured])

    def _start_edge(self, this: _Round, edge: int) -> None:
        """Pack the unused rows of a round for another edge, or all rows for the first."""
        if this.taken:
            planned = {ref for pack in this.packs for ref in pack.task.rows}
            used = {ref for pack in this.packs[: this.taken[-1][1]] for ref in pack.task.rows}
            left = planned - used
            # Of a cut document the parts that are left; they may be cut again.
            this.windows = [
                [row for row in packed.rows if row.ref in left] for packed in this.packed
            ]
        if this.taken or any(packed.edge != edge for packed in this.packed):
            place = (this.epoch, this.number)
            this.packed = [
                pack_window(rows, edge, self._rules, *place, number, len(this.taken))
                for number, rows in enumerate(this.windows)
            ]
        self.too_long.update(
            packed.rows[number].source for packed in this.packed for number in packed.too_long
        )
        this.packs = self._shuffled(this, edge)
        this.taken.append((edge, 0))

    def _shuffled(self, this: _Round, edge: int) -> list[PlannedPack]:
        """The packs of all windows, shuffled."""
        contents = [
            (window, [packed.rows[number] for number in numbers])
            for window, packed in enumerate(this.packed)
            for numbers in packed.packs
        ]
        place = (this.epoch, this.number, len(this.taken))
        order = permutation(len(contents), self._rules.seed, "packs", *place).tolist()
        before = sum(packs for _, packs in this.taken)
        return [
            self._planned(this, contents[item], before + index, edge)
            for index, item in enumerate(order)
        ]

    def _planned(
        self, this: _Round, content: tuple[int, Sequence[MeasuredRow]], index: int, edge: int
    ) -> PlannedPack:
        window, rows = content
        extents = [extent(row, edge, self._rules) for row in rows]
        lengths = [length for length, _ in extents]
        tiles = sum(tiles for _, tiles in extents)
        supervised = sum(row.supervised for row in rows)
        images = frozenset(row.ref.group for row in rows if row.sizes)
        position = PackPosition(this.epoch, this.number, window, index)
        in_turn = len(this.windows) < self._workers.count
        return PlannedPack(
            task=BuildTask(position, tuple(row.ref for row in rows), edge, tiles, images),
            worker=(index if in_turn else window) % self._workers.count,
            length=sum(lengths),
            supervised=supervised,
            cost=self._cost(tiles, lengths, supervised),
        )
