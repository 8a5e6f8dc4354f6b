"""Local features of a picture: ORB descriptors at one or several working sizes.

A picture is scaled to about `SIDE` pixels on the longest side, so that a copy in other pixels has
the same features. ORB's pyramid of eight levels covers parts that are shown up to 3.6 times
smaller. The scale is a power of the pyramid's step: a crop that was not scaled then has levels of
the same scales as the whole, and small letters look the same in both.

Features are taken from all of the picture, not where it has most corners: text beside a photograph
would otherwise leave none for the photograph. And they are taken from all levels: at the fine ones
letters are all alike, at the coarse ones a feature covers a word.
"""

from __future__ import annotations

import io
import math
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

# Pixels on the longest side.
SIDE = 640
# A picture of so many pixels on the longest side is scaled to these, with more features: it may be
# a collage, whose tiles have too few at `SIDE`.
LARGE = 1000
LARGE_FEATURES = 1600
# Of a picture in all of its `CELLS` x `CELLS` cells.
MOST_FEATURES = 800
CELLS = 8

# Bytes of a descriptor.
WIDTH = 32
_LEVELS = 8
_STEP = 1.2
_PATCH = 31
# Strips that are narrower at the working size have no features.
_SHORTEST = 48
_EDGE = 16
# Contrast of a corner; the smaller one where there are few.
_CONTRASTS = (8, 3)
# Corners that are looked at for each one that is taken.
_CANDIDATES = 3

Points = npt.NDArray[np.float32]
Descriptors = npt.NDArray[np.uint8]
Grey = npt.NDArray[np.uint8]


class Features(NamedTuple):
    """Local features of a picture.

    Attributes:
        size: width and height of the stored picture.
        points: (n, 2), x and y as shares of width and height, 0 to 1.
        descriptors: (n, `WIDTH`).
    """

    size: tuple[int, int]
    points: Points
    descriptors: Descriptors


def read_grey(data: bytes, side: int = SIDE) -> tuple[Grey, tuple[int, int]]:
    """A stored picture (JPEG, PNG or WebP) in grey, not much larger than `side`; and its size."""
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
        size = image.size
        factor = side / max(size)
        if factor < 1:
            image.draft("L", (max(1, int(size[0] * factor)), max(1, int(size[1] * factor))))
        return np.asarray(image.convert("L")), size


def searched_features(data: bytes, size: tuple[int, int]) -> Features:
    """The features of a training picture of this width and height."""
    if max(size) >= LARGE:
        return features_of(data, LARGE_FEATURES, (LARGE,))
    return features_of(data)


def features_of(
    data: bytes, most: int = MOST_FEATURES, sides: tuple[int, ...] = (SIDE,)
) -> Features:
    """The features of a stored picture.

    Args:
        most: features at each of the sizes.
        sides: working sizes. Those far above the picture's own size are left out.
    """
    grey, size = read_grey(data, round(_STEP * max(sides)))
    longest = max(size)
    wanted = [side for side in sides if side <= 2 * longest] or [min(sides)]
    found = [_features(_scaled(grey, _working(size, side)), most) for side in wanted]
    points, descriptors = (np.concatenate(part) for part in zip(*found, strict=True))
    return Features(size, points, descriptors)


def _working(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height with about `side` pixels on the longest side, by a power of `_STEP`."""
    factor = _STEP ** round(math.log(side / max(size), _STEP))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _scaled(grey: Grey, size: tuple[int, int]) -> Grey:
    how = cv2.INTER_AREA if size[0] < grey.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, size, interpolation=how), dtype=np.uint8)


def _features(grey: Grey, most: int) -> tuple[Points, Descriptors]:
    if min(grey.shape) < _SHORTEST:
        return np.zeros((0, 2), np.float32), np.zeros((0, WIDTH), np.uint8)
    detector, corners = _corners(grey, most, _CONTRASTS[0])
    if len(corners) < most // 2:
        detector, corners = _corners(grey, most, _CONTRASTS[1])
    corners = _spread(corners, grey.shape, most)
    corners, descriptors = detector.compute(grey, corners)
    if descriptors is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, WIDTH), np.uint8)
    height, width = grey.shape
    points = np.array([corner.pt for corner in corners], np.float32)
    places = (points + 0.5) / np.array([width, height], np.float32)
    return np.asarray(places, np.float32), np.asarray(descriptors, np.uint8)


def _corners(grey: Grey, most: int, contrast: int) -> tuple[Any, Any]:
    """A detector, and the corners that it finds."""
    create: Any = cv2.ORB_create  # type: ignore[attr-defined]
    detector = create(
        nfeatures=_CANDIDATES * most,
        scaleFactor=_STEP,
        nlevels=_LEVELS,
        edgeThreshold=_EDGE,
        patchSize=_PATCH,
        fastThreshold=contrast,
    )
    return detector, detector.detect(grey, None)


def _spread(corners: Any, shape: tuple[int, ...], most: int) -> list[Any]:
    """The strongest corners of each level in each cell; where there are few, others have more."""
    if len(corners) <= most:
        return list(corners)
    height, width = shape
    order = sorted(corners, key=lambda one: (-one.response, one.octave, one.pt))
    points = np.array([one.pt for one in order])
    cell = (points[:, 1] * CELLS // height) * CELLS + points[:, 0] * CELLS // width
    group = cell * _LEVELS + np.array([one.octave for one in order])
    by_group = np.argsort(group, kind="stable")
    new = np.flatnonzero(np.diff(group[by_group], prepend=-1))
    rank = np.empty(len(order), dtype=np.int64)
    rank[by_group] = np.arange(len(order)) - np.repeat(new, np.diff([*new, len(order)]))
    return [order[at] for at in np.lexsort([np.arange(len(order)), rank])[:most]]
