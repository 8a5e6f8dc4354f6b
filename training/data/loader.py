"""The loader: a mixture in, each step's packs for one rank out.

Every rank plans the same global order (`stream`), cuts it into steps, deals each step by cost
(`deal`) and has its workers build its own packs, a few ahead of what the trainer has taken.
The saved state is the global position after the last step that was handed out, so it does not
depend on ranks, workers or how far ahead they are, and a run goes on with other numbers of both.

Memory: of a rank, the images of one round (`windows` x `window_rows` rows, 0.8 GB at 100 kB a
row) spread over its workers, and tiles of the packs in flight (24 MB each at 10,240 tokens).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from cauldron.training.data.bad_rows import BadRows
from cauldron.training.data.deal import deal
from cauldron.training.data.order import Order
from cauldron.training.data.pack import Pack, make_pack
from cauldron.training.data.plan import PackRules
from cauldron.training.data.prompts import TokenLayout
from cauldron.training.data.rows import row_groups
from cauldron.training.data.settings import LoaderSettings, check, check_state, identity, left_out
from cauldron.training.data.stream import PlannedPack, Stream
from cauldron.training.data.workbench import BenchSettings
from cauldron.training.data.workers import Inline, Processes, Ticket, Workers

from cauldron.core.mixture import Mixture


@dataclass(frozen=True, slots=True)
class _PlannedStep:
    """One rank's share of a step. `state`: of the loader once the step is handed out."""

    number: int
    packs: list[PlannedPack]
    tokens: int
    supervised: int
    state: dict[str, Any]


class Step:
    """One rank's packs of a step, in the order to run them; prepared while it is iterated.

    To be iterated once. A list of them would be gigabytes: one rank's share of a batch of 1,024
    is 128 packs of 24 MB on eight ranks.

    Attributes:
        number: of the step, from 0.
        tokens, supervised: of all ranks' packs together, as planned; rows that turn out bad when
            they are decoded are still counted in both.
    """

    def __init__(self, planned: _PlannedStep, packs: Iterator[Pack]) -> None:
        self.number = planned.number
        self.tokens = planned.tokens
        self.supervised = planned.supervised
        self._count = len(planned.packs)
        self._packs = packs

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Pack]:
        return self._packs


class PackLoader:
    """Iterates over the steps of one rank, without end.

    Args:
        tokens: the model's layout of conversations.
        rank, world: which rank of how many; `world` divides the batch.
        state: of a loader on any rank, with any number of ranks and workers.

    Attributes:
        bad_rows: rows skipped on this rank, by (source, reason).
        too_long: rows that no sequence holds, by source; the same on all ranks. Counted when
            their round is planned, so a resumed run counts those of its first round again.

    Raises:
        UsageError: an unknown source, a world that does not divide the batch, an edge that the
            model has no markers for.
        CauldronError: the state belongs to another order of packs.
    """

    def __init__(
        self,
        mixture: Mixture,
        tokens: TokenLayout,
        settings: LoaderSettings,
        rank: int,
        world: int,
        state: dict[str, Any] | None = None,
    ) -> None:
        check(mixture, tokens, settings, world)
        self._settings = settings
        self._rank, self._world = rank, world
        self._identity = identity(mixture, tokens, settings)
        if state is not None:
            check_state(state, self._identity)
        self._state = state or {"step": 0, "order": self._identity, "position": None}
        self._decoded = BadRows(settings.max_bad_rows)
        rules = PackRules(tokens, settings.sequence_length, settings.upscale, settings.seed)
        order = _order(mixture, settings)
        self._workers = _workers(mixture, settings, rules)
        # Every rank measures every row and finds the same: one of them names it.
        bad = BadRows(settings.max_bad_rows, quiet=rank != 0)
        position = self._state["position"]
        try:
            self._stream = Stream(order, rules, settings.cost, self._workers, bad, position)
        except BaseException:
            self.close()
            raise
        self._next_step = int(self._state["step"])
        self._planned: deque[_PlannedStep] = deque()
        self._to_order: deque[PlannedPack] = deque()
        self._in_flight: deque[Ticket] = deque()
        self._open: Iterator[Pack] = iter(())

    @property
    def bad_rows(self) -> Counter[tuple[str, str]]:
        return self._stream.bad.counts + self._decoded.counts

    @property
    def too_long(self) -> Counter[str]:
        return +self._stream.too_long

    def state(self) -> dict[str, Any]:
        """Where to go on after the last step that was handed out: small, JSON, of all ranks."""
        return self._state

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
        for _ in self._open:  # packs of the last step that the trainer did not take
            pass
        if not self._planned:
            self._plan()
        planned = self._planned.popleft()
        self._state = planned.state
        self._open = self._packs(len(planned.packs))
        return Step(planned, self._open)

    def __enter__(self) -> PackLoader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the workers. Packs that were handed out stay valid."""
        self._workers.close()

    def _packs(self, count: int) -> Iterator[Pack]:
        for _ in range(count):
            self._order_ahead()
            built, tiles = self._workers.built(self._in_flight.popleft())
            self._decoded.seen(built.outcomes)
            yield make_pack(built.tokens, tiles, built.position)

    def _order_ahead(self) -> None:
        """Have packs built in the order they are used in, a bounded number ahead."""
        limit = max(1, self._settings.ahead * self._settings.workers)
        while len(self._in_flight) < limit:
            if not self._to_order:
                self._plan()
            pack = self._to_order.popleft()
            self._in_flight.append(self._workers.submit(pack.worker, pack.task))

    def _plan(self) -> None:
        """Plan one more step and deal it."""
        number = self._next_step
        packs = self._stream.take(self._settings.batch, self._settings.edge_at(number))
        hand = deal([pack.cost for pack in packs], self._world)[self._rank]
        self._next_step = number + 1
        state = {
            "step": number + 1,
            "order": self._identity,
            "position": self._stream.position,
        }
        oldest = packs[0].task.round
        mine = [replace(packs[i], task=replace(packs[i].task, oldest=oldest)) for i in hand]
        tokens = sum(pack.length for pack in packs)
        supervised = sum(pack.supervised for pack in packs)
        self._planned.append(_PlannedStep(number, mine, tokens, supervised, state))
        self._to_order += mine


def _workers(mixture: Mixture, settings: LoaderSettings, rules: PackRules) -> Workers:
    bench = BenchSettings(tuple(mixture.shards), rules, left_out(mixture, settings))
    if settings.workers == 0:
        return Inline(bench)
    layout = rules.layout
    most_tiles = settings.sequence_length // layout.tokens_per_tile
    return Processes(settings.workers, bench, max(1, most_tiles) * layout.tile**2 * 3)


def _order(mixture: Mixture, settings: LoaderSettings) -> Order:
    rows = {name: source.rows for name, source in mixture.manifest.sources.items()}
    out = left_out(mixture, settings)
    kept = sum(count for name, count in rows.items() if name not in out)
    return Order(
        groups=row_groups(mixture.shards),
        seed=settings.seed,
        window_rows=settings.window_rows,
        windows=settings.windows,
        kept=kept / max(1, sum(rows.values())),
    )
