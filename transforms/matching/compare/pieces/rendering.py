"""The same page in another rendering: a verdict of its own, on drawings that are not the same.

A page of a PDF at another resolution has the same letters, each fitted anew to the grid of pixels.
No comparison of pixels tells that from one other character in every case, so such pages are never
`SAME`. But a word or an amount that differs is far from anything that a renderer does. Both pages
are brought to the size of the coarser one. Around each place the finer one is moved by up to a
pixel, to where an area about as wide as a letter agrees best. The squared difference that is left,
averaged over about two letters, is divided by the variance of grey levels there (*rest*). The worst
place of the page decides, next to the other places of the same page.

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

# The largest rest of a page in multiples of the rest that nine of ten places with ink are below:
# where nothing was rendered anew, one other digit of a scaled copy leaves little. Of 120 unchanged
# drawn pages, black and grey ones, in three pairs of resolutions, the largest was 3.3; with a word
# or an amount changed (137 pages) the least was 4.2, `the` and `due` of 8 points at 96 dpi.
_MOST_TIMES = 3.7
# A smaller rest always passes, and a larger one never. Of the same pages unchanged ones reached
# 0.25, and with a word changed the least was 0.31.
_LEAST_REST, MOST_REST = 0.03, 0.28

# Pixels, at the size that is worked at: the blur of both; the area that is moved as one; the height
# and width over which errors are averaged, and contrast is.
_BLUR = 0.7
_LETTER = (7, 7)
_WORD = (13, 7)
_AROUND = (25, 15)
# Down and across, in halves of a pixel.
_FARTHEST = 2
_MOVES = [
    (down, across)
    for down in range(-_FARTHEST, _FARTHEST + 1)
    for across in range(-_FARTHEST, _FARTHEST + 1)
]
# Pixels around an area that moves bring in, and what moves it by half a pixel.
_EDGE = _FARTHEST // 2 + 1
_HALFWAY = np.array([[[1, 0, 0], [0, 1, -0.5]], [[1, 0, -0.5], [0, 1, 0]]], np.float32)
# Squared grey levels that are added to contrast: noise of JPEG on paper is no rest.
_PAPER = 60.0

# The largest rest of two pages at `MIDDLE_SIDE`, where nothing is moved: cheap, and far apart. Of
# 168 pages that get the verdict (drawn, grey and real ones, three pairs of resolutions) the largest
# was 2.7; half of 361 look-alikes of another size are above 10.
_MOST_UNMOVED = 4.0
# The same areas there, where a letter is half as large, and the blur.
_LETTER_MIDDLE, _WORD_MIDDLE, _AROUND_MIDDLE, _BLUR_MIDDLE = (5, 5), (7, 5), (13, 9), 0.7

# Height and width of places that are counted, the least variance where there is ink, and the share
# of such places that is told.
_CELL, _INK, _USUAL = (8, 16), 200.0, 0.9
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


def least_alike(first: Prepared, second: Prepared) -> float | None:
    """How far down two pages differ most, 0 to 1, where nothing is moved. Symmetric.

    Returns:
        None if they differ there by more than any rendering does.
    """
    size = tuple(min(sides) for sides in zip(first.middle.shape, second.middle.shape, strict=True))
    a, b = (
        _blurred(cv2.resize(one.middle, size[::-1], interpolation=cv2.INTER_AREA), _BLUR_MIDDLE)
        for one in (first, second)
    )
    apart = a - b
    contrast = (_variance(a, _AROUND_MIDDLE) + _variance(b, _AROUND_MIDDLE)) * 0.5 + _PAPER
    rest = cv2.blur(cv2.blur(apart * apart, _LETTER_MIDDLE), _WORD_MIDDLE) / contrast
    at = int(rest.argmax())
    return None if rest.flat[at] > _MOST_UNMOVED else at / rest.size


def compare_renderings(first: Plane, second: Plane, look_at: float = 0.0) -> Comparison | None:
    """Whether two pages are one in two renderings; None if they are not. Symmetric.

    Args:
        first, second: greys of the whole pages, in bytes, of sizes that may be another rendering's.
        look_at: how far down they may differ most. It is looked at first, to end sooner.
    """
    worst, usual = rest_of(first, second, look_at)
    most = min(MOST_REST, max(_LEAST_REST, _MOST_TIMES * usual))
    if worst > most:
        return None
    return Comparison(round(1 - (1 - BAR) * worst / most, 4), drawing=True, same=True)


def rest_of(first: Plane, second: Plane, look_at: float = 0.0) -> tuple[float, float]:
    """The largest rest at a place, and what nine of ten places with ink are below. Symmetric.

    Ends at a place above `MOST_REST`; then the second is 0.

    Args:
        first, second, look_at: as of `compare_renderings`.
    """
    finer, coarser = sorted(
        (first, second), key=lambda plane: (plane.size, plane.shape), reverse=True
    )
    height, width = coarser.shape
    factor = min(1.0, math.sqrt(_WORKED / coarser.size))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    a, b = (cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (finer, coarser))
    worst, usual = 0.0, [np.zeros(0, np.float32)]
    likeliest = int(look_at * size[1])
    # The rows with that place first.
    for top in sorted(range(0, size[1], _ROWS), key=lambda top: abs(top + _ROWS // 2 - likeliest)):
        start, stop = max(0, top - _RIM), min(size[1], top + _ROWS + _RIM)
        rows = slice(top - start, top - start + _ROWS)
        rest, contrast = (plane[rows] for plane in _rest(a[start:stop], b[start:stop]))
        worst = max(worst, float(rest.max()))
        if worst > MOST_REST:
            return worst, 0.0
        cells, inked = (_cells(plane) for plane in (rest, contrast))
        usual.append(cells[inked > _INK])
    found = np.concatenate(usual)
    return worst, float(np.quantile(found, _USUAL)) if len(found) else 0.0


def _cells(plane: F32) -> F32:
    """The largest value in each `_CELL`; what is left over at the ends is left out."""
    down, across = _CELL
    rows, columns = plane.shape[0] // down, plane.shape[1] // across
    whole = plane[: rows * down, : columns * across].reshape(rows, down, columns, across)
    return whole.max(axis=(1, 3)).ravel()


def _blurred(plane: Plane, by: float) -> F32:
    blurred: Any = cv2.GaussianBlur(plane.astype(np.float32), (0, 0), by)
    return blurred


def _rest(finer: Plane, coarser: Plane) -> tuple[F32, F32]:
    """Of rows of both at one size; and the variance of grey levels that it is a part of."""
    a, b = _blurred(finer, _BLUR), _blurred(coarser, _BLUR)
    contrast = (_variance(a, _AROUND) + _variance(b, _AROUND)) * 0.5
    height, width = b.shape
    wide = cv2.copyMakeBorder(a, _EDGE, _EDGE, _EDGE, _EDGE, cv2.BORDER_REPLICATE)
    # Halfway between pixels down, across, and both.
    lower, right = (cv2.warpAffine(wide, by, wide.shape[::-1]) for by in _HALFWAY)
    moved = {(0, 0): wide, (1, 0): lower, (0, 1): right}
    moved[1, 1] = cv2.warpAffine(lower, _HALFWAY[1], wide.shape[::-1])
    least: Any = None
    for down, across in _MOVES:
        y, x = _EDGE + down // 2, _EDGE + across // 2
        apart = moved[down % 2, across % 2][y : y + height, x : x + width] - b
        error = cv2.blur(apart * apart, _LETTER)
        least = error if least is None else cv2.min(least, error)
    return cv2.blur(least, _WORD) / (contrast + _PAPER), contrast


def _variance(plane: F32, around: Size) -> F32:
    mean = cv2.blur(plane, around)
    variance: F32 = cv2.blur(plane * plane, around) - mean * mean
    return variance
