"""One worker's share of the join: the pictures of a key in, their candidate pairs out.

Work is bounded however alike the pictures are. All pairs are compared within bins of up to
`DENSE` pictures. Larger bins are *sorted neighbourhoods*: the members are put into four orders,
each by another word of the 256-bit hash first, and compared with the next `WINDOW` only. Where
more than `CROWD` pictures have one 64-bit hash, that is done once for all tables, and `DELEGATES`
of them, evenly spaced in the first order, stand for the rest elsewhere, besides the first
`MOST_BENCHMARKS` pictures of benchmarks. So the worker of a key with n members and T tables makes
at most ``n * (T * max(DENSE / 2, 4 * WINDOW) + 4 * WINDOW)`` comparisons, and keeps at most
n * neighbours pairs, and as many within crowds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from cauldron.transforms.arrays import Array, from_bytes
from cauldron.transforms.matching.join.blocks import Plan, Table
from cauldron.transforms.matching.join.kernel import (
    I32,
    I64,
    LANES,
    ORDERS,
    Asked,
    Found,
    Layout,
    Limits,
    Members,
    bins_of,
    scan_bins,
    scan_neighbours,
    sort_bins,
    sort_neighbours,
    trim,
)
from cauldron.transforms.matching.records import BENCHMARK, PAIR, SIGNATURE, MatchJob

CROWD = 256
DELEGATES = 32
MOST_BENCHMARKS = 4_096
DENSE = 2_048
WINDOW = 16

# Set in `kind` of a delegate whose pairs within its range and crowd are told already.
DELEGATE = 4

Counts = dict[str, int]
# What a search counts; of pictures, those in crowds once, the others once for each key.
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
    """Sums, but the largest of what is called largest; whatever was not counted is 0."""
    total = Counts(NO_COUNTS)
    for one in counts:
        for name, value in one.items():
            largest = name.startswith("largest")
            total[name] = max(total[name], value) if largest else total[name] + value
    return total


def limits_of(job: MatchJob) -> Limits:
    # Two rounded numbers differ by up to one more than what was rounded.
    aspect = round(1000 * float(np.log2(1 + job.aspect))) + 1
    return Limits(job.radius, job.radius256, aspect)


class Search:
    """The pairs found among some pictures, and the arrays that finding them takes.

    Args:
        records: `SIGNATURE`, ascending by number.
        apart: equal numbers from 0 on for pictures whose pairs at distance 0 are not looked for.
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
        self._limits = limits_of(job)
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
        """All pictures sorted by bin; the layout holds until the next is made."""
        starts = np.empty(number + 1, np.int64)
        layout = Layout(bins, starts, self._ordered, self._places)
        sort_bins(self.members.hashes, layout)
        return layout

    def table(self, table: Table) -> None:
        """Look through the bins of a table."""
        bits = sum(one.bits for one in table.fields)
        # More bins than pictures only cost time.
        most = min(max(self.size.bit_length(), 8), _MOST_BIN_BITS)
        shifts, widths = (np.array([f[n] for f in table.fields], np.uint64) for n in (0, 1))
        masks = (np.uint64(1) << widths) - np.uint64(1)
        bins = np.empty(self.size, np.int32)
        bins_of(self.members.hashes, shifts, masks, widths, most if bits > most else 0, bins)
        layout = self.layout(bins, 1 << min(bits, most))
        asked = Asked(np.uint64(table.agree), np.array(table.differ, np.uint64))
        self._run(lambda *at: scan_bins(self.members, self._limits, asked, layout, DENSE, *at))
        if np.diff(layout.starts).max() > DENSE:
            self._dense |= self.neighbourhoods(layout, asked, DENSE) >= 0

    def neighbourhoods(self, layout: Layout, asked: Asked, most: int) -> I32:
        """Compare near members of the bins of more than `most`.

        Returns:
            the place of each member in the first order; -1 for members of smaller bins.
        """
        ranks = np.empty((ORDERS, self.size), np.int32)
        for number, order in enumerate(self._orders):
            sequence = np.empty(self.size, np.int32)
            sort_neighbours(self.members.hashes, layout, most, order, sequence, ranks[number])
            fixed = (self.members, self._limits, asked, layout, number, sequence, ranks, WINDOW)
            self._run(lambda *at, fixed=fixed: scan_neighbours(*fixed, *at))
        first: I32 = ranks[0]
        return first

    @cached_property
    def _orders(self) -> list[I32]:
        return [self.order(first) for first in range(ORDERS)]

    def order(self, first: int) -> I32:
        """All pictures by the words of their 256-bit hashes, beginning with one of them."""
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
        """The `PAIR` records that stay, in no order, and what it took."""
        count = trim(self._found, self._count, self._neighbours)
        found, near = self._found.pairs[:count], self._found.near[:count]
        pairs = np.zeros(count, dtype=PAIR)
        pairs["first"] = self._numbers[(found >> _HALF).astype(np.int64)]
        pairs["second"] = self._numbers[(found & _LOW).astype(np.int64)]
        pairs["distance"] = near >> np.uint64(16)
        pairs["distance256"] = near & np.uint64(0xFFFF)
        counts = {
            "comparisons": self.compared,
            "pairs": count,
            "in_dense_bins": int(self._dense.sum()),
            "with_more_neighbours": int((self._found.worst != _ALL_BITS).sum()),
        }
        return pairs, counts


class Thinned(NamedTuple):
    """What is left of some pictures.

    Attributes:
        records: those that take part in the tables, in the order they had.
        apart: as in `Search`.
        delegates: which of them stand for others.
        pairs: found within crowds.
    """

    records: Array
    apart: I64
    delegates: npt.NDArray[np.bool_]
    pairs: Array
    counts: Counts


def thin(records: Array, job: MatchJob, tell: bool) -> Thinned:
    """Let delegates stand for pictures of which more than `CROWD` have one 64-bit hash.

    Args:
        records: `SIGNATURE` of a range or of a key, ascending by number.
        tell: look for the pairs within crowds; every other key leaves that to one.
    """
    ranges = (records["number"] >> _HALF).astype(np.int64)
    apart = np.where(records["kind"] & DELEGATE, ranges, -1)
    stays = np.ones(len(records), dtype=bool)
    delegates = np.zeros(len(records), dtype=bool)
    pairs, counts = np.zeros(0, dtype=PAIR), Counts()
    hashes = np.sort(records["phash"])
    if (hashes[CROWD:] == hashes[:-CROWD]).any():
        _, bins, sizes = np.unique(records["phash"], return_inverse=True, return_counts=True)
        inside = np.flatnonzero(sizes[bins] > CROWD)
        search = Search(records[inside], apart[inside], job)
        chosen = _delegates(search, bins[inside], tell)
        chosen |= _benchmarks(records["kind"][inside], bins[inside])
        stays[inside], delegates[inside] = chosen, chosen
        # Beyond all ranges: delegates of one crowd have been compared as far as they will be.
        apart[delegates] = 1 << 32
        if tell:
            pairs, counts = search.result()
            counts["in_crowds"] = len(inside)
    return Thinned(records[stays], apart[stays], delegates[stays], pairs, counts)


def _delegates(search: Search, crowds: I64, tell: bool) -> npt.NDArray[np.bool_]:
    values, bins = np.unique(crowds, return_inverse=True)
    layout = search.layout(bins.astype(np.int32), len(values))
    if tell:
        asked = Asked(_ALL_BITS, np.zeros(0, np.uint64))
        places = search.neighbourhoods(layout, asked, CROWD)
    else:
        places = np.empty(search.size, np.int32)
        sequence = np.empty(search.size, np.int32)
        order = search.order(0)
        sort_neighbours(search.members.hashes, layout, CROWD, order, sequence, places)
    place = places - layout.starts[bins]
    size = np.diff(layout.starts)[bins]
    chosen: npt.NDArray[np.bool_] = place * DELEGATES % size < DELEGATES
    return chosen


def _benchmarks(kinds: npt.NDArray[np.uint8], crowds: I64) -> npt.NDArray[np.bool_]:
    """The first `MOST_BENCHMARKS` pictures of benchmarks in each crowd: what they leaked into is
    looked for outside the crowd too, whoever else stands for it."""
    places = np.flatnonzero(kinds & BENCHMARK)
    order = places[np.argsort(crowds[places], kind="stable")]
    chosen = np.zeros(len(kinds), dtype=bool)
    if len(order):
        own = crowds[order]
        rank = np.arange(len(order)) - np.searchsorted(own, own)
        chosen[order[rank < MOST_BENCHMARKS]] = True
    return chosen


def join_key(key: int, pieces: Iterable[bytes], plan: Plan, job: MatchJob) -> tuple[Array, Counts]:
    """The candidate pairs that are told by the worker of a key.

    Args:
        pieces: packed `SIGNATURE` arrays, one from each range that has members, in any order.

    Returns:
        `PAIR` records, and counts.
    """
    ordered = sorted(pieces, key=lambda piece: int(np.frombuffer(piece, SIGNATURE)["number"][0]))
    records = from_bytes(ordered, SIGNATURE)
    prefix = plan.prefix_of(key)
    left = thin(records, job, tell=prefix == tuple(range(len(prefix))))
    search = Search(left.records, left.apart, job)
    for table in plan.tables(prefix):
        search.table(table)
    pairs, counts = search.result()
    size = {"largest_key": len(records)}
    return np.concatenate([left.pairs, pairs]), add_counts([size, left.counts, counts])
