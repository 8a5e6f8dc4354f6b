"""The signatures of a range or key, with crowds thinned out.

A *crowd* is more than `CROWD` pictures with the same 64-bit hash, such as logos. Pairs within
a crowd are looked for once, as a sorted neighbourhood (`search.py`). Everywhere else the crowd is
replaced by `DELEGATES` of its pictures, evenly spaced in the first order, and by the first
`MOST_BENCHMARKS` of its pictures that a benchmark shows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from cauldron.transforms.arrays import Array, read_array
from cauldron.transforms.matching.arrays import Flags
from cauldron.transforms.matching.join.blocks import spread
from cauldron.transforms.matching.join.kernel import I64, Required, sort_neighbours
from cauldron.transforms.matching.join.search import DELEGATE, Counts, Search
from cauldron.transforms.matching.records import BENCHMARK, PAIR, PICTURE, SIGNATURE, MatchJob
from cauldron.transforms.matching.views import HASHED_PICTURE, HASHES, hashes_of
from cauldron.transforms.pictures.signatures import is_blank

CROWD = 256
DELEGATES = 32
MOST_BENCHMARKS = 4_096

_READ = np.dtype([*HASHED_PICTURE.descr, ("kind", PICTURE["kind"])])
_HALF = np.uint64(32)
_ALL_BITS = np.uint64(0xFFFFFFFFFFFFFFFF)


class Thinned(NamedTuple):
    """Pictures with their crowds thinned out.

    Attributes:
        records: the pictures that remain, in their order.
        apart: as in `Search`.
        delegates: which of them are delegates.
        pairs: pairs found within crowds.
    """

    records: Array
    apart: I64
    delegates: Flags
    pairs: Array
    counts: Counts


def thin(records: Array, job: MatchJob, within_crowds: bool) -> Thinned:
    """Replace crowds by their delegates.

    Args:
        records: `SIGNATURE` of a range or of a key, ascending by number.
        within_crowds: look for the pairs within crowds, which only one key must do.
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
        chosen = _delegates(search, bins[inside], within_crowds)
        chosen |= _benchmarks(records["kind"][inside], bins[inside])
        stays[inside], delegates[inside] = chosen, chosen
        # A number above all ranges: delegates of a crowd are not compared with each other again.
        apart[delegates] = 1 << 32
        if within_crowds:
            pairs, counts = search.result()
            counts["in_crowds"] = len(inside)
    return Thinned(records[stays], apart[stays], delegates[stays], pairs, counts)


def _delegates(search: Search, crowds: I64, within_crowds: bool) -> Flags:
    values, bins = np.unique(crowds, return_inverse=True)
    layout = search.layout(bins.astype(np.int32), len(values))
    if within_crowds:
        required = Required(_ALL_BITS, np.zeros(0, np.uint64))
        places = search.neighbourhoods(layout, required, CROWD)
    else:
        places = np.empty(search.size, np.int32)
        sequence = np.empty(search.size, np.int32)
        order = search.order(0)
        sort_neighbours(search.members.hashes, layout, CROWD, order, sequence, places)
    place = places - layout.starts[bins]
    size = np.diff(layout.starts)[bins]
    chosen: Flags = place * DELEGATES % size < DELEGATES
    return chosen


def _benchmarks(kinds: npt.NDArray[np.uint8], crowds: I64) -> Flags:
    """The first `MOST_BENCHMARKS` pictures of benchmarks in each crowd. They are kept, because
    their leaks outside the crowd must be found too."""
    places = np.flatnonzero(kinds & BENCHMARK)
    order = places[np.argsort(crowds[places], kind="stable")]
    chosen = np.zeros(len(kinds), dtype=bool)
    if len(order):
        own = crowds[order]
        rank = np.arange(len(order)) - np.searchsorted(own, own)
        chosen[order[rank < MOST_BENCHMARKS]] = True
    return chosen


def read_signatures(number: int, job: MatchJob) -> Array:
    """The `SIGNATURE` records of a range, ascending by number; hashes are spread.

    Pictures with a content have two, the whole first. Without those of blank pictures, which are
    the same as no other.
    """
    pictures = read_array(job.pictures(number), _READ)
    numbers = (np.uint64(number) << _HALF) | np.arange(len(pictures), dtype=np.uint64)
    some = ~is_blank(pictures["ground"])
    pictures, numbers = pictures[some], numbers[some]
    inside = np.flatnonzero(pictures["content_width"] > 0)
    rows = np.concatenate([np.arange(len(pictures)), inside])
    hashes = np.zeros(len(pictures), dtype=HASHES)
    hashes_of(pictures, hashes)
    records = np.zeros(len(rows), dtype=SIGNATURE)
    records["kind"], records["number"] = pictures["kind"][rows], numbers[rows]
    for name in ("phash", "phash256", "aspect"):
        records[name] = np.concatenate([hashes[name], hashes["content_" + name][inside]])
    records["phash"] = spread(records["phash"])
    ordered: Array = records[np.argsort(records["number"], kind="stable")]
    return ordered


def prepare_range(number: int, job: MatchJob, within_crowds: bool) -> Thinned:
    """The signatures that a range sends to the keys: crowds replaced by their delegates."""
    left = thin(read_signatures(number, job), job, within_crowds)
    left.records["kind"][left.delegates] |= DELEGATE
    return left
