"""The leader of a component: the picture that the others must be the same as.

The *best* picture has the highest resolution, then lost least when it was compressed, then comes
from the source of the highest priority, then has the smallest id, then is the first in its row. If
all pictures of a component are the same as the best one, it is the leader. Otherwise the leader is
the picture that most others are known to be the same as, among those with at least half the pixels
of the best; of equals the better one. The reason: the copy with the most pixels often has a border
added, and crops that are the same as the picture without the border are not the same as it. A
thumbnail never leads: it can be the same as two tables that differ in a digit.

If the leader is not the best, a picture must also have more verdicts for it than against it from
the other pictures of the cluster, so that one wrong verdict does not join two tables. In the end
the best picture that is the same as all others of the cluster represents it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from cauldron.transforms.arrays import Array
from cauldron.transforms.compiled import compiled
from cauldron.transforms.matching.arrays import I64, Flags, smallest_of_component
from cauldron.transforms.matching.records import DIFFERENT, Limits
from cauldron.transforms.matching.views import near_views

# How many times the pixels of the leader the best picture may have.
_MOST_LARGER = 2


class Leaders(NamedTuple):
    """Components and their leaders; arrays over members, by place.

    Attributes:
        order: places, the best first.
        component: smallest place in the component.
        leader: place of the leader.
        known: place in `compared` of the pair with the leader, -1 if there is none.
        missing: whether that pair must be compared.
        stays: leaders, and members known to be the same as their leader.
        replaced: whether the leader is not the best of the component.
    """

    order: I64
    component: I64
    leader: I64
    known: I64
    missing: Flags
    stays: Flags
    replaced: Flags


def best_first(members: Array) -> I64:
    """Places of members, the best first. There are no ties: every image has one picture."""
    keys = [members[name] for name in ("image", "id_low", "id_high", "source")]
    return np.lexsort([*keys, members["loss"], -members["pixels"]])


def choose_leaders(
    members: Array, first: I64, second: I64, compared: Array, limits: Limits
) -> Leaders:
    """Choose the leader of each component.

    Args:
        members, compared: `MEMBER` and `COMPARED` records.
        first, second: places of the members of each pair.
    """
    same = compared["same"] != DIFFERENT
    component = smallest_of_component(first[same], second[same], len(members))
    order = best_first(members)
    best = _first_of_each(component, order)
    copies = np.bincount(np.concatenate([first[same], second[same]]), minlength=len(members))
    copies[_MOST_LARGER * members["pixels"] < members["pixels"][best]] = 0
    most_copies = order[np.argsort(-copies[order], kind="stable")]

    def led_by(leader: I64, replaced: Flags) -> Leaders:
        known = _pairs_with(leader, first, second)
        stays = leader == np.arange(len(members))
        missing = (known < 0) & ~stays
        unknown = np.flatnonzero(missing)
        missing[unknown] = _near(members[unknown], members[leader[unknown]], limits)
        stays |= np.append(same, False)[known]
        return Leaders(order, component, leader, known, missing, stays, replaced)

    leaders = led_by(best, np.zeros(len(members), dtype=bool))
    replaced = (
        np.bincount(component, ~leaders.stays & ~leaders.missing, len(members))[component] > 0
    )
    if replaced.any():
        leaders = led_by(np.where(replaced, _first_of_each(component, most_copies), best), replaced)
    return leaders


def _first_of_each(component: I64, order: I64) -> I64:
    """For each member the first one of its component in an order of all."""
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    first = np.full(len(order), len(order))
    np.minimum.at(first, component, rank)
    result: I64 = order[first[component]]
    return result


def _pairs_with(leader: I64, first: I64, second: I64) -> I64:
    """For each member the place of its pair with its leader, -1 if there is none."""
    known = np.full(len(leader), -1)
    for one, other in ((first, second), (second, first)):
        with_leader = leader[one] == other
        known[one[with_leader]] = np.flatnonzero(with_leader)
    return known


def _near(members: Array, others: Array, limits: Limits) -> Flags:
    """Whether hashes and shapes are near enough for two pictures to be the same."""
    near: Flags = near_views(members, others, limits).near.any(axis=0)
    return near


def supported(leaders: Leaders, first: I64, second: I64, compared: Array, stays: Flags) -> Flags:
    """The members of `stays` that the others of their cluster support.

    Members are taken one by one, those with the most votes first. Each needs more votes for it than
    against it from those taken before.
    """
    may = stays & leaders.replaced
    inside = np.flatnonzero(
        may[first] & may[second] & (leaders.component[first] == leaders.component[second])
    )
    votes = np.tile(np.where(compared["same"][inside] != DIFFERENT, 1, -1), 2)
    if (votes > 0).all():
        return stays
    ends = np.concatenate([first[inside], second[inside]])
    others = np.concatenate([second[inside], first[inside]])
    by_end = np.argsort(ends, kind="stable")
    start = np.searchsorted(ends[by_end], np.arange(len(stays) + 1))
    taken: Flags = stays & ((leaders.leader == np.arange(len(stays))) | ~leaders.replaced)
    total = np.bincount(ends, votes, len(stays))
    order = leaders.order[np.argsort(-total[leaders.order], kind="stable")]
    _vote(order[(stays & ~taken)[order]], start, others[by_end], votes[by_end], taken)
    return taken


def with_representatives(
    leaders: Leaders, first: I64, second: I64, compared: Array, stays: Flags
) -> Leaders:
    """With the best member that is the same as all others of its cluster in place of the leader."""
    if not leaders.replaced.any():
        return leaders
    inside = stays[first] & stays[second] & (compared["same"] != DIFFERENT)
    alike = np.bincount(np.concatenate([first[inside], second[inside]]), minlength=len(stays))
    size = np.bincount(leaders.component[stays], minlength=len(stays))[leaders.component]
    may = stays & (alike == size - 1)
    order = leaders.order[np.argsort(~may[leaders.order], kind="stable")]
    representative = _first_of_each(leaders.component, order)
    known = _pairs_with(representative, first, second)
    return leaders._replace(leader=representative, known=known)


@compiled
def _vote(candidates: I64, start: I64, others: I64, votes: I64, taken: Flags) -> None:
    for member in candidates:
        total = 0
        for at in range(start[member], start[member + 1]):
            if taken[others[at]]:
                total += votes[at]
        taken[member] = total > 0
