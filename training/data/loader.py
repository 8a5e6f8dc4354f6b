"""The loader: reads a mixture and yields each step's packs for one rank.

Every rank plans the same global order (`planner`), cuts it into steps, assigns the packs of each
step to ranks by cost, and has its workers prefetch its own packs. The saved state is the global
position after the last step that was yielded. It does not depend on ranks, workers or prefetching,
so a run can be resumed with other numbers of ranks and workers.

Memory of a rank: the images of one round (`windows` x `window_rows` rows, 0.8 GB at 100 kB a row)
spread over its workers, and the tiles of the packs in flight (24 MB each at 10,240 tokens).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from cauldron.training.data.bad_rows import BadRows
from cauldron.training.data.builder import BuilderSettings
from cauldron.training.data.collate import Pack, make_pack
from cauldron.training.data.packing import PackRules
from cauldron.training.data.planner import PackPlanner, PlannedPack
from cauldron.training.data.rows import row_groups
from cauldron.training.data.sampler import Order, assign_packs
from cauldron.training.data.settings import (
    LoaderSettings,
    check_settings,
    check_state,
    excluded_sources,
    order_fields,
)
from cauldron.training.data.tokenization import TokenLayout
from cauldron.training.data.workers import InlineWorker, Ticket, WorkerProcesses, Workers

from cauldron.core.output.mixture import Mixture


@dataclass(frozen=True, slots=True)
class _PlannedStep:
    """One rank's share of a step. `state`: of the loader once the step is yielded."""

    number: int
    packs: list[PlannedPack]
    tokens: int
    supervised: int
    state: dict[str, Any]


class Step:
    """One rank's packs of a step, in the order to run them. Can be iterated once.

    Packs are built during iteration. A list of them would take gigabytes: one rank's share of a
    batch of 1,024 is 128 packs of 24 MB on eight ranks.

    Attributes:
        number: of the step, from 0.
        tokens, supervised: planned for all ranks together; rows that cannot be decoded are
            included.
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
        rank, world: number of this rank and of all ranks; `world` must divide the batch.
        state: of a loader on any rank, with any number of ranks and workers.

    Attributes:
        bad_rows: rows skipped on this rank, by (source, reason).
        too_long: rows longer than a sequence, by source; the same on all ranks. Counted when
            their round is planned, so a resumed run counts those of its first round again.

    Raises:
        UsageError: an unknown source, a world that does not divide the batch, or more tiles than
            the model has markers for.
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
        check_settings(mixture, tokens, settings, world)
        self._settings = settings
        self._rank, self._world = rank, world
        self._order_fields = order_fields(mixture, tokens, settings)
        if state is not None:
            check_state(state, self._order_fields)
        self._state = state or {"step": 0, "order": self._order_fields, "position": None}
        self._decoded = BadRows(settings.max_bad_rows)
        rules = PackRules(
            tokens,
            settings.sequence_length,
            settings.upscale,
            settings.seed,
            settings.cut_documents,
        )
        order = _make_order(mixture, settings)
        self._workers = _make_workers(mixture, settings, rules)
        # Every rank measures every row and finds the same bad ones: one rank logs them.
        bad = BadRows(settings.max_bad_rows, quiet=rank != 0)
        position = self._state["position"]
        try:
            self._planner = PackPlanner(order, rules, settings.cost, self._workers, bad, position)
        except BaseException:
            self.close()
            raise
        self._next_step = int(self._state["step"])
        self._planned: deque[_PlannedStep] = deque()
        self._unsubmitted: deque[PlannedPack] = deque()
        self._in_flight: deque[Ticket] = deque()
        self._current: Iterator[Pack] = iter(())

    @property
    def bad_rows(self) -> Counter[tuple[str, str]]:
        return self._planner.bad.counts + self._decoded.counts

    @property
    def too_long(self) -> Counter[str]:
        return +self._planner.too_long

    def state(self) -> dict[str, Any]:
        """Where to resume after the last step that was yielded: JSON, the same on all ranks."""
        return self._state

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
        for _ in self._current:  # packs of the last step that were not used
            pass
        if not self._planned:
            self._plan()
        planned = self._planned.popleft()
        self._state = planned.state
        self._current = self._packs(len(planned.packs))
        return Step(planned, self._current)

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
        """Stop the workers. Packs that were yielded stay valid."""
        self._workers.close()

    def _packs(self, count: int) -> Iterator[Pack]:
        for _ in range(count):
            self._submit_ahead()
            built, tiles = self._workers.built(self._in_flight.popleft())
            self._decoded.record(built.outcomes)
            yield make_pack(built.tokens, tiles, built.position)

    def _submit_ahead(self) -> None:
        """Submit packs to the workers in the order of use, a limited number ahead."""
        limit = max(1, self._settings.ahead * self._settings.workers)
        while len(self._in_flight) < limit:
            if not self._unsubmitted:
                self._plan()
            pack = self._unsubmitted.popleft()
            self._in_flight.append(self._workers.submit(pack.worker, pack.task))

    def _plan(self) -> None:
        """Plan one more step and assign its packs."""
        number = self._next_step
        packs = self._planner.take(self._settings.batch, self._settings.edge_at(number))
        assigned = assign_packs([pack.cost for pack in packs], self._world)[self._rank]
        self._next_step = number + 1
        state = {
            "step": number + 1,
            "order": self._order_fields,
            "position": self._planner.position,
        }
        oldest = packs[0].task.round
        mine = [replace(packs[i], task=replace(packs[i].task, oldest=oldest)) for i in assigned]
        tokens = sum(pack.length for pack in packs)
        supervised = sum(pack.supervised for pack in packs)
        self._planned.append(_PlannedStep(number, mine, tokens, supervised, state))
        self._unsubmitted += mine


def _make_workers(mixture: Mixture, settings: LoaderSettings, rules: PackRules) -> Workers:
    excluded = excluded_sources(mixture, settings)
    builder = BuilderSettings(tuple(mixture.shards), rules, excluded)
    if settings.workers == 0:
        return InlineWorker(builder)
    layout = rules.layout
    most_tiles = settings.sequence_length // layout.tokens_per_tile
    return WorkerProcesses(settings.workers, builder, max(1, most_tiles) * layout.tile**2 * 3)


def _make_order(mixture: Mixture, settings: LoaderSettings) -> Order:
    rows = {name: source.rows for name, source in mixture.manifest.sources.items()}
    excluded = excluded_sources(mixture, settings)
    kept = sum(count for name, count in rows.items() if name not in excluded)
    return Order(
        groups=row_groups(mixture.shards),
        seed=settings.seed,
        window_rows=settings.window_rows,
        windows=settings.windows,
        kept=kept / max(1, sum(rows.values())),
    )
