"""Which pictures of a component become a cluster, and which of them represents it.

Every picture of a cluster is the same as its representative. The representative is the *best* that
can be said this of: by resolution, then the source's priority, then id, then place in the row.

Where all of a component are the same as its best, they are a cluster. Otherwise the one that most
others are known to be the same as leads, of those with at least half the pixels of the best; of
equals the better. The copy with the most pixels is often one with a border added, and crops that
are the same as the picture it was made of are not the same as it. A thumbnail never leads: two
tables that differ in a digit can both be the same as one.

With a leader that is not the best, a picture also needs more verdicts for it than against it from
those in the cluster: one wrong verdict must not put two tables together whose other copies speak
against it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from cauldron.transforms.arrays import Array
from cauldron.transforms.matching.cluster.components import I64, smallest_of_component
from cauldron.transforms.matching.join.kernel import Limits, compiled

Flags = npt.NDArray[np.bool_]

# How many times the pixels of its representative the best of a component may have.
_MOST_LARGER = 2


class View(NamedTuple):
    """Components and their representatives; arrays over members, by place.

    Attributes:
        order: places, the best first.
        component: smallest place in the component.
        representative: place of the picture that leads.
        known: place in `compared` of the pair with it, -1 where there is none.
        asked: whether that pair is to be judged.
        stays: those that lead, and those known to be the same as theirs.
        lost: whether the best of the component could not lead it.
    """

    order: I64
    component: I64
    representative: I64
    known: I64
    asked: Flags
    stays: Flags
    lost: Flags


def best_first(members: Array) -> I64:
    """Places of members, the best representative first. Never equal: an image is one picture's."""
    keys = [members[name] for name in ("image", "id_low", "id_high", "source")]
    return np.lexsort([*keys, -members["pixels"]])


def look(members: Array, first: I64, second: I64, compared: Array, limits: Limits) -> View:
    """Choose who leads.

    Args:
        members, compared: `MEMBER` and `COMPARED` records.
        first, second: places of the members of each pair.
    """
    same = compared["same"] == 1
    component = smallest_of_component(first[same], second[same], len(members))
    order = best_first(members)
    best = _first_of_each(component, order)
    links = np.bincount(np.concatenate([first[same], second[same]]), minlength=len(members))
    links[_MOST_LARGER * members["pixels"] < members["pixels"][best]] = 0
    most_linked = order[np.argsort(-links[order], kind="stable")]

    def led_by(representative: I64, lost: Flags) -> View:
        known = _known_with(representative, first, second)
        stays = representative == np.arange(len(members))
        asked = (known < 0) & ~stays
        open_ = np.flatnonzero(asked)
        asked[open_] = _near(members[open_], members[representative[open_]], limits)
        stays |= np.append(same, False)[known]
        return View(order, component, representative, known, asked, stays, lost)

    view = led_by(best, np.zeros(len(members), dtype=bool))
    lost = np.bincount(component, ~view.stays & ~view.asked, len(members))[component] > 0
    if lost.any():
        view = led_by(np.where(lost, _first_of_each(component, most_linked), best), lost)
    return view


def _first_of_each(component: I64, order: I64) -> I64:
    """For each member the one of its component that comes first in an order of all."""
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    first = np.full(len(order), len(order))
    np.minimum.at(first, component, rank)
    result: I64 = order[first[component]]
    return result


def _known_with(representative: I64, first: I64, second: I64) -> I64:
    """For each member the place of its pair with its representative, -1 where there is none."""
    known = np.full(len(representative), -1)
    for one, other in ((first, second), (second, first)):
        with_representative = representative[one] == other
        known[one[with_representative]] = np.flatnonzero(with_representative)
    return known


def distances(members: Array, others: Array) -> tuple[Any, Any]:
    """Hamming distances of the 64- and the 256-bit hashes."""
    wide = np.bitwise_count(members["phash256"] ^ others["phash256"])
    return (
        np.bitwise_count(members["phash"] ^ others["phash"]),
        wide.sum(axis=1, dtype=np.uint16),
    )


def _near(members: Array, others: Array, limits: Limits) -> npt.NDArray[np.bool_]:
    """Whether the stored numbers allow that two pictures are the same."""
    distance, distance256 = distances(members, others)
    apart = np.abs(members["aspect"].astype(np.int64) - others["aspect"])
    near: npt.NDArray[np.bool_] = (
        (distance <= limits.radius) & (distance256 <= limits.radius256) & (apart <= limits.aspect)
    )
    return near


def agreeing(view: View, first: I64, second: I64, compared: Array, stays: Flags) -> Flags:
    """Which of those that may stay do.

    They are taken one by one, those first that the others speak for most, and each is held against
    those taken before.
    """
    may = stays & view.lost
    inside = np.flatnonzero(
        may[first] & may[second] & (view.component[first] == view.component[second])
    )
    votes = np.tile(np.where(compared["same"][inside] == 1, 1, -1), 2)
    if (votes > 0).all():
        return stays
    ends = np.concatenate([first[inside], second[inside]])
    others = np.concatenate([second[inside], first[inside]])
    by_end = np.argsort(ends, kind="stable")
    start = np.searchsorted(ends[by_end], np.arange(len(stays) + 1))
    taken: Flags = stays & ((view.representative == np.arange(len(stays))) | ~view.lost)
    total = np.bincount(ends, votes, len(stays))
    order = view.order[np.argsort(-total[view.order], kind="stable")]
    _vote(order[(stays & ~taken)[order]], start, others[by_end], votes[by_end], taken)
    return taken


def represented(view: View, first: I64, second: I64, compared: Array, stays: Flags) -> View:
    """With the best of those that stay as representative that is the same as all the others."""
    if not view.lost.any():
        return view
    inside = stays[first] & stays[second] & (compared["same"] == 1)
    alike = np.bincount(np.concatenate([first[inside], second[inside]]), minlength=len(stays))
    size = np.bincount(view.component[stays], minlength=len(stays))[view.component]
    may = stays & (alike == size - 1)
    order = view.order[np.argsort(~may[view.order], kind="stable")]
    representative = _first_of_each(view.component, order)
    known = _known_with(representative, first, second)
    return view._replace(representative=representative, known=known)


@compiled
def _vote(candidates: I64, start: I64, others: I64, votes: I64, taken: Flags) -> None:
    for member in candidates:
        total = 0
        for at in range(start[member], start[member + 1]):
            if taken[others[at]]:
                total += votes[at]
        taken[member] = total > 0
