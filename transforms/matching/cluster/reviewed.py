"""Clusters that obey reviews (`cauldron.transforms.matching.reviews`).

Pictures that are the same by review are a *unit*: they stay in a cluster together or leave it
together, and what is the same as a member of the leader's unit may stay. Two units with pictures
that are not the same by review are never in one cluster: the leader's unit stays, then the units
with the better pictures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from cauldron.transforms.arrays import Array
from cauldron.transforms.matching.arrays import I64, Flags, smallest_of_component
from cauldron.transforms.matching.cluster.leader import Leaders


class Units:
    """What reviews say of the members of some components.

    Args:
        first, second: places of the members of each reviewed pair.
        same: what is said of it.
        members: how many there are.
    """

    def __init__(self, first: I64, second: I64, same: Flags, members: int) -> None:
        self.unit = smallest_of_component(first[same], second[same], members)
        self._ties = list(zip(first[same].tolist(), second[same].tolist(), strict=True))
        self.apart: dict[int, set[int]] = defaultdict(set)
        ends = (self.unit[side[~same]].tolist() for side in (first, second))
        for one, other in zip(*ends, strict=True):
            self.apart[one].add(other)
            self.apart[other].add(one)

    def ties(self, first: I64, second: I64) -> I64:
        """For each member the place of a pair that ties it to its unit, -1 if there is none.

        Args:
            first, second: places of the members of all compared pairs, reviewed ones among them.
        """
        tie = np.full(len(self.unit), -1)
        wanted = set(self._ties)
        near = np.isin(first, [one for one, _ in wanted])
        for pair in np.flatnonzero(near).tolist():
            ends = int(first[pair]), int(second[pair])
            if ends in wanted:
                tie[list(ends)] = pair
        return tie

    def obey(
        self, leaders: Leaders, stays: Flags, settles: Flags, first: I64, second: I64, same: Flags
    ) -> tuple[Flags, I64]:
        """Who stays with the leaders, and the pair that holds each member that would not have.

        Args:
            stays: who would stay without reviews.
            settles: members of components that do not wait.
            first, second: places of the members of all compared pairs.
            same: which of these are the same.
        """
        held, unit = self.ties(first, second), self.unit
        leads = unit == unit[leaders.leader]
        wide = stays.copy()
        for one, other in ((first, second), (second, first)):
            pairs = np.flatnonzero(same & leads[one] & ~leads[other])
            held[other[pairs]] = pairs
            wide[other[pairs]] = True
        present = np.zeros(len(unit), dtype=bool)
        present[unit[wide & settles]] = True
        self._keep_apart(leaders, present)
        return present[unit] & settles, held

    def _keep_apart(self, leaders: Leaders, present: Flags) -> None:
        """Remove units from `present`, which is by unit."""
        rank = np.empty(len(self.unit), dtype=np.int64)
        rank[leaders.order] = np.arange(len(rank))
        rank[leaders.leader] = -1
        best = np.full(len(rank), len(rank))
        np.minimum.at(best, self.unit, rank)
        component = leaders.component
        for one in sorted((n for n in self.apart if present[n]), key=lambda n: (best[n], n)):
            # Units before this one in order were decided on already.
            present[one] = not any(
                present[other] and (best[other], other) < (best[one], one)
                for other in self.apart[one]
                if component[other] == component[one]
            )

    def take_in_order(
        self, order: I64, pairs_of: list[list[tuple[int, int]]], ties: I64
    ) -> tuple[I64, I64]:
        """The first free member of `order` takes its unit and all free units that are the same.

        Args:
            pairs_of: for each member the others that are the same, and the places of the pairs.
            ties: of `ties`, with the same places.

        Returns:
            for each member the one that took it, and the pair, -1 for the taker itself.
        """
        lead, pair = (np.full(len(order), -1) for _ in range(2))
        inside: dict[int, list[int]] = defaultdict(list)
        for member, unit in enumerate(self.unit.tolist()):
            inside[unit].append(member)

        def take(member: int, by: int, how: int) -> None:
            for other in inside[int(self.unit[member])]:
                lead[other], pair[other] = by, how if other == member else ties[other]

        for member in order.tolist():
            if lead[member] >= 0:
                continue
            take(member, member, -1)
            taken = {int(self.unit[member])}
            for other, how in self._same_as(member, inside, pairs_of):
                unit = int(self.unit[other])
                if lead[other] < 0 and not self.apart.get(unit, set()) & taken:
                    take(other, member, how)
                    taken.add(unit)
        return lead, pair

    def _same_as(
        self, member: int, inside: dict[int, list[int]], pairs_of: list[list[tuple[int, int]]]
    ) -> Iterator[tuple[int, int]]:
        for one in inside[int(self.unit[member])]:
            yield from pairs_of[one]


def units_of(members: Array, reviewed: Array) -> Units | None:
    """None if no review is about two of the members.

    Args:
        members: `MEMBER` records sorted by number.
        reviewed: `REVIEWED` records.
    """
    if not len(reviewed) or not len(members):
        return None
    numbers = members["number"]
    ends = [np.searchsorted(numbers, reviewed[side]) for side in ("first", "second")]
    known = [
        numbers[np.minimum(end, len(numbers) - 1)] == reviewed[side]
        for end, side in zip(ends, ("first", "second"), strict=True)
    ]
    inside = known[0] & known[1]
    if not inside.any():
        return None
    first, second = (end[inside] for end in ends)
    return Units(first, second, reviewed["same"][inside] == 1, len(members))
