"""The guard against chaining: every picture of a cluster is the same as its representative.

A connected component says only that neighbours are the same: a crop of a crop of a crop leads from
one page of a form to the next. So one picture of a component leads (`leading.py` says which), and
the others stay with it only where they were compared with it and found the same. Pairs with it that
were never compared, because a picture keeps its nearest candidates only, are asked for where the
stored numbers allow it: they go to the judge, and the component waits, for the best of its pictures
and, where that is not the same as all, once more for another. The pictures that do not stay are
split off. What still hangs together among them by verified pairs is a component again.

After `SPLITS` times, or where a component has waited `PASSES` - 1 times, nothing is asked any more:
the pictures left are taken in order, and each takes the free ones that are known to be the same.
One that is then alone, though it was the same as another that was taken, is counted as unsettled.

What becomes of a component depends on nothing but its own pictures and pairs: not on the worker,
nor on what waits beside it. A picture costs `MEMBER`, 95 bytes, and each of its pairs `COMPARED`,
22 bytes. With all working arrays, one component of a million pictures peaks at 535 bytes a picture
with one pair for each, and at 766 bytes with four.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from cauldron.transforms.arrays import Array
from cauldron.transforms.matching.cluster.components import I64, U64
from cauldron.transforms.matching.cluster.leader import (
    View,
    agreeing,
    best_first,
    distances,
    look,
    represented,
)
from cauldron.transforms.matching.join.kernel import compiled
from cauldron.transforms.matching.join.search import limits_of
from cauldron.transforms.matching.records import PAIR, MatchJob

SPLITS = 4
# How often components are advanced; between two passes pairs are judged.
PASSES = 5

# A picture in a component. `source`, `id_*` and `image` are those of its best occurrence,
# `pixels` is width * height, `aspect` as in `records.SIGNATURE`; `splits` is how often it was
# split off.
MEMBER = np.dtype(
    [
        ("number", "<u8"),
        ("key_high", "<u8"),
        ("key_low", "<u8"),
        ("phash", "<u8"),
        ("phash256", "<u8", (4,)),
        ("aspect", "<i2"),
        ("pixels", "<i8"),
        ("source", "<u2"),
        ("id_high", "<u8"),
        ("id_low", "<u8"),
        ("image", "<u2"),
        ("splits", "u1"),
    ]
)

# A pair whose pixels were compared.
COMPARED = np.dtype(
    [("first", "<u8"), ("second", "<u8"), ("distance", "u1"), ("score", "<f4"), ("same", "u1")]
)

# What became of a picture. `key_*` are its representative's; `place` is one of those below.
# Pictures that are alone and never were in a component of more are left out.
SETTLED = np.dtype(
    [
        ("number", "<u8"),
        ("key_high", "<u8"),
        ("key_low", "<u8"),
        ("distance", "u1"),
        ("score", "<f4"),
        ("place", "u1"),
        ("splits", "u1"),
    ]
)
REPRESENTATIVE, FOLLOWER, ALONE, UNSETTLED = range(4)


class Advance(NamedTuple):
    """How far a worker's components have come.

    Attributes:
        settled: `SETTLED` records.
        members, compared: of components that wait.
        asked: the `PAIR` records that they wait for.
    """

    settled: Array
    members: Array
    compared: Array
    asked: Array


def advance(members: Array, compared: Array, job: MatchJob, last: bool) -> Advance:
    """Settle what can be settled without asking.

    Args:
        members: `MEMBER` records of whole components, in any order.
        compared: `COMPARED` records, in any order; those with other pictures are ignored.
        last: nothing may wait any more.
    """
    members = members[np.argsort(members["number"])]
    compared = compared[np.lexsort((compared["second"], compared["first"]))]
    limits = limits_of(job)
    settled, waiting, open_, asked = [], [], [], []
    while len(members):
        first, second, compared = _inside(members, compared)
        view = look(members, first, second, compared, limits)
        waits = np.bincount(view.component, view.asked, len(members))[view.component] > 0
        ends = (members["splits"] >= SPLITS) | (waits & last)
        if ends.any():
            settled.append(_take_in_order(members[ends], compared))
            members = members[~ends]
            continue
        asked.append(_pairs(members, view))
        waiting.append(members[waits])
        own = view.component[first] == view.component[second]
        open_.append(compared[own & waits[first]])
        stays = agreeing(view, first, second, compared, view.stays & ~waits)
        view = represented(view, first, second, compared, stays)
        settled.append(_settle(members, view, compared, stays))
        members, compared = members[~stays & ~waits], compared[own & ~waits[first]]
        members["splits"] += 1
    return Advance(
        _concatenated(settled, SETTLED),
        _concatenated(waiting, MEMBER),
        _concatenated(open_, COMPARED),
        _concatenated(asked, PAIR),
    )


def _concatenated(pieces: list[Array], dtype: np.dtype[np.void]) -> Array:
    return np.concatenate([np.zeros(0, dtype=dtype), *pieces])


def _inside(members: Array, compared: Array) -> tuple[I64, I64, Array]:
    """Pairs of two of the members, and the places of both."""
    ends = [_places(members["number"], compared[side]) for side in ("first", "second")]
    inside = (ends[0] >= 0) & (ends[1] >= 0)
    return ends[0][inside], ends[1][inside], compared[inside]


def _places(numbers: U64, wanted: U64) -> I64:
    """Where numbers stand in a sorted array; -1 for those that do not."""
    places = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
    return np.where(numbers[places] == wanted, places, -1)


def _pairs(members: Array, view: View) -> Array:
    """The pairs that are asked for."""
    one, other = members[view.asked], members[view.representative[view.asked]]
    pairs = np.zeros(len(one), dtype=PAIR)
    pairs["first"] = np.minimum(one["number"], other["number"])
    pairs["second"] = np.maximum(one["number"], other["number"])
    pairs["distance"], pairs["distance256"] = distances(one, other)
    return pairs


def _settle(members: Array, view: View, compared: Array, stays: npt.NDArray[np.bool_]) -> Array:
    size = np.bincount(view.component[stays], minlength=len(members))[view.component]
    told = stays & ((size > 1) | (members["splits"] > 0))
    place = np.where(view.known >= 0, FOLLOWER, np.where(size > 1, REPRESENTATIVE, ALONE))
    return _records(
        members[told],
        members[view.representative[told]],
        np.append(compared, np.zeros(1, dtype=COMPARED))[view.known[told]],
        place[told],
    )


def _records(members: Array, leads: Array, pairs: Array, place: Any) -> Array:
    """Args: `leads`: the representatives; `pairs`: `COMPARED` with them, used for followers."""
    settled = np.zeros(len(members), dtype=SETTLED)
    for name in ("number", "splits"):
        settled[name] = members[name]
    for name in ("key_high", "key_low"):
        settled[name] = leads[name]
    follows = place == FOLLOWER
    settled["distance"] = np.where(follows, pairs["distance"], 0)
    settled["score"] = np.where(follows, pairs["score"], 1)
    settled["place"] = place
    return settled


def _take_in_order(members: Array, compared: Array) -> Array:
    """Settle members without asking: the best takes all that are the same, and so on."""
    first, second, compared = _inside(members, compared[compared["same"] == 1])
    ends, others = np.concatenate([first, second]), np.concatenate([second, first])
    order = np.argsort(ends, kind="stable")
    start = np.searchsorted(ends[order], np.arange(len(members) + 1))
    lead, pair = np.full((2, len(members)), -1)
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
