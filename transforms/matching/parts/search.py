"""Finds the benchmark pictures that a training picture shows in part, mirrored or recoloured."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from cauldron.transforms.matching.parts.features import LARGE, features_of, searched_features
from cauldron.transforms.matching.parts.geometry import place
from cauldron.transforms.matching.parts.index import MOST, MOST_LARGE, FeatureIndex
from cauldron.transforms.matching.parts.judge import Pixels, common, cut, judge, nudged, pixels_of
from cauldron.transforms.matching.parts.records import MIRRORS, Tested, packed
from cauldron.transforms.matching.records import Limits, MatchJob
from cauldron.transforms.pictures.signatures import sign
from PIL import Image, ImageOps

from cauldron.core.stores.ranges import Range, read_ranges

# Working sizes of benchmark pictures: with ORB's own pyramid they cover training pictures that show
# them from a quarter to nearly twice the size of the whole.
TESTED_SIDES = (1000, 640, 400, 256)
# Features of a benchmark picture at each size, and of all of them: a worker holds 80 bytes each.
TESTED_FEATURES = 400
MOST_TESTED_FEATURES = 6_000_000
# Benchmark pictures whose pixels are kept.
_KEPT = 32


class Found(NamedTuple):
    """A benchmark picture that a training picture shows.

    Attributes:
        benchmark: number of the benchmark picture.
        kind: ``part``, ``mirrored``, ``colours`` or ``watermark``.
        distance: of the 64-bit hashes, of the mirrored picture for ``mirrored``.
        score: 0.5 to 1.
    """

    benchmark: int
    kind: str
    distance: int
    score: float


def describe(data: bytes, stored: np.void, most: int = TESTED_FEATURES) -> bytes:
    """A benchmark's picture for `Search`, from its stored bytes."""
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
        plain = image.convert("L")
    mirrored = (ImageOps.mirror(plain), ImageOps.flip(plain))
    hashes = [(narrow, wide.phash256) for narrow, wide in (sign(one, False) for one in mirrored)]
    return packed(stored, features_of(data, most, TESTED_SIDES), hashes)


class Search:
    """Looks for the pictures of benchmarks.

    Args:
        tested: all of them, by number.
        limits: of the hashes of mirrored pictures.
        read: gives the stored bytes of a `STORED` record.
    """

    def __init__(
        self, tested: Sequence[Tested], limits: Limits, read: Callable[[np.void], bytes]
    ) -> None:
        self._tested, self._limits = tested, limits
        self._index = FeatureIndex([t.points for t in tested], [t.descriptors for t in tested])
        self._hashes = np.array([t.stored["phash"] for t in tested], dtype=np.uint64)
        shape = (len(tested), MIRRORS)
        self._mirrored = np.array([t.stored["mirrored"] for t in tested], np.uint64).reshape(shape)
        wide = [t.stored["mirrored256"] for t in tested]
        self._mirrored256 = np.array(wide, np.uint64).reshape(*shape, 4)
        self._pixels = lru_cache(maxsize=_KEPT)(lambda at: pixels_of(read(tested[at].stored)))

    def find(self, data: bytes, stored: np.void) -> list[Found]:
        """The benchmark pictures that a training picture shows.

        Args:
            data: its stored bytes.
            stored: its `STORED` record.
        """
        if not self._tested:
            return []
        size = int(stored["width"]), int(stored["height"])
        features = searched_features(data, size)
        pixels = lru_cache(maxsize=1)(lambda: pixels_of(data))
        most = MOST_LARGE if max(size) >= LARGE else MOST
        found = [self._mirror(at, how, pixels(), stored) for at, how in self._mirrors(stored)]
        for proposal in self._index.proposals(features.points, features.descriptors, most):
            theirs = self._tested[proposal.picture]
            placed = place(proposal.ours, proposal.theirs, features.size, theirs.size)
            boxes = placed and common(placed, features.size, theirs.size)
            if boxes:
                boxes = nudged(pixels(), self._pixels(proposal.picture), boxes)
                ours = cut(pixels(), boxes[0])
                found.append(self._part(proposal.picture, ours, boxes[1], stored))
        best: dict[int, Found] = {}
        for one in found:
            if one is not None:
                known = best.setdefault(one.benchmark, one)
                best[one.benchmark] = max(known, one, key=lambda item: item.score)
        return sorted(best.values())

    def _mirrors(self, stored: np.void) -> list[tuple[int, int]]:
        """Benchmark pictures whose mirrored hashes are near, and how they are mirrored."""
        near = np.bitwise_count(self._mirrored ^ stored["phash"]) <= self._limits.radius
        wide = np.bitwise_count(self._mirrored256 ^ stored["phash256"]).sum(axis=2)
        at, how = np.nonzero(near & (wide <= self._limits.radius256))
        return list(zip(at.tolist(), how.tolist(), strict=True))

    def _mirror(self, at: int, how: int, ours: Pixels, stored: np.void) -> Found | None:
        theirs = np.ascontiguousarray(np.flip(self._pixels(at), axis=1 - how))
        judged = judge(ours, theirs)
        if judged is None:
            return None
        distance = int(np.bitwise_count(self._mirrored[at, how] ^ stored["phash"]))
        return Found(self._number(at), "mirrored", distance, judged.score)

    def _part(self, at: int, ours: Pixels, box: tuple[int, ...], stored: np.void) -> Found | None:
        x0, y0, x1, y1 = box
        judged = judge(ours, cut(self._pixels(at), (x0, y0, x1, y1)))
        if judged is None:
            return None
        distance = int(np.bitwise_count(self._hashes[at] ^ stored["phash"]))
        kind = "part" if judged.kind == "picture" else judged.kind
        return Found(self._number(at), kind, distance, judged.score)

    def _number(self, at: int) -> int:
        return int(self._tested[at].stored["number"])


def read_stored(stored: Sequence[np.void], job: MatchJob) -> list[bytes]:
    """The bytes of pictures, from their `STORED` records."""
    return read_ranges(
        [
            Range(
                job.sources[one["source"]].record_file(int(one["part"])),
                int(one["offset"]),
                int(one["length"]),
            )
            for one in stored
        ]
    )
