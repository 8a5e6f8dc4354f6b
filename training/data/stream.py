"""The global order of packs, planned from what workers measured; the same on every rank.

Planning needs no pixels and no communication: every rank measures all rows (a tenth of a
millisecond each) and packs them alike. The position is global: how many packs of which round
have been consumed. Where the longest edge changes inside a round, the rows that are left are
packed anew, and the position says how many packs were taken at each edge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from cauldron.training.data.bad_rows import BadRows, Skipped
from cauldron.training.data.order import Order, PackPosition, RowGroup, permutation
from cauldron.training.data.plan import MeasuredRow, PackedWindow, PackRules, extent, pack_window
from cauldron.training.data.workbench import BuildTask, MeasureTask
from cauldron.training.data.workers import Ticket, Workers

from cauldron.core.errors import CauldronError

# What a pack costs, from its tiles, the lengths of its documents, and its supervised tokens.
Cost = Callable[[int, Sequence[int], int], float]


@dataclass(frozen=True, slots=True)
class PlannedPack:
    """A pack before it is built.

    Attributes:
        length: tokens.
        supervised: of these, tokens that are learned.
        worker: who builds it: the one that measured its window and still has its text, or, where
            there are fewer windows than workers, one after the other.
    """

    task: BuildTask
    worker: int
    length: int
    supervised: int
    cost: float


@dataclass
class _Round:
    """A round: its rows by window, and what has been taken of them.

    Attributes:
        packed: by window, as the workers packed the rows.
        taken: (edge, packs consumed) for each edge in turn.
        packs: at the last edge; the first ``taken[-1][1]`` of them are consumed.
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
class _Coming:
    """A round that is not read yet, or whose first windows are being measured."""

    epoch: int
    number: int
    windows: list[list[RowGroup]]
    tickets: list[Ticket] = field(default_factory=list)


class Stream:
    """Packs in the global order, from a position on.

    Args:
        position: what another stream of the same order had as its `position`. None: the start.

    Attributes:
        too_long: rows that do not fit into a sequence, by source, of the rounds planned so far.
        bad: rows that measuring found to be of no use.
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
        self._barren = 0
        start = position or {"epoch": 0, "round": 0, "taken": []}
        self._to_come = self._rounds(start["epoch"], start["round"])
        self._coming = next(self._to_come)
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
            CauldronError: a whole epoch has no row that can be used.
        """
        found: list[PlannedPack] = []
        while True:
            this = self._round = self._round or self._next_round(edge)
            if not this.taken or this.taken[-1][0] != edge:
                self._start_edge(this, edge)
            consumed = this.taken[-1][1]
            more = this.packs[consumed : consumed + count - len(found)]
            this.taken[-1] = (edge, consumed + len(more))
            found += more
            self._ask(this.taken[-1][1] / max(1, len(this.packs)), edge)
            if len(found) == count:
                return found
            self._barren = 0 if this.used else self._barren + 1
            self._round = None

    def _rounds(self, epoch: int, first: int) -> Iterator[_Coming]:
        """All rounds to come, without end."""
        while True:
            rounds = self._order.rounds(epoch)
            for number in range(first, len(rounds)):
                yield _Coming(epoch, number, rounds[number])
            if self._barren >= len(rounds):
                raise CauldronError(
                    "no row of the mixture can be trained on: all are bad, left out, or longer "
                    f"than a sequence of {self._rules.sequence_length} tokens"
                )
            epoch, first = epoch + 1, 0

    def _ask(self, progress: float, edge: int) -> None:
        """Have windows of the coming round measured, in step with the present one.

        All at once would keep the workers from building packs, and the first pack of a run
        would wait for two rounds.

        Args:
            progress: part of the present round that is consumed; 0 to 1.
        """
        coming = self._coming
        wanted = int(len(coming.windows) * min(1.0, 1.25 * progress))
        for window in range(len(coming.tickets), wanted):
            groups = tuple(coming.windows[window])
            task = MeasureTask((coming.epoch, coming.number), window, groups, edge)
            coming.tickets.append(self._workers.submit(window % self._workers.count, task))

    def _next_round(self, edge: int) -> _Round:
        """The next round, measured."""
        self._ask(1.0, edge)
        coming, self._coming = self._coming, next(self._to_come)
        measured = [self._workers.measured(ticket) for ticket in coming.tickets]
        for window in measured:
            self.bad.seen(row if isinstance(row, Skipped) else None for row in window.found)
        kept = [[row for row in w.found if isinstance(row, MeasuredRow)] for w in measured]
        packed = [window.packed for window in measured]
        return _Round(coming.epoch, coming.number, kept, packed)

    def _start_edge(self, this: _Round, edge: int) -> None:
        """Pack what is left of a round for another edge, or for its first."""
        if this.taken:
            planned = {ref for pack in this.packs for ref in pack.task.rows}
            gone = {ref for pack in this.packs[: this.taken[-1][1]] for ref in pack.task.rows}
            stay = planned - gone
            this.windows = [[row for row in rows if row.ref in stay] for rows in this.windows]
        if this.taken or any(packed.edge != edge for packed in this.packed):
            place = (this.epoch, this.number)
            this.packed = [
                pack_window(rows, edge, self._rules, *place, number, len(this.taken))
                for number, rows in enumerate(this.windows)
            ]
        self.too_long.update(
            rows[number].source
            for rows, packed in zip(this.windows, this.packed, strict=True)
            for number in packed.too_long
        )
        this.packs = self._in_order(this, edge)
        this.taken.append((edge, 0))

    def _in_order(self, this: _Round, edge: int) -> list[PlannedPack]:
        """The packs of all windows, shuffled."""
        contents = [
            (window, [this.windows[window][number] for number in numbers])
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
        images = frozenset(row.ref[0] for row in rows if row.sizes)
        position = PackPosition(this.epoch, this.number, window, index)
        few = len(this.windows) < self._workers.count
        return PlannedPack(
            task=BuildTask(position, tuple(row.ref for row in rows), edge, tiles, images),
            worker=(index if few else window) % self._workers.count,
            length=sum(lengths),
            supervised=supervised,
            cost=self._cost(tiles, lengths, supervised),
        )
