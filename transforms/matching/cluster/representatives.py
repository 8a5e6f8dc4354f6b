"""Components to clusters whose pictures are all the same as their representative.

In a connected component only neighbours are the same: a crop of a crop of a crop may lead from one
page of a form to the next. So one picture of a component leads (`leader.py`). The others stay only
if they were compared with it and found the same. Pairs with the leader may not have been compared
yet, because a picture keeps its nearest candidates only. Those within the hash radius are compared
before the next pass, and the component waits for them. Pictures that do not stay are split off;
those still connected with each other are components again.

A component that was split `SPLITS` times, or is still waiting in the last of `PASSES` passes, is
settled with the pairs known so far: each picture in order, the best first, takes all free pictures
that are known to be the same. A picture that is left alone though it was the same as a taken one is
counted as unsettled.

The result of a component depends only on its own pictures and pairs, not on the worker or on other
components. A picture takes `MEMBER`, 140 bytes, and each of its pairs `COMPARED`, 22 bytes. A
component of a million pictures needs up to 664 bytes a picture with one pair for each, and 895
bytes with four.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from cauldron.transforms.arrays import Array
from cauldron.transforms.compiled import compiled
from cauldron.transforms.matching.arrays import I64, U64, Flags
from cauldron.transforms.matching.cluster.leader import (
    Leaders,
    best_first,
    choose_leaders,
    supported,
    with_representatives,
)
from cauldron.transforms.matching.cluster.reviewed import Units, units_of
from cauldron.transforms.matching.records import (
    DIFFERENT,
    OCCURRENCE,
    OTHER_COLOURS,
    OTHER_RENDERING,
    PAIR,
    VIEW_FIELDS,
    Limits,
    MatchJob,
)
from cauldron.transforms.matching.reviews import reviewed_pairs
from cauldron.transforms.matching.views import near_views

SPLITS = 4
# How often components are advanced. Between two passes missing pairs are compared.
PASSES = 5

# A picture in a component. `source`, `id_*` and `image` are of its best occurrence, `pixels` is
# width * height, `splits` is how often it was split off.
MEMBER = np.dtype(
    [
        ("number", "<u8"),
        *[("key_high", "<u8"), ("key_low", "<u8")],
        *VIEW_FIELDS,
        *[("pixels", "<i8"), ("loss", "<u2")],
        *((name, OCCURRENCE[name]) for name in ("source", "id_high", "id_low", "image")),
        ("splits", "u1"),
    ]
)

# A pair whose pixels were compared. `same` as in `VERDICT`, but 0 for a pair that is the same only
# in other colours or in another rendering, if that does not count.
COMPARED = np.dtype(
    [("first", "<u8"), ("second", "<u8"), ("distance", "u1"), ("score", "<f4"), ("same", "u1")]
)

# The result for a picture. `key_*` are of its representative, `place` is one of those below,
# `other_colours` and `other_rendering` are 1 if it shows its representative so. Pictures that were
# never in a component of several are left out.
SETTLED = np.dtype(
    [
        *[("number", "<u8"), ("key_high", "<u8"), ("key_low", "<u8")],
        *[("distance", "u1"), ("score", "<f4")],
        *[("other_colours", "u1"), ("other_rendering", "u1")],
        *[("place", "u1"), ("splits", "u1")],
    ]
)
REPRESENTATIVE, FOLLOWER, ALONE, UNSETTLED = range(4)


class Advance(NamedTuple):
    """The result of a pass over some components.

    Attributes:
        settled: `SETTLED` records.
        members, compared: of components that wait.
        missing: the `PAIR` records that they wait for.
    """

    settled: Array
    members: Array
    compared: Array
    missing: Array


def advance(members: Array, compared: Array, job: MatchJob, last: bool) -> Advance:
    """Settle the components for which no pair is missing.

    Args:
        members: `MEMBER` records of whole components, in any order.
        compared: `COMPARED` records, in any order; pairs with other pictures are ignored.
        last: whether this is the last pass, in which nothing may wait.
    """
    members = members[np.argsort(members["number"])]
    compared = compared[np.lexsort((compared["second"], compared["first"]))]
    reviewed = reviewed_pairs(job)
    settled, waiting, their_pairs, missing = [], [], [], []
    while len(members):
        first, second, compared = _inside(members, compared)
        leaders = choose_leaders(members, first, second, compared, job.limits)
        waits = np.bincount(leaders.component, leaders.missing, len(members))[leaders.component] > 0
        ends = (members["splits"] >= SPLITS) | (waits & last)
        if ends.any():
            settled.append(_take_in_order(members[ends], compared, reviewed))
            members = members[~ends]
            continue
        missing.append(_missing_pairs(members, leaders, job.limits))
        waiting.append(members[waits])
        own = leaders.component[first] == leaders.component[second]
        their_pairs.append(compared[own & waits[first]])
        stays = supported(leaders, first, second, compared, leaders.stays & ~waits)
        if units := units_of(members, reviewed):
            leaders, stays = _obey(units, leaders, stays, ~waits, first, second, compared)
        else:
            leaders = with_representatives(leaders, first, second, compared, stays)
        settled.append(_settle(members, leaders, compared, stays))
        members, compared = members[~stays & ~waits], compared[own & ~waits[first]]
        members["splits"] += 1
    return Advance(
        _concatenated(settled, SETTLED),
        _concatenated(waiting, MEMBER),
        _concatenated(their_pairs, COMPARED),
        _concatenated(missing, PAIR),
    )


def _obey(
    units: Units,
    leaders: Leaders,
    stays: Flags,
    settles: Flags,
    first: I64,
    second: I64,
    compared: Array,
) -> tuple[Leaders, Flags]:
    """Leaders and who stays with them, as reviews say. Arguments as in `Units.obey`."""
    obeyed, held = units.obey(leaders, stays, settles, first, second, compared["same"] != DIFFERENT)
    seen = stays & obeyed
    leaders = with_representatives(leaders, first, second, compared, seen)
    known = np.where(obeyed & ~seen, held, leaders.known)
    return leaders._replace(known=known), obeyed


def _concatenated(pieces: list[Array], dtype: np.dtype[np.void]) -> Array:
    return np.concatenate([np.zeros(0, dtype=dtype), *pieces])


def _inside(members: Array, compared: Array) -> tuple[I64, I64, Array]:
    """Pairs of two of the members, and the places of both."""
    ends = [_places(members["number"], compared[side]) for side in ("first", "second")]
    inside = (ends[0] >= 0) & (ends[1] >= 0)
    return ends[0][inside], ends[1][inside], compared[inside]


def _places(numbers: U64, wanted: U64) -> I64:
    """The places of numbers in a sorted array, -1 for those that are not in it."""
    places = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
    return np.where(numbers[places] == wanted, places, -1)


def _missing_pairs(members: Array, leaders: Leaders, limits: Limits) -> Array:
    one, other = members[leaders.missing], members[leaders.leader[leaders.missing]]
    pairs = np.zeros(len(one), dtype=PAIR)
    pairs["first"] = np.minimum(one["number"], other["number"])
    pairs["second"] = np.maximum(one["number"], other["number"])
    pairs["distance"], pairs["distance256"] = near_views(one, other, limits).least()
    return pairs


def _settle(members: Array, leaders: Leaders, compared: Array, stays: Flags) -> Array:
    """`SETTLED` records of members that stay, now with their representative as leader."""
    size = np.bincount(leaders.component[stays], minlength=len(members))[leaders.component]
    listed = stays & ((size > 1) | (members["splits"] > 0))
    place = np.where(leaders.known >= 0, FOLLOWER, np.where(size > 1, REPRESENTATIVE, ALONE))
    return _records(
        members[listed],
        members[leaders.leader[listed]],
        np.append(compared, np.zeros(1, dtype=COMPARED))[leaders.known[listed]],
        place[listed],
    )


def _records(members: Array, representatives: Array, pairs: Array, place: Any) -> Array:
    """Args: `pairs`: `COMPARED` records with the representatives, used for followers."""
    settled = np.zeros(len(members), dtype=SETTLED)
    for name in ("number", "splits"):
        settled[name] = members[name]
    for name in ("key_high", "key_low"):
        settled[name] = representatives[name]
    follows = place == FOLLOWER
    settled["distance"] = np.where(follows, pairs["distance"], 0)
    settled["score"] = np.where(follows, pairs["score"], 1)
    settled["other_colours"] = follows & (pairs["same"] == OTHER_COLOURS)
    settled["other_rendering"] = follows & (pairs["same"] == OTHER_RENDERING)
    settled["place"] = place
    return settled


def _take_in_order(members: Array, compared: Array, reviewed: Array) -> Array:
    """Settle members with the known pairs: the best takes all that are the same, and so on."""
    first, second, compared = _inside(members, compared[compared["same"] != DIFFERENT])
    ends, others = np.concatenate([first, second]), np.concatenate([second, first])
    order = np.argsort(ends, kind="stable")
    start = np.searchsorted(ends[order], np.arange(len(members) + 1))
    lead, pair = np.full((2, len(members)), -1)
    if units := units_of(members, reviewed):
        others, pairs = others[order].tolist(), (order % max(1, len(first))).tolist()
        each = zip(start[:-1].tolist(), start[1:].tolist(), strict=True)
        known = [list(zip(others[a:b], pairs[a:b], strict=True)) for a, b in each]
        lead, pair = units.take_in_order(best_first(members), known, units.ties(first, second))
    else:
        _take(best_first(members), start, others[order], order, lead, pair)
    size = np.bincount(lead, minlength=len(members))[lead]
    by_itself = np.where(np.diff(start) > 0, UNSETTLED, ALONE)
    place = np.where(pair >= 0, FOLLOWER, np.where(size > 1, REPRESENTATIVE, by_itself))
    pairs = np.append(np.tile(compared, 2), np.zeros(1, dtype=COMPARED))[pair]
    return _records(members, members[lead], pairs, place)


@compiled
def _take(order: I64, start: I64, others: I64, pairs: I64, lead: I64, pair: I64) -> None:
    for member in order:
        if lead[member] >= 0:
            continue
        lead[member] = member
        for at in range(start[member], start[member + 1]):
            other = others[at]
            if lead[other] < 0:
                lead[other] = member
                pair[other] = pairs[at]
