"""The hue of what is drawn, taken together: for thin lines, which scaling and compression fade.

A line one pixel wide keeps half of its colour when it is scaled to half the size, and less with
4:2:0 sampling. Pixel by pixel that is as far apart as two hues are. But what a pixel loses its
neighbours get: averaged over all pixels of a hue and their surroundings, a copy keeps the colour,
and a chart in other colours does not have it.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from cauldron.transforms.matching.compare.scaling import Plane

F32 = npt.NDArray[np.float32]

# Sectors of hue, and the least hue of a pixel that belongs to one, in grey levels.
_SECTORS = 12
_LEAST_HUE = 24.0
_FEWEST = 12
# Pixels around those of a hue that take part, and around these, whose hue is that of the paper.
_AROUND = np.ones((7, 7), np.uint8)
_RIM = np.ones((5, 5), np.uint8)
# Levels of hue that noise explains.
_NOISE = 1.5


def hues_apart(first: Plane, second: Plane) -> float:
    """The largest difference of a hue that one of two pictures has, as a share of it; symmetric.

    Args:
        first, second: (height, width, 3), RGB, registered and of one brightness.
    """
    one, other = (_hues(plane) for plane in (first, second))
    return max(_apart(one, other), _apart(other, one))


def _hues(plane: Plane) -> F32:
    """Each channel less the mean of all."""
    levels = plane.astype(np.float32)
    result: F32 = levels - levels.mean(axis=2, keepdims=True)
    return result


def _apart(one: F32, other: F32) -> float:
    """As `hues_apart`, of the hues of `one`."""
    worst = 0.0
    sectors = _sectors(one)
    counts = np.bincount(sectors.ravel(), minlength=_SECTORS + 1)[:_SECTORS]
    for sector in np.flatnonzero(counts >= _FEWEST):
        around = cv2.dilate((sectors == sector).astype(np.uint8), _AROUND)
        rim = cv2.dilate(around, _RIM) > around
        means = [np.array(cv2.mean(plane, around)[:3]) for plane in (one, other)]
        marks = [mean - _paper(plane, rim) for mean, plane in zip(means, (one, other), strict=True)]
        # Clipping changes the hue of paper; and a bar is not paper, though other colours rim it.
        apart = min(float(np.abs(a - b).max()) for a, b in (means, marks))
        strength = max(float(np.linalg.norm(mark)) for mark in marks)
        worst = max(worst, apart / (strength + _NOISE))
    return worst


def _sectors(hues: F32) -> npt.NDArray[np.intp]:
    """The sector of each pixel; `_SECTORS` where there is too little hue."""
    result = np.full(hues.shape[:2], _SECTORS)
    strong = np.abs(hues).max(axis=2) > _LEAST_HUE
    red, green, blue = hues[strong].T
    angle = np.arctan2((red + green - 2 * blue) / np.sqrt(3), red - green)
    result[strong] = ((angle / (2 * np.pi) + 0.5) * _SECTORS).astype(np.intp) % _SECTORS
    return result


def _paper(hues: F32, rim: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    return np.median(hues[rim], axis=0) if rim.any() else np.zeros(3)
