"""The order of rows and packs: a function of (seed, epoch, place) and of nothing else.

An epoch is a permutation of all row groups, cut into *rounds*; a round is cut into *windows* of
about `window_rows` rows. A window is read and measured by one worker, its rows are packed
together, and the packs of all windows of a round are shuffled. So a pack has one place in a
global order, (epoch, round, index), which knows neither ranks nor workers: those only divide
what comes next among themselves.

Windows of one round exist so that several workers can prepare packs that follow each other. Lanes
that belong to ranks, the usual way, would tie the order to the number of ranks and keep packs
from being dealt by cost.

Orders come from raw Philox output (a counter-based generator: equal keys, equal bits, on every
machine and in every version of NumPy), sorted; there is no generator whose state could differ.
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
    """Where a pack stands in the global order.

    Attributes:
        window: of the round, that its rows are of.
        index: among all packs of the round.
    """

    epoch: int
    round: int
    window: int
    index: int


@dataclass(frozen=True, slots=True)
class Order:
    """The order of one mixture.

    Attributes:
        window_rows: rows that are packed together, about.
        windows: in a round, at most.
        kept: part of the rows that are read at all, when sources are left out: windows then span
            more row groups.
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
        rounds = _divide(groups, window * self.windows)
        return [_divide(part, window, self.windows) for part in rounds]


def permutation(size: int, seed: int, purpose: Purpose, *place: int) -> npt.NDArray[np.int64]:
    """A permutation of ``range(size)`` that follows from the arguments."""
    text = f"{purpose}/{seed}/{'/'.join(map(str, place))}"
    key = np.frombuffer(hashlib.blake2b(text.encode(), digest_size=16).digest(), dtype=np.uint64)
    raw = np.random.Philox(key=key).random_raw(size)
    return np.argsort(raw, kind="stable")


def _divide(
    groups: Sequence[RowGroup], rows: float, at_most: int | None = None
) -> list[list[RowGroup]]:
    """Cut into parts of nearly equal numbers of rows, each of about `rows`; none is empty."""
    total = sum(group.rows for group in groups)
    parts = min(max(1, round(total / rows)), at_most or len(groups), len(groups))
    cut: list[list[RowGroup]] = [[] for _ in range(parts)]
    before = 0
    for group in groups:
        # By the middle of the group, so that one large group does not empty its neighbours.
        middle = before + group.rows / 2
        cut[min(parts - 1, int(middle * parts / max(total, 1)))].append(group)
        before += group.rows
    return [part for part in cut if part]
