"""The two views of a picture that have hashes: the whole, and its content without a border.

Two pictures are candidates if any view of one is near any view of the other. The views that are
near are those that are compared, so a bordered copy is compared with its original without the
border.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from cauldron.transforms.arrays import Array
from cauldron.transforms.matching.records import (
    CONTENT_FIELDS,
    PICTURE,
    VIEW_FIELDS,
    Limits,
)

WHOLE, CONTENT = range(2)
# Views of the first and of the second picture.
PAIRINGS = ((WHOLE, WHOLE), (WHOLE, CONTENT), (CONTENT, WHOLE), (CONTENT, CONTENT))

# What `hashes_of` reads of a picture.
HASHED_PICTURE = np.dtype(
    [
        (name, PICTURE[name])
        for name in ("phash", "phash256", "width", "height", "ground", *CONTENT_FIELDS)
    ]
)
HASHES = np.dtype(VIEW_FIELDS)

# Edges of contents whose places differ by less, as shares of the frame, are at one place.
_AT_ONE_PLACE = 0.004
# A view whose 256-bit hashes are nearer by more than this is compared before whole pictures are.
_NEARER = 8


class Near(NamedTuple):
    """How near the pairings of views are; arrays of shape (`PAIRINGS`, pairs).

    Attributes:
        distance, distance256: Hamming distances; without meaning for a view that is not there.
        near: whether they are within the limits.
    """

    distance: Any
    distance256: Any
    near: Any

    def least(self) -> tuple[Any, Any]:
        """The distances of the nearest pairing within the limits, or of the whole pictures."""
        rank = self.distance.astype(np.int64) << 16 | self.distance256
        rank[~self.near] = 1 << 40
        best = np.where(self.near.any(axis=0), rank.argmin(axis=0), 0)
        columns = np.arange(rank.shape[1])
        return self.distance[best, columns], self.distance256[best, columns]


def aspect_of(width: Any, height: Any) -> Any:
    """As in `records.SIGNATURE`."""
    ratio = np.log2(np.maximum(width, 1) / np.maximum(height, 1))
    return np.clip(np.rint(1000 * ratio), -(2**15), 2**15 - 1)


def hashes_of(pictures: Array, hashes: Array) -> None:
    """Fill the fields of `HASHES` of some records from pictures with those of `HASHED_PICTURE`."""
    for name in ("phash", "phash256", "content_phash", "content_phash256"):
        hashes[name] = pictures[name]
    hashes["aspect"] = aspect_of(pictures["width"], pictures["height"])
    hashes["content_aspect"] = aspect_of(pictures["content_width"], pictures["content_height"])
    hashes["has_content"] = pictures["content_width"] > 0


def near_views(first: Array, second: Array, limits: Limits) -> Near:
    """Compare the hashes of pairs, records with the fields of `HASHES`."""
    shape = len(PAIRINGS), len(first)
    distance, distance256 = np.zeros(shape, np.uint8), np.zeros(shape, np.uint16)
    near = np.zeros(shape, dtype=bool)
    for at, views in enumerate(PAIRINGS):
        one, other = (
            (records[prefix + "phash"], records[prefix + "phash256"], records[prefix + "aspect"])
            for records, prefix in zip(
                (first, second), ("content_" if view else "" for view in views), strict=True
            )
        )
        distance[at] = np.bitwise_count(one[0] ^ other[0])
        distance256[at] = np.bitwise_count(one[1] ^ other[1]).sum(axis=1, dtype=np.uint16)
        apart = np.abs(one[2].astype(np.int64) - other[2])
        near[at] = (distance[at] <= limits.radius) & (distance256[at] <= limits.radius256)
        near[at] &= apart <= limits.aspect
        for records, view in zip((first, second), views, strict=True):
            if view == CONTENT:
                near[at] &= records["has_content"] > 0
    return Near(distance, distance256, near)


def views_to_compare(first: Array, second: Array, limits: Limits) -> list[list[tuple[int, int]]]:
    """For each pair the pairings of views to compare, until one is the same.

    They are the whole pictures, and the nearest other pairing. If both contents are at the same
    place of their frames, whole pictures say all.

    Args:
        first, second: `PICTURE` records.
    """
    one, other = (np.zeros(len(records), dtype=HASHES) for records in (first, second))
    hashes_of(first, one)
    hashes_of(second, other)
    found = near_views(one, other, limits)
    alike = np.ones(len(first), dtype=bool)
    for edges in zip(_edges(first), _edges(second), strict=True):
        alike &= np.abs(edges[0] - edges[1]) <= _AT_ONE_PLACE
    rank = np.where(found.near[1:], found.distance256[1:].astype(np.int64), 1 << 20)
    best = rank.argmin(axis=0)
    columns = np.arange(len(first))
    views: list[list[tuple[int, int]]] = []
    for at in columns.tolist():
        whole, least = bool(found.near[0, at]), int(rank[best[at], at])
        chosen = [PAIRINGS[0]] if whole or least == 1 << 20 else []
        if least < 1 << 20 and not (whole and alike[at]):
            nearest = PAIRINGS[1 + int(best[at])]
            nearer = least + _NEARER < int(found.distance256[0, at])
            chosen = [nearest, *chosen] if nearer else [*chosen, nearest]
        views.append(chosen)
    return views


def _edges(pictures: Array) -> list[Any]:
    """Left, top, right and bottom of the content, as shares of the frame; 0 and 1 without one."""
    has = pictures["content_width"] > 0
    edges = []
    for start, side in (("left", "width"), ("top", "height")):
        frame = np.maximum(pictures[side], 1)
        low = pictures["content_" + start] / frame
        high = low + pictures["content_" + side] / frame
        edges += [np.where(has, low, 0.0), np.where(has, high, 1.0)]
    return edges
