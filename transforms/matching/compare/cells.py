"""How far a picture is from the one that was made to look like it, in cells of 8 x 8 pixels.

In one pass over rows, with sums of columns that move down by a row each time. With OpenCV's box
filters and NumPy between them it took three times as long.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import cv2
import numpy as np
from cauldron.transforms.compiled import compiled
from cauldron.transforms.matching.compare.neighbours import CELL
from cauldron.transforms.matching.compare.scaling import Plane
from cauldron.transforms.matching.compare.whole_frame import RIM

# Gain and offset are fitted around each pixel, over so many pixels to each side.
_AROUND = 8
# Variance in grey levels squared below which the contrast at a pixel is not trusted.
_FLAT = 100.0
_SHARE = 1 / (2 * _AROUND + 1) ** 2
_LEAST_GAIN, _MOST_GAIN = 0.8, 1.25
# The scale of a stroke: JPEG noise averages out, an additional stroke does not.
_STROKE = cv2.getGaussianKernel(2 * RIM + 1, 0.8).ravel().astype(np.float32)


def cell_errors(predicted: Plane, second: Plane, enough: float) -> tuple[Plane, bool]:
    """The largest error in each cell, after gain and offset fitted around each pixel.

    Errors are blurred at the scale of a stroke; those at the rim count as 0.

    Args:
        predicted: 32-bit floats, at least `SMALLEST` a side.
        second: bytes, of the same shape.
        enough: ends at an error above this.

    Returns:
        Grey levels, and whether it ended early; cells that were not reached are then 0.
    """
    height, width = second.shape
    cells = np.zeros((-(-height // CELL), -(-width // CELL)), np.float32)
    return cells, _add_errors(predicted, second, _STROKE, enough, cells)


@partial(compiled, fast=True)
def _move(a: Any, b: Any, old_a: Any, old_b: Any, sums: Any) -> None:
    """Add a row to the sums of columns of a, b, a * a, a * b, and take another one away."""
    for x in range(len(a)):
        one, other, old, their_old = a[x], np.float32(b[x]), old_a[x], np.float32(old_b[x])
        sums[0, _AROUND + x] += np.float64(one - old)
        sums[1, _AROUND + x] += np.float64(other - their_old)
        sums[2, _AROUND + x] += np.float64(one * one) - np.float64(old * old)
        sums[3, _AROUND + x] += np.float64(one * other) - np.float64(old * their_old)


@partial(compiled, fast=True)
def _reflected(at: int, size: int) -> int:
    """A place beyond an edge as the place before it, the edge itself not repeated."""
    return -at if at < 0 else 2 * size - 2 - at if at >= size else at


@partial(compiled, fast=True)
def _row_errors(a: Any, b: Any, sums: Any, means: Any, out: Any) -> None:
    """What is left of b less a in one row.

    Args:
        means: room for the averages around each pixel.
    """
    width, wide = len(a), sums.shape[1]
    for of in range(4):
        whole, mean = sums[of], means[of]
        for x in range(_AROUND):
            whole[x] = whole[2 * _AROUND - x]
            whole[width + _AROUND + x] = whole[width + _AROUND - 2 - x]
        # Sums of 2, 4, 8 and 16 columns, in place, and one more. Steps that the compiler knows
        # become vectors.
        for x in range(wide - 1):
            mean[x] = np.float32(whole[x]) + np.float32(whole[x + 1])
        for x in range(wide - 3):
            mean[x] = mean[x] + mean[x + 2]
        for x in range(wide - 7):
            mean[x] = mean[x] + mean[x + 4]
        for x in range(wide - 15):
            mean[x] = mean[x] + mean[x + 8]
        for x in range(width):
            mean[x] = (mean[x] + np.float32(whole[x + 2 * _AROUND])) * np.float32(_SHARE)
    least, most, flat = np.float32(_LEAST_GAIN), np.float32(_MOST_GAIN), np.float32(_FLAT)
    m0, m1, m2, m3 = means[0], means[1], means[2], means[3]
    for x in range(width):
        variance = m2[x] - m0[x] * m0[x]
        gain = (m3[x] - m0[x] * m1[x] + flat) / (max(variance, np.float32(0)) + flat)
        gain = min(max(gain, least), most)
        out[x] = (np.float32(b[x]) - m1[x]) - gain * (a[x] - m0[x])


@partial(compiled, fast=True)
def _add_errors(a: Any, b: Any, stroke: Any, enough: float, cells: Any) -> bool:
    height, width = b.shape
    sums = np.zeros((4, width + 2 * _AROUND))
    means = np.empty((4, width + 2 * _AROUND), np.float32)
    nothing, largest = np.zeros(width, np.float32), np.zeros(width, np.float32)
    rows, blurred = np.empty((2 * RIM + 1, width), np.float32), np.empty(width, np.float32)
    for y in range(-_AROUND, _AROUND + 1):
        at = _reflected(y, height)
        _move(a[at], b[at], nothing, nothing, sums)
    for y in range(height):
        _row_errors(a[y], b[y], sums, means, rows[y % len(rows)])
        coming, gone = _reflected(y + _AROUND + 1, height), _reflected(y - _AROUND, height)
        _move(a[coming], b[coming], a[gone], b[gone], sums)
        if y < 2 * RIM:
            continue
        r0, r1, r2 = rows[(y - 4) % 5], rows[(y - 3) % 5], rows[(y - 2) % 5]
        r3, r4 = rows[(y - 1) % 5], rows[y % 5]
        s0, s1, s2 = stroke[0], stroke[1], stroke[2]
        for x in range(width):
            blurred[x] = s0 * (r0[x] + r4[x]) + s1 * (r1[x] + r3[x]) + s2 * r2[x]
        for x in range(width - 2 * RIM):
            error = s0 * (blurred[x] + blurred[x + 4]) + s2 * blurred[x + 2]
            error += s1 * (blurred[x + 1] + blurred[x + 3])
            largest[x + RIM] = max(largest[x + RIM], abs(error))
        if (y - RIM) % CELL == CELL - 1 or y == height - 1:
            line = cells[(y - RIM) // CELL]
            for column in range(len(line)):
                line[column] = largest[column * CELL : column * CELL + CELL].max()
                if line[column] > enough:
                    return True
            largest[:] = 0
    return False
