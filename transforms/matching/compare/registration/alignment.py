"""Lucas-Kanade: the geometry of two pictures, made better step by step.

The loops are compiled, in single precision where sums allow it; nothing here depends on the number
of threads.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from cauldron.transforms.compiled import compiled
from cauldron.transforms.matching.compare.registration.geometry import Geometry, covered
from cauldron.transforms.matching.compare.scaling import Plane
from cauldron.transforms.matching.compare.tone import F64

_MOST_STEP = 2.0
_STILL = 0.03
_FEWEST = 8  # pixels a side that can be aligned


def align(first: Plane, second: Plane, geometry: Geometry, iterations: int) -> Geometry:
    """Lucas-Kanade for scale and shift of each axis, and for gain and offset of the brightness.

    Args:
        first, second: 32-bit floats, blurred.
    """
    return Geometry(*_aligned(first, second, *geometry, iterations))


@partial(compiled, fast=True)
def _warp(plane: Any, across: float, right: float, down: float, below: float, out: Any) -> None:
    """As `warped`, into an array of 32-bit floats."""
    high, wide = plane.shape
    height, width = out.shape
    left, part = np.empty(width, np.int64), np.empty(width, np.float32)
    for x in range(width):
        at = wide * (across * ((x + 0.5) / width - 0.5) + right + 0.5) - 0.5
        at = min(max(at, 0.0), wide - 1.0)
        left[x] = min(int(at), wide - 2)
        part[x] = at - left[x]
    row = np.empty(wide, np.float32)
    for y in range(height):
        at = high * (down * ((y + 0.5) / height - 0.5) + below + 0.5) - 0.5
        at = min(max(at, 0.0), high - 1.0)
        top = min(int(at), high - 2)
        lower = np.float32(at - top)
        for x in range(wide):
            value = np.float32(plane[top, x])
            row[x] = value + lower * (np.float32(plane[top + 1, x]) - value)
        for x in range(width):
            value = row[left[x]]
            out[y, x] = value + part[x] * (row[left[x] + 1] - value)


@partial(compiled, fast=True)
def _add_products(a: Any, b: Any, window: tuple[int, int, int, int], sums: Any) -> None:
    """Sums over a window of the products of any two rows of `shift_of`: the upper triangle.

    In one pass, because NumPy takes seven times as long to write the rows and read them again.

    Args:
        a, b: 32-bit floats of one shape.
        sums: zeros of shape (7, 7), which are filled.
    """
    height, width = b.shape
    x0, y0, x1, y1 = window
    two, unit, level = np.float32(2), np.float32(1 / 16), np.float32(64)
    along = ((np.arange(width) + 0.5) / width - 0.5).astype(np.float32)
    for y in range(max(y0, 1), min(y1, height - 1)):
        a0, a1, a2, b0, b1, b2 = a[y - 1], a[y], a[y + 1], b[y - 1], b[y], b[y + 1]
        down, count = np.float32((y + 0.5) / height - 0.5), 0
        jj = jg = jh = jp = j1 = jr = gg = gh = gp = g1 = gr = np.float32(0)
        hh = hp = h1 = hr = pp = p1 = pr = r1 = np.float32(0)
        for x in range(max(x0, 1), min(x1, width - 1)):
            # Sobel's slopes of the mean of both pictures: g across, h down.
            nw, ne = a0[x - 1] + b0[x - 1], a0[x + 1] + b0[x + 1]
            sw, se = a2[x - 1] + b2[x - 1], a2[x + 1] + b2[x + 1]
            east, south = a1[x + 1] + b1[x + 1], a2[x] + b2[x]
            g = (ne + se - nw - sw + two * (east - a1[x - 1] - b1[x - 1])) * unit
            h = (sw + se - nw - ne + two * (south - a0[x] - b0[x])) * unit
            j, p, r = g * along[x], a1[x], b1[x]
            jj, jg, jh, jp, j1, jr = (
                jj + j * j,
                jg + j * g,
                jh + j * h,
                jp + j * p,
                j1 + j,
                jr + j * r,
            )
            gg, gh, gp, g1, gr = gg + g * g, gh + g * h, gp + g * p, g1 + g, gr + g * r
            hh, hp, h1, hr = hh + h * h, hp + h * p, h1 + h, hr + h * r
            pp, p1, pr, r1 = pp + p * p, p1 + p, pr + p * r, r1 + r
            count += 1
        # Rows: j, g, h * down, h, p, 64, r.
        for at, value in enumerate((jj, jg, jh * down, jh, jp, j1 * level, jr)):
            sums[0, at] += value
        for at, value in enumerate((gg, gh * down, gh, gp, g1 * level, gr)):
            sums[1, 1 + at] += value
        for at, value in enumerate((hh * down, hh, hp, h1 * level, hr)):
            sums[2, 2 + at] += value * down
        for at, value in enumerate((hh, hp, h1 * level, hr)):
            sums[3, 3 + at] += value
        for at, value in enumerate((pp, p1 * level, pr)):
            sums[4, 4 + at] += value
        sums[5, 5] += count * level * level
        sums[5, 6] += r1 * level


def shift_of(
    dx: Plane, dy: Plane, x: Plane, y: Plane, a: Plane, b: Plane, weights: Plane | None = None
) -> F64:
    """One least-squares step: changes of scale and shift of each axis, in pixels.

    Args:
        dx, dy: slopes of the grey levels at the compared places.
        x, y: these places, -0.5 to 0.5.
        a, b: the grey levels of both pictures there.
    """
    rows = np.empty((7, len(a)), np.float32)
    for row, values in enumerate((dx * x, dx, dy * y, dy, a, np.float32(64), b)):
        rows[row] = values
    return _solved(product(rows if weights is None else rows * weights, rows))


@compiled
def reach(step: F64) -> float:
    """How far the corners move."""
    return float(max(abs(step[1]) + abs(step[0]) / 2, abs(step[3]) + abs(step[2]) / 2))


@compiled
def _solved(products: F64) -> F64:
    """The step of `shift_of`, from the products of its rows: by elimination."""
    left = products[:6].copy()
    # Keeps what the picture does not determine, such as shifts along its lines. It also makes the
    # matrix positive definite, so that no rows need be exchanged.
    pull = 1e-4 * (left[0, 0] + left[1, 1] + left[2, 2] + left[3, 3]) / 4 + 1e-6
    for at in range(6):
        left[at, at] += pull if at < 4 else 1e-2
    for at in range(6):
        for row in range(at + 1, 6):
            left[row] -= left[at] * (left[row, at] / left[at, at])
    solved = np.zeros(6)
    for at in range(5, -1, -1):
        solved[at] = (left[at, 6] - (left[at, :6] * solved).sum()) / left[at, at]
    step = solved[:4] / max(solved[4], 0.3)
    return step * min(1.0, _MOST_STEP / max(reach(step), 1e-9))


@compiled
def _aligned(
    first: Any,
    second: Any,
    across: float,
    right: float,
    down: float,
    below: float,
    iterations: int,
) -> tuple[float, float, float, float]:
    height, width = second.shape
    moved = np.empty((height, width), np.float32)
    for _ in range(iterations):
        x0, x1 = covered(across, right, width)
        y0, y1 = covered(down, below, height)
        if min(x1 - x0, y1 - y0) < _FEWEST:
            break
        _warp(first, across, right, down, below, moved)
        products = np.zeros((7, 7))
        _add_products(moved, second, (x0, y0, x1, y1), products)
        for row in range(7):
            products[row, :row] = products[:row, row]
        step = _solved(products)
        right, below = right + across * step[1] / width, below + down * step[3] / height
        across, down = across * (1 + step[0] / width), down * (1 + step[2] / height)
        if reach(step) < _STILL:
            break
    return across, right, down, below


_CHUNK = 256


def product(left: Plane, right: Plane) -> F64:
    """``left @ right.T`` for a few rows, in pieces too small for BLAS to start threads.

    Threads would make it slower when all cores compare pictures, and the sum would depend on
    their number.
    """
    count = left.shape[1]
    whole = count - count % _CHUNK
    pieces = [
        plane[:, :whole].reshape(len(plane), -1, _CHUNK).transpose(1, 0, 2)
        for plane in (left, right)
    ]
    total = np.matmul(pieces[0], pieces[1].transpose(0, 2, 1)).sum(axis=0, dtype=np.float64)
    rest: F64 = (left[:, whole:] @ right[:, whole:].T).astype(np.float64)
    return total + rest


def likeness(first: Plane, second: Plane, geometry: Geometry) -> float:
    """Correlation over the area that both show; -1 if that is too small."""
    return round(_correlation(first, second, *geometry), 6)


@partial(compiled, fast=True)
def _correlation(
    first: Any, second: Any, across: float, right: float, down: float, below: float
) -> float:
    height, width = second.shape
    x0, x1 = covered(across, right, width)
    y0, y1 = covered(down, below, height)
    if min(x1 - x0, y1 - y0) < _FEWEST:
        return -1.0
    moved = np.empty((height, width), np.float32)
    _warp(first, across, right, down, below, moved)
    a, b, aa, bb, ab = 0.0, 0.0, 0.0, 0.0, 0.0
    for y in range(y0, y1):
        for x in range(x0, x1):
            one, other = float(moved[y, x]), float(second[y, x])
            a, b, aa = a + one, b + other, aa + one * one
            bb, ab = bb + other * other, ab + one * other
    count = (x1 - x0) * (y1 - y0)
    power = (aa - a * a / count + 1) * (bb - b * b / count + 1)
    return (ab - a * b / count) / power**0.5
