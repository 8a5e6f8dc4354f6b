"""Lanczos scaling to a small square as matrix products, with the same result as Pillow to the bit.

Pillow computes the filter's weights for every picture. Here they are cached by size. Each direction
takes two matrix products, one for each half of the output, because pixels at one end have no
weight at the other. Microseconds to scale to 32 x 32 on one core:

                        Pillow   one product   two
    107 x 120 pixels        89            34    29
    230 x 230              267           120    80

Computing weights takes 60 to 100 more for each side.

All values are multiples of 2**-22, as in Pillow's fixed-point arithmetic, and far below 2**31. So
floating point is exact, in any order of additions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

# The precision of Pillow's weights (in its Resample.c), and the radius of the filter.
_UNIT = 2.0**-22
_SUPPORT = 3.0

# Above 2**18 multiplications OpenBLAS starts threads. If every core is busy, as in a build, that
# takes 15 ms instead of 0.03.
UNTHREADED = 2**18

# Numbers in a buffer. The C library gets buffers of 128 kB and more from the system each time,
# which costs as much as the work.
_AT_A_TIME = 15_000

# The longest side; a cache entry is then below 100 kB.
LONGEST = 512

# Number of parts in which the output is computed.
_PARTS = 2


def lanczos(pixels: npt.NDArray[Any], extent: tuple[float, float], side: int) -> Matrix:
    """Scale to `side` x `side`.

    Args:
        pixels: whole numbers from 0 to 255, shape (height, width), at most `LONGEST` each.
        extent: width and height that are used, from the upper left corner. It is fractional if
            the last row or column averages a smaller block.
        side: an even number.
    """
    height, width = pixels.shape
    columns, result = np.empty((height, side)), np.empty((side, side))
    across = _parts(width, extent[0], side, columns=True)
    unthreaded = UNTHREADED // max(weights.size for _, _, weights in across)
    step = max(1, min(unthreaded, _AT_A_TIME // width))
    for row in range(0, height, step):
        rows = pixels[row : row + step].astype(np.float64, copy=False)
        for to, of, weights in across:
            np.matmul(rows[:, of], weights, out=columns[row : row + step, to])
    _levels(columns)
    for to, of, weights in _parts(height, extent[1], side, columns=False):
        np.matmul(weights, columns[of], out=result[to])
    return _levels(result)


def _levels(sums: Matrix) -> Matrix:
    """Round to grey levels, in place."""
    sums += 0.5
    np.floor(sums, out=sums)
    return np.clip(sums, 0, 255, out=sums)


@lru_cache(maxsize=512)
def _parts(
    count: int, extent: float, side: int, columns: bool
) -> list[tuple[slice, slice, Matrix]]:
    """For each part: its output pixels, the input pixels that they depend on, and the weights.

    Args:
        columns: the weights have a column for each output pixel, not a row. A product is twice as
            fast if its factors are in memory in the order in which they are read.
    """
    weights, parts = _weights(count, extent, side), []
    for row in range(0, side, side // _PARTS):
        to = slice(row, row + side // _PARTS)
        used = np.flatnonzero(weights[to].any(axis=0))
        of = slice(int(used[0]), int(used[-1]) + 1)
        part = weights[to, of]
        parts.append((to, of, np.ascontiguousarray(part.T if columns else part)))
    return parts


def _weights(count: int, extent: float, side: int) -> Matrix:
    """The weight of each of `count` input pixels in each output pixel, shape (side, count)."""
    scale = float(np.float32(extent)) / side  # single precision, as in Pillow
    stretch = max(scale, 1.0)
    centre = (np.arange(side) + 0.5) * scale
    reach = _SUPPORT * stretch
    first = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
    end = np.minimum((centre + reach + 0.5).astype(np.int64), count)
    place = first[:, None] + np.arange((end - first).max())
    away = (place - centre[:, None] + 0.5) * (1 / stretch)
    inside = (place < end[:, None]) & (away >= -_SUPPORT) & (away < _SUPPORT)
    found: Any = np.where(inside, np.sinc(away) * np.sinc(away / _SUPPORT), 0.0)
    found /= found.sum(axis=1, keepdims=True) * _UNIT
    result = np.zeros((side, count + place.shape[1]))
    # Rounded to the nearest unit, halves away from zero.
    exact = np.trunc(found + np.copysign(0.5, found)) * _UNIT
    np.put_along_axis(result, place, exact, axis=1)
    return result[:, :count]
