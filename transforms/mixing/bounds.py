"""Where shards begin, so that all have about the same number of bytes.

Positions are hashes, so equal ranges of them hold equal numbers of copies only on average: with ten
copies a shard, one shard is empty now and then and another holds twice the bytes. So the bytes of
all copies are added up by position, in bins, and a shard begins at the bin's edge that is nearest
to its part of the total. The bins need one more pass over the decisions, of one file at a time.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from cauldron.transforms.mixing.select import KeptRows, Numbers, kept_rows
from cauldron.transforms.mixing.shuffle import MixJob, placed

# A bin is at most 1/256 of a shard, so a bin's edge is near enough to any cut.
_BINS_PER_SHARD = 256
_LEAST_BITS = 16

# A record holds text as JSON, padded by tar; a shard holds it compressed. On the sample hub the
# ratio is 20, its texts repeat themselves; those of people compress less.
_TEXT_RATIO = 4


def bounds(paths: Iterable[str], job: MixJob, shards: int) -> tuple[int, ...]:
    """The positions at which the second and each later shard begins; see `MixJob.bounds`.

    Args:
        paths: files of decisions.
        job: its own bounds are not used.
        shards: wanted number. There are fewer if there are not enough copies: none is empty.
    """
    if shards < 2:
        return ()
    bits = max(_LEAST_BITS, (shards * _BINS_PER_SHARD - 1).bit_length())
    sizes = np.zeros(1 << bits, dtype=np.int64)
    for kept in kept_rows(paths):
        copies = placed(kept, job)
        bins = copies.position >> np.uint64(64 - bits)
        np.add.at(sizes, bins.astype(np.int64), shard_bytes(kept, job.stage.turns.cap)[copies.row])
    return tuple(int(cut) << (64 - bits) for cut in equal_cuts(sizes, shards))


def shard_bytes(kept: KeptRows, cap: int | None) -> Numbers:
    """About how many bytes a copy of each row takes in a shard, at least one.

    Args:
        cap: most turns of a source in a copy.
    """
    text = np.where(kept.merged_length > 0, kept.merged_length, kept.length - kept.image_bytes)
    if cap is not None:
        text = text * np.minimum(1.0, cap / np.maximum(1, kept.turns))
    return np.maximum(1, kept.image_bytes + (text / _TEXT_RATIO).astype(np.int64))


def equal_cuts(sizes: Numbers, parts: int) -> Numbers:
    """Cut a row of bins into parts of about the same size.

    Args:
        sizes: of each bin, 0 if it is empty.
        parts: wanted number of parts.

    Returns:
        the first bin of each part but the first, ascending. No part is empty: there are fewer if
        not enough bins are filled, or if one bin is larger than a part.
    """
    filled = np.flatnonzero(sizes)
    if len(filled) < 2:
        return filled[:0]
    # A cut is before a filled bin that is not the first; `before` is the size up to it.
    before = np.cumsum(sizes[filled])[:-1]
    wanted = sizes.sum() / parts * np.arange(1, parts)
    right = np.searchsorted(before, wanted)
    left = np.maximum(right - 1, 0)
    right = np.minimum(right, len(before) - 1)
    nearest = np.where(wanted - before[left] <= before[right] - wanted, left, right)
    return np.asarray(filled[np.unique(nearest) + 1])
