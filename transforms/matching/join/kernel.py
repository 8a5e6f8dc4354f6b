"""The inner loops of the join, compiled by Numba: bins, pairs in bins, neighbourhoods, trimming.

Hashes are compared 16 at a time and looked at singly only if one of the 16 is near. On one core
with AVX-512's bit count that takes 0.2 ns a pair in bins of 1,400 and 0.3 ns in bins of 48; a
plain loop takes 0.3 and 0.6 ns, NumPy 0.9 and 1.2 ns at best. Where most pairs are near, a
comparison takes 2 to 5 ns.

No threads and no fast-math: the same pairs on every machine. All of it is in one file, because
Numba compiles a cached function again when the function's own file changes, but not when the file
of a function that it calls changes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from cauldron.transforms.compiled import compiled
from cauldron.transforms.matching.records import Limits
from numba import types
from numba.extending import intrinsic

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]

# Hashes compared at a time; arrays of hashes have so many unused places at the end.
LANES = 16
# Orders of a sorted neighbourhood, one for each word of the 256-bit hash.
ORDERS = 4

# Machine integers when compiled.
Number = Any


def _count_bits(_context: Any, _number: Any) -> Any:
    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


# How many bits of a 64-bit number are set.
popcount: Any = intrinsic(_count_bits)


class Members(NamedTuple):
    """The pictures of a key, ascending by number.

    Attributes:
        hashes: 64-bit hashes after `blocks.spread`.
        words: 256-bit hashes, shape (n, 4).
        aspects: as in `records.SIGNATURE`.
        outside: 1 if only benchmarks show the picture.
        apart: pictures with equal values of 0 or more are no pairs at distance 0.
    """

    hashes: U64
    words: U64
    aspects: npt.NDArray[np.int16]
    outside: npt.NDArray[np.uint8]
    apart: I64


class Required(NamedTuple):
    """The pairs of a table: all bits of `agree` equal, none of the masks in `differ` all equal."""

    agree: np.uint64
    differ: U64


class Layout(NamedTuple):
    """Members by bin.

    Attributes:
        bins: the bin of each member.
        starts: the first place of each bin, and the end.
        ordered: hashes by place.
        places: the member at each place.
    """

    bins: I32
    starts: I64
    ordered: U64
    places: I32


class Found(NamedTuple):
    """Pairs found so far.

    Attributes:
        pairs: ``first << 32 | second``, places in `Members`.
        near: ``distance << 16 | distance256``.
        worst: for each picture the largest rank (`near << 32 | place of the other`) that it keeps.
    """

    pairs: U64
    near: U64
    worst: U64


@compiled
def bins_of(hashes: U64, shifts: U64, masks: U64, widths: U64, fold: int, bins: I32) -> None:
    """The bin of each hash: the values of the fields, side by side.

    Args:
        fold: 0, or the number of bits that values are hashed to. Different values may then share
            a bin, which costs comparisons but changes no pair.
    """
    for i in range(len(bins)):
        value = np.uint64(0)
        for f in range(len(shifts)):
            value = (value << widths[f]) | ((hashes[i] >> shifts[f]) & masks[f])
        if fold:
            value = (value * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - fold)
        bins[i] = np.int32(value)


@compiled
def sort_bins(hashes: U64, layout: Layout) -> None:
    """Counting sort by `layout.bins`; the other arrays of the layout are filled."""
    starts = layout.starts
    starts[:] = 0
    for b in layout.bins:
        starts[b + 1] += 1
    for b in range(1, len(starts)):
        starts[b] += starts[b - 1]
    for i in range(len(hashes)):
        b = layout.bins[i]
        layout.ordered[starts[b]] = hashes[i]
        layout.places[starts[b]] = i
        starts[b] += 1
    for b in range(len(starts) - 1, 0, -1):
        starts[b] = starts[b - 1]
    starts[0] = 0


@compiled
def belongs(table: Required, bits: Number, past: Number) -> bool:
    """Whether two hashes that differ in `bits` are near, and the pair is one of this table."""
    if popcount(bits) >= past or bits & table.agree:
        return False
    for mask in table.differ:  # noqa: SIM110 (Numba compiles no generator here)
        if not bits & mask:
            return False
    return True


@compiled
def distances_of(members: Members, limits: Limits, i: Number, j: Number) -> Number:
    """``distance << 16 | distance256`` of a pair with near hashes, -1 if it is no candidate."""
    distance = np.int64(popcount(members.hashes[i] ^ members.hashes[j]))
    if members.outside[i] and members.outside[j]:
        return -1
    if abs(np.int64(members.aspects[i]) - np.int64(members.aspects[j])) > limits.aspect:
        return -1
    if distance == 0 and members.apart[i] >= 0 and members.apart[i] == members.apart[j]:
        return -1
    distance256 = np.int64(0)
    for word in range(4):
        distance256 += np.int64(popcount(members.words[i, word] ^ members.words[j, word]))
    if distance256 > limits.radius256:
        return -1
    return (distance << 16) | distance256


@compiled
def keep(found: Found, count: int, i: Number, j: Number, near: Number) -> int:
    """Add a pair, unless both pictures have enough nearer ones; the new count."""
    rank = np.uint64(near) << np.uint64(32)
    if rank | np.uint64(j) > found.worst[i] and rank | np.uint64(i) > found.worst[j]:
        return count
    found.pairs[count] = (np.uint64(i) << np.uint64(32)) | np.uint64(j)
    found.near[count] = np.uint64(near)
    return count + 1


@compiled
def scan_bins(
    members: Members,
    limits: Limits,
    table: Required,
    layout: Layout,
    most: int,
    found: Found,
    count: int,
    begin: int,
) -> tuple[int, int, int]:
    """Compare all pairs within each bin of at most `most`, from place `begin` on.

    Returns:
        the place to continue from when `found` has room again (the end when all is done), the
        number of pairs found, and the number of pairs compared.
    """
    places, ordered, starts = layout.places, layout.ordered, layout.starts
    past = np.uint64(limits.radius + 1)
    compared = 0
    for b in range(np.searchsorted(starts, begin, side="right") - 1, len(starts) - 1):
        stop = starts[b + 1]
        if stop - starts[b] > most:
            continue
        for p in range(max(begin, starts[b]), stop - 1):
            if count + stop - p > len(found.pairs):
                return p, count, compared
            compared += stop - p - 1
            own = ordered[p]
            for block in range(p + 1, stop, LANES):
                near: Number = False
                for lane in range(LANES):
                    near |= popcount(own ^ ordered[np.uint64(block + lane)]) < past
                if near:
                    for q in range(block, min(block + LANES, stop)):
                        if belongs(table, own ^ ordered[q], past):
                            i, j = places[p], places[q]
                            near256 = distances_of(members, limits, i, j)
                            if near256 >= 0:
                                count = keep(found, count, i, j, near256)
    return len(places), count, compared


@compiled
def sort_neighbours(
    hashes: U64, layout: Layout, most: int, order: I32, sequence: I32, ranks: I32
) -> None:
    """Sort the members of each bin of more than `most`.

    Args:
        order: all members in the wanted order.
        sequence: filled with the member at each place, -1 at places of smaller bins; the member's
            hash is put into `layout.ordered`.
        ranks: filled with the place of each member, -1 for members of smaller bins.
    """
    free = layout.starts[:-1].copy()
    sequence[:] = -1
    for i in order:
        b = layout.bins[i]
        ranks[i] = -1
        if layout.starts[b + 1] - layout.starts[b] > most:
            p = free[b]
            sequence[p], ranks[i] = i, p
            layout.ordered[p] = hashes[i]
            free[b] += 1


@compiled
def scan_neighbours(
    members: Members,
    limits: Limits,
    table: Required,
    layout: Layout,
    order: int,
    sequence: I32,
    ranks: I32,
    window: int,
    found: Found,
    count: int,
    begin: int,
) -> tuple[int, int, int]:
    """Compare each member of the large bins with the next `window` in one of the orders.

    Pairs already compared in an earlier order are left out. Other arguments and results are as in
    `scan_bins`; `ranks` has a row for each order.
    """
    past = np.uint64(limits.radius + 1)
    compared = 0
    for p in range(begin, len(sequence)):
        i = sequence[p]
        if i < 0:
            continue
        if count + window > len(found.pairs):
            return p, count, compared
        stop = min(p + 1 + window, layout.starts[layout.bins[i] + 1])
        compared += stop - p - 1
        for q in range(p + 1, stop):
            if not belongs(table, layout.ordered[p] ^ layout.ordered[q], past):
                continue
            j = sequence[q]
            seen = False
            for earlier in range(order):
                seen |= abs(ranks[earlier, i] - ranks[earlier, j]) <= window
            if not seen:
                low, high = min(i, j), max(i, j)
                near256 = distances_of(members, limits, low, high)
                if near256 >= 0:
                    count = keep(found, count, low, high, near256)
    return len(sequence), count, compared


@compiled
def trim(found: Found, count: int, neighbours: int) -> Number:
    """Keep the `neighbours` nearest pairs of each picture; one of the two pictures is enough.

    The result does not depend on when this is called: the nearest pairs are never dropped.

    Returns:
        the new count; `found.worst` is lowered for pictures that had more.
    """
    ends = np.zeros(len(found.worst) + 1, dtype=np.int64)
    for h in range(count):
        ends[(found.pairs[h] >> np.uint64(32)) + np.uint64(1)] += 1
        ends[(found.pairs[h] & np.uint64(0xFFFFFFFF)) + np.uint64(1)] += 1
    if ends.max() <= neighbours:
        return count
    for i in range(1, len(ends)):
        ends[i] += ends[i - 1]
    ranked = np.empty(2 * count, dtype=np.uint64)
    free = ends[:-1].copy()
    for h in range(count):
        first = found.pairs[h] >> np.uint64(32)
        second = found.pairs[h] & np.uint64(0xFFFFFFFF)
        rank = found.near[h] << np.uint64(32)
        ranked[free[first]] = rank | second
        ranked[free[second]] = rank | first
        free[first] += 1
        free[second] += 1
    for i in range(len(found.worst)):
        if ends[i + 1] - ends[i] > neighbours:
            own = np.sort(ranked[ends[i] : ends[i + 1]])
            found.worst[i] = own[neighbours - 1]
    left: Number = 0
    for h in range(count):
        pair, near = found.pairs[h], found.near[h]
        left = keep(found, left, pair >> np.uint64(32), pair & np.uint64(0xFFFFFFFF), near)
    return left
