"""Where one picture lies in another: scale and shift by axis, to a fraction of a percent.

Crops, borders and resizes need no more, and text needs no less: a crop of 2 % moves a line by
more than its strokes. Lucas-Kanade from 32 to 256 pixels a side, from the whole frame and from
pixels of one size, so that a page of evenly spaced lines does not settle a line off.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from cauldron.transforms.matching.compare.prepared import F64, Plane, Prepared


class Geometry(NamedTuple):
    """Place in the first picture = scale * place in the second + shift; frames are -0.5 to 0.5."""

    across: float
    right: float
    down: float
    below: float

    def inverse(self) -> Geometry:
        return Geometry(
            1 / self.across, -self.right / self.across, 1 / self.down, -self.below / self.down
        )

    def moved(self, by: F64, width: int, height: int) -> Geometry:
        """After a change of scale and shift by axis, in pixels of the second picture."""
        return Geometry(
            self.across * (1 + by[0] / width),
            self.right + self.across * by[1] / width,
            self.down * (1 + by[2] / height),
            self.below + self.down * by[3] / height,
        )

    def apart(self, other: Geometry, width: int, height: int) -> float:
        """By how many pixels of the second picture a corner may lie elsewhere."""
        x = abs(self.right - other.right) + abs(self.across - other.across) / 2
        y = abs(self.below - other.below) + abs(self.down - other.down) / 2
        return max(x * width, y * height)

    def shared(self) -> float:
        """The least share of a side of either picture that lies in the other."""
        across = _overlap(self.across, self.right)
        down = _overlap(self.down, self.below)
        return min(across, across * self.across, down, down * self.down)

    def window(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the second picture's pixels that the first one covers."""
        x0, x1 = _covered(self.across, self.right, width)
        y0, y1 = _covered(self.down, self.below, height)
        return x0, y0, x1, y1


def _overlap(scale: float, shift: float) -> float:
    return min(0.5, (0.5 - shift) / scale) - max(-0.5, (-0.5 - shift) / scale)


def _covered(scale: float, shift: float, pixels: int) -> tuple[int, int]:
    # Geometries of whole pixels come out a rounding error off their edges.
    low = ((-0.5 - shift) / scale + 0.5) * pixels - 1e-6
    high = ((0.5 - shift) / scale + 0.5) * pixels + 1e-6
    return max(0, int(np.ceil(low))), min(pixels, int(np.floor(high)))


# Frames that differ by more than this by scale are no copies of each other.
_MOST_SCALE = 0.2
_ITERATIONS = 4
_MOST_STEP = 2.0
_STILL = 0.03
_FEWEST = 8  # pixels a side that can be aligned
_GOOD = 0.95
_CERTAIN = 0.97


def locate(first: Prepared, second: Prepared) -> Geometry:
    """Where `second` lies in `first`, to about a quarter of a pixel at 256 a side."""
    found, best = whole_frame(first, second), -1.0
    for start in _starts(first, second):
        # As it is; then from coarse to fine; then, where that went astray, from less coarse.
        for level in (3, 0, 1):
            geometry = start
            for at in range(level, 3):
                geometry = _align(first.levels[at], second.levels[at], geometry, _ITERATIONS)
            if max(abs(geometry.across - 1), abs(geometry.down - 1)) > _MOST_SCALE:
                continue
            likeness = _likeness(first.levels[2], second.levels[2], geometry)
            if likeness > best:
                found, best = geometry, likeness
            if level < 3 and likeness > _GOOD:
                break
        if best > _CERTAIN:
            break
    finer = _align(first.levels[3], second.levels[3], found, 3)
    planes = first.levels[3], second.levels[3]
    return finer if _likeness(*planes, finer) >= _likeness(*planes, found) else found


def _starts(first: Prepared, second: Prepared) -> Iterator[Geometry]:
    """The whole frame, and pixels of equal size around one middle: crops and borders."""
    yield whole_frame(first, second)
    across, down = second.frame[0] / first.frame[0], second.frame[1] / first.frame[1]
    if (across, down) != (1, 1) and max(abs(across - 1), abs(down - 1)) < _MOST_SCALE:
        yield Geometry(across, 0.0, down, 0.0)


def whole_frame(first: Prepared, second: Prepared) -> Geometry:
    """Both show all of one picture."""
    across, down = (
        second.frame[axis] / second.size[axis] * first.size[axis] / first.frame[axis]
        for axis in (0, 1)
    )
    return Geometry(across, (across - 1) / 2, down, (down - 1) / 2)


def warped(plane: Plane, geometry: Geometry, width: int, height: int) -> Plane:
    """The first picture on the second one's grid, bilinearly; both of about one scale."""
    high, wide = plane.shape[:2]
    x = wide * (geometry.across * (0.5 / width - 0.5) + geometry.right + 0.5) - 0.5
    y = high * (geometry.down * (0.5 / height - 0.5) + geometry.below + 0.5) - 0.5
    across, down = geometry.across * wide / width, geometry.down * high / height
    matrix = np.array([[across, 0, x], [0, down, y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(
        plane, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )


def _align(first: Plane, second: Plane, geometry: Geometry, iterations: int) -> Geometry:
    """Lucas-Kanade for scale and shift by axis, and for gain and offset of the light."""
    height, width = second.shape
    a, b = (cv2.GaussianBlur(plane.astype(np.float32), (0, 0), 0.7) for plane in (first, second))
    for _ in range(iterations):
        x0, y0, x1, y1 = geometry.window(width, height)
        if min(x1 - x0, y1 - y0) < _FEWEST:
            break
        moved = warped(a, geometry, width, height)
        middle = (moved + b) * 0.5
        inside = slice(y0, y1), slice(x0, x1)
        dx, dy = (
            cv2.Sobel(middle, cv2.CV_32F, *axis, ksize=3, scale=1 / 8)[inside].ravel()
            for axis in ((1, 0), (0, 1))
        )
        x, y = np.meshgrid(
            (np.arange(x0, x1, dtype=np.float32) + 0.5) / width - 0.5,
            (np.arange(y0, y1, dtype=np.float32) + 0.5) / height - 0.5,
        )
        step = shift_of(dx, dy, x.ravel(), y.ravel(), moved[inside].ravel(), b[inside].ravel())
        geometry = geometry.moved(step, width, height)
        if reach(step) < _STILL:
            break
    return geometry


def shift_of(
    dx: Plane, dy: Plane, x: Plane, y: Plane, a: Plane, b: Plane, weights: Plane | None = None
) -> F64:
    """One least-squares step: changes of scale and shift by axis, in pixels.

    Args:
        dx, dy: slopes of the greys, at the places that are compared.
        x, y: those places, -0.5 to 0.5.
        a, b: the greys of both pictures there.
    """
    rows = np.empty((7, len(a)), np.float32)
    for row, values in enumerate((dx * x, dx, dy * y, dy, a, np.float32(64), b)):
        rows[row] = values
    products = product(rows if weights is None else rows * weights, rows)
    normal = products[:6, :6]
    # Keeps still what a picture says nothing about, such as shifts along its lines.
    normal[range(4), range(4)] += 1e-4 * np.trace(normal[:4, :4]) / 4 + 1e-6
    normal[range(4, 6), range(4, 6)] += 1e-2
    solved = np.linalg.solve(normal, products[:6, 6])
    step: F64 = solved[:4] / max(float(solved[4]), 0.3)
    return step * min(1.0, _MOST_STEP / max(reach(step), 1e-9))


def reach(step: F64) -> float:
    """By how much the corners move."""
    return float(max(abs(step[1]) + abs(step[0]) / 2, abs(step[3]) + abs(step[2]) / 2))


_CHUNK = 256


def product(left: Plane, right: Plane) -> F64:
    """``left @ right.T`` for a few rows, in pieces too small for BLAS to start threads for.

    Threads that wait for each other cost more than the sum when all cores compare pictures, and
    the sum would depend on how many there are.
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


def _likeness(first: Plane, second: Plane, geometry: Geometry) -> float:
    """Correlation over what both show; -1 where that is next to nothing."""
    height, width = second.shape
    x0, y0, x1, y1 = geometry.window(width, height)
    if min(x1 - x0, y1 - y0) < _FEWEST:
        return -1.0
    a = warped(first.astype(np.float32), geometry, width, height)[y0:y1, x0:x1]
    b = second[y0:y1, x0:x1].astype(np.float32)
    a, b = a - a.mean(), b - b.mean()
    power = (float((a * a).sum()) + 1) * (float((b * b).sum()) + 1)
    return round(float((a * b).sum()) / power**0.5, 6)
