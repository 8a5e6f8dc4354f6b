"""Best-fit packing: whole documents into sequences, as full as they get.

Two ways, and the one that needs fewer sequences is taken. *Subset sums*: the longest document
that is left, and of the others those that fill its sequence best, found exactly. *Best fit
decreasing*: each document, longest first, into the fullest sequence with room for it. The second
is the usual one and better only where two or three documents fill a sequence.

Waste by window, on the SFT mixture of the sample hub (benchmarks/loader.py, 1,024 rows, 10,240
tokens): at 1820 pixels without scaling up 0.4 % instead of best fit's 1.5 %, scaled up by 2 at
most 0.2 instead of 4.6 %; 8 to 60 ms of one core a window instead of 1. What is left is mostly the
last sequence of a window, so small images, many to a sequence, want more rows: 364 pixels waste
1.7 % with 1,024 rows and 0.7 % with 2,048.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# A sequence is full when less than this part of it is left: looking on costs time, not tokens.
_FULL = 1 / 1024


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Put items into bins. Returns the items of each bin.

    Args:
        lengths: none of them longer than `capacity`.
    """
    return min(subset_sums(lengths, capacity), best_fit(lengths, capacity), key=len)


def subset_sums(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Fill one bin after the other, each as well as the items that are left allow.

    Bit s of an integer says that some of the items looked at so far add up to s; one shift and
    one "or" add an item to all sums at once. Items are looked at longest first, so that short
    ones stay for later bins, and only until the bin is full: some 20 of 1,024 as a rule.
    """
    left = _longest_first(lengths)
    slack = int(capacity * _FULL)
    bins = []
    while left:
        room = capacity - lengths[left[0]]
        within, sums = (1 << (room + 1)) - 1, [1]
        for item in left[1:]:
            if sums[-1] >> max(0, room - slack):
                break
            sums.append(sums[-1] | (sums[-1] << lengths[item]) & within)
        chosen = {0, *_summands(sums, [lengths[item] for item in left[: len(sums)]])}
        bins.append([left[place] for place in sorted(chosen)])
        left = [item for place, item in enumerate(left) if place not in chosen]
    return bins


def _summands(sums: Sequence[int], lengths: Sequence[int]) -> list[int]:
    """Which items, by place, add up to the largest sum. `sums[i]`: with the items up to i."""
    total = sums[-1].bit_length() - 1
    places = []
    for place in range(len(sums) - 1, 0, -1):
        if not (sums[place - 1] >> total) & 1:
            places.append(place)
            total -= lengths[place]
    return places


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Each item, longest first, into the bin with the least room that still holds it."""
    # Bins by the room that is left; bit r of `rooms` says that some bin has room r. The lowest
    # set bit from the item's length on is the best fit.
    by_room: dict[int, list[int]] = {}
    rooms = 0
    bins: list[list[int]] = []
    for item in _longest_first(lengths):
        length = lengths[item]
        fitting = rooms >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            target = by_room[room].pop()
            rooms ^= (not by_room[room]) << room
        else:
            room, target = capacity, len(bins)
            bins.append([])
        bins[target].append(item)
        left = room - length
        by_room.setdefault(left, []).append(target)
        rooms |= 1 << left
    return bins


def _longest_first(lengths: Sequence[int]) -> list[int]:
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    return [int(item) for item in order]
