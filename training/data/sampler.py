"""The order of rows and packs, a function of (seed, epoch, place), and which rank gets which pack.

An epoch is a permutation of all row groups, cut into *rounds*; a round is cut into *windows* of
about `window_rows` rows. One worker reads and measures a window, the rows of a window are packed
together, and the packs of all windows of a round are shuffled. So a pack has one place in a global
order, (epoch, round, index), which depends neither on ranks nor on workers.

A round has several windows so that several workers can prepare consecutive packs. One shard per
rank, the usual way, would tie the order to the number of ranks, and packs could not be assigned by
cost.

Orders are made by sorting raw Philox output, a counter-based generator: equal keys give equal bits
on every machine and in every version of NumPy. No generator state is carried along.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Purpose = Literal["row groups", "rows", "packs"]


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A row group of the mixture: the number of its shard, its number there, and its rows."""

    shard: int
    number: int
    rows: int


@dataclass(frozen=True, slots=True)
class PackPosition:
    """The place of a pack in the global order.

    Attributes:
        window: number of the window, in the round, that the pack's rows come from.
        index: place among all packs of the round.
    """

    epoch: int
    round: int
    window: int
    index: int


@dataclass(frozen=True, slots=True)
class Order:
    """The order of the row groups of one mixture.

    Attributes:
        window_rows: about how many rows are packed together.
        windows: most windows in a round.
        kept: share of the rows that are used when sources are excluded; windows then span more
            row groups.
    """

    groups: tuple[RowGroup, ...]
    seed: int
    window_rows: int
    windows: int
    kept: float = 1.0

    def rounds(self, epoch: int) -> list[list[list[RowGroup]]]:
        """All row groups, each once: rounds of windows of row groups."""
        order = permutation(len(self.groups), self.seed, "row groups", epoch)
        groups = [self.groups[i] for i in order]
        window = self.window_rows / max(self.kept, 1e-9)
        rounds = _split(groups, window * self.windows)
        return [_split(part, window, self.windows) for part in rounds]


def permutation(size: int, seed: int, purpose: Purpose, *place: int) -> npt.NDArray[np.int64]:
    """A permutation of ``range(size)`` that depends on the arguments only."""
    text = f"{purpose}/{seed}/{'/'.join(map(str, place))}"
    key = np.frombuffer(hashlib.blake2b(text.encode(), digest_size=16).digest(), dtype=np.uint64)
    raw = np.random.Philox(key=key).random_raw(size)
    return np.argsort(raw, kind="stable")


def _split(
    groups: Sequence[RowGroup], rows: float, at_most: int | None = None
) -> list[list[RowGroup]]:
    """Split into parts of nearly equal numbers of rows, about `rows` each; none is empty."""
    total = sum(group.rows for group in groups)
    count = min(max(1, round(total / rows)), at_most or len(groups), len(groups))
    parts: list[list[RowGroup]] = [[] for _ in range(count)]
    before = 0
    for group in groups:
        # By the middle of the group, so that one large group does not empty its neighbours.
        middle = before + group.rows / 2
        parts[min(count - 1, int(middle * count / max(total, 1)))].append(group)
        before += group.rows
    return [part for part in parts if part]


def assign_packs(costs: Sequence[float], world: int) -> list[list[int]]:
    """Assign the packs of a step to ranks, equally many to each, so that no rank waits long.

    Packs are sorted by cost and taken `world` at a time; each rank gets one, and the least loaded
    rank gets the most expensive. So loads are even in each micro-batch too, which matters under
    FSDP, where ranks synchronise in every layer. At 128 packs a step on 8 ranks, 0.7 % of the time
    is spent waiting for the slowest rank of a micro-batch, against 3.1 % when packs are assigned in
    turn (benchmarks/loader.py: a 2B model, SFT mixture of the sample).

    Args:
        costs: of the packs of one step; `world` must divide their number.

    Returns:
        For each rank the numbers of its packs, most expensive first.
    """
    if len(costs) % world:
        raise ValueError(f"{len(costs)} packs cannot be divided evenly among {world} ranks")
    assignments: list[list[int]] = [[] for _ in range(world)]
    loads = [0.0] * world
    order = np.argsort(-np.asarray(costs, dtype=np.float64), kind="stable").tolist()
    for start in range(0, len(order), world):
        least_loaded_first = sorted(range(world), key=lambda rank: (loads[rank], rank))
        for rank, pack in zip(least_loaded_first, order[start : start + world], strict=True):
            assignments[rank].append(pack)
            loads[rank] += costs[pack]
    return assignments


def idle_share(
    costs: Sequence[float], assignments: Sequence[Sequence[int]], *, lockstep: bool
) -> float:
    """Share of the ranks' time that is spent waiting for the slowest, 0 to 1.

    Args:
        lockstep: ranks synchronise after every micro-batch, as under FSDP; else once a step.
    """
    loads = np.array([[costs[pack] for pack in packs] for packs in assignments])
    slowest = loads.max(axis=0).sum() if lockstep else loads.sum(axis=1).max()
    return float(1 - loads.sum() / (len(assignments) * slowest))
