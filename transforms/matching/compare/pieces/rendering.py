"""The same page in another rendering: a verdict of its own, on drawings that are not simply the same.

A page of a PDF at another resolution has the same letters, each fitted anew to the grid of pixels. No
comparison of pixels tells that from one other character everywhere, so such pages are never `SAME`.
But a word or an amount that differs is far from anything that a renderer does. Both pages are
brought to the size of the coarser one. Around each place the finer one is moved by up to one and a
half pixels, to where the ink about as wide as a letter agrees best. The rest, averaged over about
two letters, is told in parts of the contrast there; the worst place of the page decides.

How many pages get the verdict, and how many changed ones, is in benchmarks/README.md, Pages of a
PDF at another resolution.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from cauldron.transforms.matching.compare.colours import colours_agree
from cauldron.transforms.matching.compare.comparison import BAR, Comparison
from cauldron.transforms.matching.compare.prepared import Prepared
from cauldron.transforms.matching.compare.scaling import Plane

# Width and height.
Size = tuple[int, int]
F32 = npt.NDArray[np.float32]

# Sides of the coarser page in those of the finer one.
_LEAST_SCALE = 0.5
# Pixels that a side may be off one scale: renderers round either way.
_ROUNDED = 1.5
# Larger pages are not looked at: A4 at 400 dpi.
_MOST_PIXELS = 16_800_000
# Pages are compared at up to so many pixels: A4 at 150 dpi.
_WORKED = 2_200_000

# The largest rest at a place, in parts of the contrast there, and of how much of it the coarse look
# at a tenth of the pixels leaves.
MOST_REST = 0.13

# Pixels, at the size that is worked at: the blur of both; the area that is moved as one; the height
# and width over which errors are averaged, and contrast is.
_BLUR = 1.0
_LETTER = (7, 7)
_WORD = (19, 9)
_AROUND = (25, 15)
# Halves of a pixel.
_FARTHEST = 3
_MOVES = sorted(
    (
        (down / 2, across / 2)
        for down in range(-_FARTHEST, _FARTHEST + 1)
        for across in range(-_FARTHEST, _FARTHEST + 1)
    ),
    key=lambda move: (abs(move[0]) + abs(move[1]), move),
)
# Squared grey levels that are added to contrast: noise of JPEG on paper is no rest.
_PAPER = 60.0
# Rows that are compared at a time, and those around them that their averages need.
_ROWS, _RIM = 96, 24


def may_be_other_rendering(first: Size, second: Size) -> bool:
    """Whether two sizes can be those of one page at two resolutions."""
    (wide, high), (width, height) = sorted((first, second), reverse=True)
    if (wide, high) == (width, height) or wide * high > _MOST_PIXELS:
        return False
    scale = math.sqrt(width * height / (wide * high))
    off = max(abs(width - wide * scale), abs(height - high * scale))
    return _LEAST_SCALE <= scale <= 1 and off <= _ROUNDED


def look_alike(first: Prepared, second: Prepared) -> bool:
    """Whether two pictures are drawings with something on them and the same colours. Symmetric."""
    if not (first.drawing and second.drawing) or first.blank or second.blank:
        return False
    return colours_agree(first.colours, second.colours)


def compare_renderings(first: Plane, second: Plane) -> Comparison | None:
    """Whether two pages are one in two renderings; None if they are not. Symmetric.

    Args:
        first, second: as of `rest_of`.
    """
    rest = rest_of(first, second)
    if rest > MOST_REST:
        return None
    return Comparison(round(1 - (1 - BAR) * rest / MOST_REST, 4), drawing=True, same=True)


def rest_of(first: Plane, second: Plane) -> float:
    """The largest rest at a place of two pages; ends at one above `MOST_REST`. Symmetric.

    Args:
        first, second: greys of the whole pages, in bytes, of sizes that may be another rendering's.
    """
    finer, coarser = sorted((first, second), key=lambda plane: (plane.size, plane.shape), reverse=True)
    height, width = coarser.shape
    factor = min(1.0, math.sqrt(_WORKED / coarser.size))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    a, b = (_blurred(plane, size) for plane in (finer, coarser))
    worst = 0.0
    for top in range(0, size[1], _ROWS):
        start, stop = max(0, top - _RIM), min(size[1], top + _ROWS + _RIM)
        rest = _rest(a[start:stop], b[start:stop])[top - start : top - start + _ROWS]
        worst = max(worst, float(rest.max()))
        if worst > MOST_REST:
            break
    return worst


def _blurred(plane: Plane, size: Size) -> F32:
    small = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    blurred: Any = cv2.GaussianBlur(small.astype(np.float32), (0, 0), _BLUR)
    return blurred


def _rest(finer: F32, coarser: F32) -> F32:
    """Of rows of both at one size."""
    contrast = (_variance(finer) + _variance(coarser)) * 0.5
    height, width = finer.shape
    least: Any = None
    for down, across in _MOVES:
        by = np.array([[1, 0, across], [0, 1, down]], np.float32)
        moved = cv2.warpAffine(finer, by, (width, height), borderMode=cv2.BORDER_REPLICATE)
        apart = moved - coarser
        error = cv2.blur(apart * apart, _LETTER)
        least = error if least is None else cv2.min(least, error)
    rest: F32 = cv2.blur(least, _WORD) / (contrast + _PAPER)
    return rest


def _variance(plane: F32) -> F32:
    mean = cv2.blur(plane, _AROUND)
    variance: F32 = cv2.blur(plane * plane, _AROUND) - mean * mean
    return variance
