"""What the search for parts passes on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from cauldron.transforms.arrays import Array
from cauldron.transforms.matching.parts.features import WIDTH, Descriptors, Features, Points
from cauldron.transforms.matching.records import PICTURE

# Part of the fingerprint of curations that look for parts. Raise it when the same pictures would
# give other leaks.
PARTS_VERSION = 6

# Mirrored left to right, and upside down.
MIRRORS = 2

# A stored picture.
STORED = np.dtype(
    [
        ("number", "<u8"),
        *((name, PICTURE[name]) for name in ("phash", "phash256", "width", "height")),
        *((name, PICTURE[name]) for name in ("source", "part", "offset", "length")),
    ]
)
# A benchmark's picture, with the hashes of its mirrored pictures; its features follow.
_TESTED = np.dtype(
    [
        *STORED.descr,
        *[("mirrored", "<u8", (MIRRORS,)), ("mirrored256", "<u8", (MIRRORS, 4))],
        ("features", "<u4"),
    ]
)


class Tested(NamedTuple):
    """A benchmark's picture.

    Attributes:
        stored: its `STORED` fields, and the hashes `mirrored` and `mirrored256`.
    """

    stored: np.void
    points: Points
    descriptors: Descriptors

    @property
    def size(self) -> tuple[int, int]:
        return int(self.stored["width"]), int(self.stored["height"])


def packed(stored: np.void, features: Features, hashes: list[tuple[int, bytes]]) -> bytes:
    """A benchmark's picture as bytes.

    Args:
        hashes: 64 and 256 bits of each mirrored picture.
    """
    record = np.zeros(1, dtype=_TESTED)
    for name in STORED.names or ():
        record[name] = stored[name]
    for place, (narrow, wide) in enumerate(hashes):
        record["mirrored"][0, place] = narrow
        record["mirrored256"][0, place] = np.frombuffer(wide, dtype="<u8")
    record["features"] = len(features.points)
    return b"".join(
        [record.tobytes(), features.points.astype("<f4").tobytes(), features.descriptors.tobytes()]
    )


def unpacked(pieces: Iterable[bytes]) -> list[Tested]:
    """Benchmark pictures by number, from pieces in any order, each of several pictures."""
    found = [tested for piece in pieces for tested in _unpacked(piece)]
    return sorted(found, key=lambda one: int(one.stored["number"]))


def _unpacked(piece: bytes) -> Iterator[Tested]:
    at = 0
    while at < len(piece):
        record: Array = np.frombuffer(piece, _TESTED, 1, at)
        at += _TESTED.itemsize
        count = int(record["features"][0])
        points = np.frombuffer(piece, "<f4", 2 * count, at).reshape(count, 2)
        at += points.nbytes
        descriptors = np.frombuffer(piece, np.uint8, WIDTH * count, at).reshape(count, WIDTH)
        at += descriptors.nbytes
        yield Tested(record[0], points, descriptors)
