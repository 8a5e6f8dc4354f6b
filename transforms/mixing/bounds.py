"""Where shards begin, so that all have about the same number of bytes.

Positions are hashes, so equal ranges of them hold equal numbers of copies only on average: with ten
copies a shard, one shard is empty now and then and another holds twice the bytes. So the bytes of
all copies are added up by position, in bins, and a shard begins at the bin's edge that is nearest
to its part of the total. There are as many bins as a mixture needs. Neighbours are one range, and
ranges are added up and cut apart from each other: to cut its bins, a range needs no more than the
`RangeTotal` of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from cauldron.transforms.arrays import split_by
from cauldron.transforms.mixing.select import KeptRows, Numbers, kept_rows
from cauldron.transforms.mixing.shuffle import MixJob, placed

# A bin is at most 1/256 of a shard, so a bin's edge is near enough to any cut.
_BINS_PER_SHARD = 256
_LEAST_BITS = 16
# Of a range. There are at most as many ranges, all of whose totals go to each.
_LEAST_BINS = _MOST_RANGES = 1 << 12

# A record holds text as JSON, padded by tar; a shard holds it compressed. On the sample hub the
# ratio is 20, its texts repeat themselves; those of people compress less.
_TEXT_RATIO = 4

# A bin that is not empty, by its number among all bins.
_FILLED = np.dtype([("bin", "<u8"), ("bytes", "<i8")])


@dataclass(frozen=True, slots=True)
class RangeTotal:
    """What other ranges must know of one that is not empty.

    Attributes:
        number: of the range, in the order of positions.
        first: its first bin that is filled.
    """

    number: int
    first: int
    bytes: int


def bin_bits(shards: int) -> int:
    """Leading bits of a position that say its bin.

    Args:
        shards: wanted number.
    """
    return max(_LEAST_BITS, (shards * _BINS_PER_SHARD - 1).bit_length())


def range_bins(shards: int) -> int:
    """Number of bins in a range.

    Args:
        shards: wanted number.
    """
    return max(_LEAST_BINS, (1 << bin_bits(shards)) // _MOST_RANGES)


def fill_bins(path: str, job: MixJob, shards: int) -> Iterator[tuple[int, bytes]]:
    """The bytes of the copies of one decisions file, by bin: pieces of ranges.

    Args:
        job: its own bounds are not used.
    """
    shift = np.uint64(64 - bin_bits(shards))
    for kept in kept_rows([path]):
        copies = placed(kept, job)
        bins, at = np.unique(copies.position >> shift, return_inverse=True)
        filled = np.zeros(len(bins), dtype=_FILLED)
        filled["bin"] = bins
        np.add.at(filled["bytes"], at, shard_bytes(kept, job.stage.turns.cap)[copies.row])
        yield from split_by(filled, bins // np.uint64(range_bins(shards)))


def sum_bins(number: int, pieces: Iterable[bytes], shards: int) -> bytes:
    """One piece of a range from those of all files."""
    sizes = np.zeros(range_bins(shards), dtype=np.int64)
    first = number * len(sizes)
    for piece in pieces:
        filled = np.frombuffer(piece, dtype=_FILLED)
        sizes[(filled["bin"] - np.uint64(first)).astype(np.int64)] += filled["bytes"]
    used = np.flatnonzero(sizes)
    summed = np.zeros(len(used), dtype=_FILLED)
    summed["bin"], summed["bytes"] = used + first, sizes[used]
    return summed.tobytes()


def total_of(number: int, summed: bytes) -> RangeTotal:
    """The total of a range that has filled bins."""
    filled = np.frombuffer(summed, dtype=_FILLED)
    return RangeTotal(number, int(filled["bin"][0]), int(filled["bytes"].sum()))


def cut_range(number: int, summed: bytes, totals: Iterable[RangeTotal], shards: int) -> list[int]:
    """The bins at which a shard begins, of those cuts that are due in one range.

    A cut is before a filled bin that is not the first of all. Several cuts may be at one bin, also
    at the first bin of the next range, so there are fewer shards than asked for if not enough bins
    are filled, or if one bin is larger than a shard. No shard is empty.

    Args:
        summed: the range's bins.
        totals: of all ranges that are not empty.
        shards: wanted number.
    """
    ordered = sorted(totals, key=lambda item: item.number)
    place = [item.number for item in ordered].index(number)
    start = sum(item.bytes for item in ordered[:place])
    filled = np.frombuffer(summed, dtype=_FILLED)
    bins = filled["bin"].astype(np.int64)
    before = start + np.cumsum(filled["bytes"]) - filled["bytes"]
    if place == 0:
        bins, before = bins[1:], before[1:]
    end = start + ordered[place].bytes
    if place + 1 < len(ordered):
        bins, before = np.append(bins, ordered[place + 1].first), np.append(before, end)
    wanted = sum(item.bytes for item in ordered) / shards * np.arange(1, shards)
    wanted = wanted[(wanted > start) & (wanted <= end)]
    return sorted(set(bins[_nearest(before, wanted)].tolist())) if len(bins) else []


def _nearest(before: Numbers, wanted: npt.NDArray[np.floating[Any]]) -> Numbers:
    """The places of the values in ascending `before` that are nearest to each of `wanted`."""
    right = np.searchsorted(before, wanted)
    left = np.maximum(right - 1, 0)
    right = np.minimum(right, len(before) - 1)
    return np.where(wanted - before[left] <= before[right] - wanted, left, right)


def bounds_at(cuts: Iterable[Sequence[int]], shards: int) -> tuple[int, ...]:
    """The positions at which the second and each later shard begins; see `MixJob.bounds`.

    Args:
        cuts: of all ranges.
    """
    shift = 64 - bin_bits(shards)
    return tuple(cut << shift for cut in sorted({cut for found in cuts for cut in found}))


def shard_bytes(kept: KeptRows, cap: float | None) -> Numbers:
    """About how many bytes a copy of each row takes in a shard, at least one.

    Args:
        cap: most turns of a source in a copy.
    """
    text = np.where(kept.merged_length > 0, kept.merged_length, kept.length - kept.image_bytes)
    if cap is not None:
        text = text * np.minimum(1.0, cap / np.maximum(1, kept.turns))
    return np.maximum(1, kept.image_bytes + (text / _TEXT_RATIO).astype(np.int64))
