"""The candidate pairs among the pictures of one key.

The work is bounded even if all pictures look alike. All pairs are compared within bins of up to
`DENSE` pictures. Larger bins are compared as *sorted neighbourhoods*: the members are sorted in
four orders, each with another word of the 256-bit hash first, and compared only with the next
`WINDOW` in each order. So a key with n members and T tables makes at most
``n * (T * max(DENSE / 2, 4 * WINDOW) + 4 * WINDOW)`` comparisons and keeps at most n * neighbours
pairs; `crowds.py` adds as many pairs at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from cauldron.transforms.arrays import Array
from cauldron.transforms.matching.join.blocks import Table
from cauldron.transforms.matching.join.kernel import (
    I32,
    I64,
    LANES,
    ORDERS,
    Found,
    Layout,
    Members,
    Required,
    bins_of,
    scan_bins,
    scan_neighbours,
    sort_bins,
    sort_neighbours,
    trim,
)
from cauldron.transforms.matching.records import BENCHMARK, PAIR, MatchJob

DENSE = 2_048
WINDOW = 16

# A bit of `kind`: the picture is the delegate of a crowd (`crowds.py`).
DELEGATE = 4

Counts = dict[str, int]
# What a search counts. Pictures in crowds are counted once, other pictures once for each key.
NO_COUNTS = Counts(
    comparisons=0,
    pairs=0,
    in_crowds=0,
    in_dense_bins=0,
    with_more_neighbours=0,
    left_out=0,
    largest_key=0,
)
_Scan = Callable[[Found, int, int], tuple[int, int, int]]
_ALL_BITS = np.uint64(0xFFFFFFFFFFFFFFFF)
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_ROOM = 1 << 16
_MOST_BIN_BITS = 22


def add_counts(counts: Iterable[Mapping[str, int]]) -> Counts:
    """The sum of each count, and the maximum of each that is named largest."""
    total = Counts(NO_COUNTS)
    for one in counts:
        for name, value in one.items():
            largest = name.startswith("largest")
            total[name] = max(total[name], value) if largest else total[name] + value
    return total


class Search:
    """The pairs found so far among some pictures, and the working arrays.

    Args:
        records: `SIGNATURE`, ascending by number; several of one number are no pair.
        apart: pictures with equal values of 0 or more are no pairs at distance 0.
    """

    def __init__(self, records: Array, apart: I64, job: MatchJob) -> None:
        kinds = records["kind"] & np.uint8(0xFF ^ DELEGATE)
        self.members = Members(
            np.ascontiguousarray(records["phash"]),
            np.ascontiguousarray(records["phash256"]),
            np.ascontiguousarray(records["aspect"]),
            (kinds == BENCHMARK).astype(np.uint8),
            apart,
        )
        self.size = len(records)
        self.compared = 0
        self._numbers = records["number"]
        self._limits = job.limits
        self._neighbours = job.neighbours
        self._count = 0
        self._found = Found(
            np.empty(_ROOM, np.uint64),
            np.empty(_ROOM, np.uint64),
            np.full(self.size, _ALL_BITS),
        )
        self._dense = np.zeros(self.size, dtype=bool)
        self._ordered = np.zeros(self.size + LANES, np.uint64)
        self._places = np.empty(self.size, np.int32)

    def layout(self, bins: I32, number: int) -> Layout:
        """All pictures sorted by bin; valid until the next layout is made."""
        starts = np.empty(number + 1, np.int64)
        layout = Layout(bins, starts, self._ordered, self._places)
        sort_bins(self.members.hashes, layout)
        return layout

    def table(self, table: Table) -> None:
        """Compare the pictures in the bins of a table."""
        bits = sum(one.bits for one in table.fields)
        # More bins than pictures only take time.
        most = min(max(self.size.bit_length(), 8), _MOST_BIN_BITS)
        shifts, widths = (np.array([f[n] for f in table.fields], np.uint64) for n in (0, 1))
        masks = (np.uint64(1) << widths) - np.uint64(1)
        bins = np.empty(self.size, np.int32)
        bins_of(self.members.hashes, shifts, masks, widths, most if bits > most else 0, bins)
        layout = self.layout(bins, 1 << min(bits, most))
        required = Required(np.uint64(table.agree), np.array(table.differ, np.uint64))
        self._run(lambda *at: scan_bins(self.members, self._limits, required, layout, DENSE, *at))
        if np.diff(layout.starts).max() > DENSE:
            self._dense |= self.neighbourhoods(layout, required, DENSE) >= 0

    def neighbourhoods(self, layout: Layout, required: Required, most: int) -> I32:
        """Compare the bins of more than `most` as sorted neighbourhoods.

        Returns:
            the place of each member in the first order; -1 for members of smaller bins.
        """
        ranks = np.empty((ORDERS, self.size), np.int32)
        for number, order in enumerate(self._orders):
            sequence = np.empty(self.size, np.int32)
            sort_neighbours(self.members.hashes, layout, most, order, sequence, ranks[number])
            fixed = (self.members, self._limits, required, layout, number, sequence, ranks, WINDOW)
            self._run(lambda *at, fixed=fixed: scan_neighbours(*fixed, *at))
        first: I32 = ranks[0]
        return first

    @cached_property
    def _orders(self) -> list[I32]:
        return [self.order(first) for first in range(ORDERS)]

    def order(self, first: int) -> I32:
        """All pictures sorted by the words of their 256-bit hashes, beginning with word `first`."""
        words = np.roll(self.members.words, -first, axis=1)
        keys: list[Any] = [self.members.aspects, *words.T[::-1]]
        return np.lexsort(keys).astype(np.int32)

    def _run(self, scan: _Scan) -> None:
        begin = 0
        while True:
            begin, self._count, compared = scan(self._found, self._count, begin)
            self.compared += compared
            if begin >= self.size:
                return
            self._count = trim(self._found, self._count, self._neighbours)
            if self._count > len(self._found.pairs) // 2:
                pairs, near, worst = self._found
                more = np.empty(len(pairs), np.uint64)
                self._found = Found(np.append(pairs, more), np.append(near, more), worst)

    def result(self) -> tuple[Array, Counts]:
        """The `PAIR` records that are kept, in no order, and the counts."""
        count = trim(self._found, self._count, self._neighbours)
        found, near = self._found.pairs[:count], self._found.near[:count]
        pairs = np.zeros(count, dtype=PAIR)
        pairs["first"] = self._numbers[(found >> _HALF).astype(np.int64)]
        pairs["second"] = self._numbers[(found & _LOW).astype(np.int64)]
        pairs["distance"] = near >> np.uint64(16)
        pairs["distance256"] = near & np.uint64(0xFFFF)
        pairs = pairs[pairs["first"] != pairs["second"]]  # a picture and its own content
        count = len(pairs)
        counts = {
            "comparisons": self.compared,
            "pairs": count,
            "in_dense_bins": int(self._dense.sum()),
            "with_more_neighbours": int((self._found.worst != _ALL_BITS).sum()),
        }
        return pairs, counts
