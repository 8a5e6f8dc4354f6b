"""The benchmarks' features, to be looked up by those of a training picture.

A descriptor is found by `TABLES` keys of `KEY_BITS` of its 256 bits each. Copies differ in 10 to 40
bits, so several of a picture's hundreds of features meet theirs in a table, and a few are enough. A
key with more than `CROWD` descriptors says nothing (corners of letters and of table cells are all
alike) and is left out. A descriptor takes 32 bytes, its place 10, and 8 in each table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

TABLES = 5
KEY_BITS = 22
CROWD = 48
# Bits in which two descriptors of one place may differ.
NEAR = 44
# Features of a picture that must meet those of a benchmark's picture before it is looked at.
FEWEST = 8
# Benchmark pictures that are looked at for one training picture, and for a large one.
MOST, MOST_LARGE = 6, 12

_SEED = 20_261_129

I64 = npt.NDArray[np.int64]


class Proposal(NamedTuple):
    """A benchmark picture that may be shown by a training picture.

    Attributes:
        picture: its place in the index.
        ours, theirs: (n, 2), where the features are that met, as shares of width and height.
    """

    picture: int
    ours: npt.NDArray[np.float32]
    theirs: npt.NDArray[np.float32]


class FeatureIndex:
    """Features of many pictures.

    Args:
        points, descriptors: of each picture, as in `features.Features`.
    """

    def __init__(
        self,
        points: Sequence[npt.NDArray[np.float32]],
        descriptors: Sequence[npt.NDArray[np.uint8]],
    ) -> None:
        counts = [len(one) for one in points]
        self._picture = np.repeat(np.arange(len(points), dtype=np.int32), counts)
        self._points = np.concatenate([np.zeros((0, 2), np.float32), *points])
        self._descriptors = np.concatenate([np.zeros((0, 32), np.uint8), *descriptors])
        self._words = np.ascontiguousarray(self._descriptors).view("<u8")
        random = np.random.default_rng(_SEED)
        self._bits = [random.permutation(256)[:KEY_BITS] for _ in range(TABLES)]
        self._tables = [self._table(bits) for bits in self._bits]

    def _table(
        self, bits: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        keys = _keys(self._descriptors, bits)
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        new = np.ones(len(keys), dtype=bool)
        new[1:] = keys[1:] != keys[:-1]
        group = np.cumsum(new) - 1
        keep = np.bincount(group)[group] <= CROWD if len(keys) else new
        return keys[keep], order[keep].astype(np.uint32)

    def proposals(
        self, points: npt.NDArray[np.float32], descriptors: npt.NDArray[np.uint8], most: int = MOST
    ) -> list[Proposal]:
        """The pictures with most features in common, at most `most`, the best first."""
        ours, theirs, apart = self._met(descriptors)
        if len(ours) < FEWEST:
            return []
        # The nearest feature of a picture for each of ours.
        pictures = self._picture[theirs].astype(np.int64)
        order = np.lexsort([theirs, apart, ours, pictures])
        ours, theirs, pictures = ours[order], theirs[order], pictures[order]
        nearest = np.ones(len(ours), dtype=bool)
        nearest[1:] = (ours[1:] != ours[:-1]) | (pictures[1:] != pictures[:-1])
        ours, theirs, pictures = ours[nearest], theirs[nearest], pictures[nearest]
        # A feature that many pictures have says little about each of them.
        weight = 1.0 / np.bincount(ours)[ours]
        votes = np.bincount(pictures, weights=weight)
        enough = np.bincount(pictures) >= FEWEST
        best = np.argsort(-np.round(votes, 6), kind="stable")
        found = []
        for picture in best[enough[best]][:most].tolist():
            here = pictures == picture
            found.append(Proposal(picture, points[ours[here]], self._points[theirs[here]]))
        return found

    def _met(self, descriptors: npt.NDArray[np.uint8]) -> tuple[I64, I64, I64]:
        """Our features, those of the index that are near, and how far apart; each pair once."""
        if not len(descriptors) or not len(self._picture):
            return (np.zeros(0, np.int64),) * 3
        pairs = []
        for bits, (keys, places) in zip(self._bits, self._tables, strict=True):
            wanted = _keys(descriptors, bits)
            start = np.searchsorted(keys, wanted, side="left")
            count = np.searchsorted(keys, wanted, side="right") - start
            ours = np.repeat(np.arange(len(wanted)), count)
            within = np.arange(len(ours)) - np.repeat(np.cumsum(count) - count, count)
            pairs.append(ours << 40 | places[start[ours] + within])
        both = np.unique(np.concatenate(pairs))
        ours, theirs = both >> 40, both & ((1 << 40) - 1)
        words = np.ascontiguousarray(descriptors).view("<u8")
        apart = np.bitwise_count(words[ours] ^ self._words[theirs]).sum(axis=1, dtype=np.int64)
        near = apart <= NEAR
        return ours[near], theirs[near], apart[near]


def _keys(
    descriptors: npt.NDArray[np.uint8], bits: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint32]:
    keys = np.zeros(len(descriptors), dtype=np.uint32)
    for bit in bits.tolist():
        keys = keys << np.uint32(1) | (descriptors[:, bit >> 3] >> (bit & 7) & 1)
    return keys
