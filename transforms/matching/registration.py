"""Where one picture lies in another: scale and shift by axis, found coarsely, then exactly.

Crops, borders and resizes need no more, and text needs no less: a crop of 2 % moves a line by
more than its strokes. Coarse registration (Lucas-Kanade from 32 to 256 pixels a side) is right to
a quarter of a pixel at 256; what people do to pictures is exact, so geometries of whole pixels
near it are tried first, then what the pixels themselves ask for. How the second picture was
resampled is not known, so a kernel is fitted that makes it of the first: it takes up blur,
sharpening and what is left of a shift, and cannot take up a digit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from transforms.matching.greys import (
    F32,
    F64,
    U8,
    Prepared,
    contrast,
    evenly,
    fit_tone,
    grey_samples,
)

BICUBIC, BOX = Image.Resampling.BICUBIC, Image.Resampling.BOX


class Geometry(NamedTuple):
    """Place in the first picture = scale * place in the second + shift; frames go from -0.5 to 0.5."""

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

    def window(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the second picture's pixels that the first one covers."""
        x0, x1 = _covered(self.across, self.right, width)
        y0, y1 = _covered(self.down, self.below, height)
        return x0, y0, x1, y1


def _covered(scale: float, shift: float, pixels: int) -> tuple[int, int]:
    # Geometries of whole pixels come out a rounding error off their edges.
    low = ((-0.5 - shift) / scale + 0.5) * pixels - 1e-6
    high = ((0.5 - shift) / scale + 0.5) * pixels + 1e-6
    return max(0, int(np.ceil(low))), min(pixels, int(np.floor(high)))


# Frames that differ by more than this by scale are no copies of each other.
_MOST_SCALE = 0.2
_ITERATIONS = 5
_MOST_STEP = 2.0
_GOOD = 0.95
_CERTAIN = 0.97


def locate(first: Prepared, second: Prepared) -> Geometry:
    """Where `second` lies in `first`, to about a quarter of a pixel at 256 a side."""
    tried: list[tuple[float, Geometry]] = []
    for start in _starts(first, second):
        tried.append((_likeness(first.levels[2], second.levels[2], start), start))
        for level in range(3):
            found = start
            for at in range(level, 3):
                found = _align(first.levels[at], second.levels[at], found, _ITERATIONS)
            if max(abs(found.across - 1), abs(found.down - 1)) > _MOST_SCALE:
                continue
            tried.append((_likeness(first.levels[2], second.levels[2], found), found))
            if tried[-1][0] > _GOOD:
                break
        if max(tried)[0] > _CERTAIN:
            break
    best = max(tried)[1]
    finer = _align(first.levels[3], second.levels[3], best, 3)
    planes = first.levels[3], second.levels[3]
    return finer if _likeness(*planes, finer) >= _likeness(*planes, best) else best


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


def warped(plane: U8 | F32, geometry: Geometry, width: int, height: int) -> U8 | F32:
    """The first picture on the second one's grid, bilinearly; both of about one scale."""
    high, wide = plane.shape[:2]
    matrix = np.array(
        [
            [geometry.across * wide / width, 0, 0],
            [0, geometry.down * high / height, 0],
        ]
    )
    matrix[0, 2] = wide * (geometry.across * (0.5 / width - 0.5) + geometry.right + 0.5) - 0.5
    matrix[1, 2] = high * (geometry.down * (0.5 / height - 0.5) + geometry.below + 0.5) - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(
        plane, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, dtype=plane.dtype)


def _align(first: U8, second: U8, geometry: Geometry, iterations: int) -> Geometry:
    """Lucas-Kanade for scale and shift by axis, and for gain and offset of the light."""
    height, width = second.shape
    a, b = (cv2.GaussianBlur(plane.astype(np.float32), (0, 0), 0.7) for plane in (first, second))
    for _ in range(iterations):
        x0, y0, x1, y1 = geometry.window(width, height)
        if x1 - x0 < 8 or y1 - y0 < 8:
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
        step = _step(dx, dy, x.ravel(), y.ravel(), moved[inside].ravel(), b[inside].ravel())
        geometry = geometry.moved(step, width, height)
        if _reach(step) < 0.01:
            break
    return geometry


def _step(dx: F32, dy: F32, x: F32, y: F32, a: F32, b: F32, weights: F32 | None = None) -> F64:
    """One least-squares step: changes of scale and shift by axis, in pixels."""
    rows = np.stack([dx * x, dx, dy * y, dy, a, np.full_like(a, 64)])
    weighted = rows if weights is None else rows * weights
    normal = _product(weighted, rows)
    # Keeps still what a picture says nothing about, such as shifts along its lines.
    normal[range(4), range(4)] += 1e-4 * np.trace(normal[:4, :4]) / 4 + 1e-6
    normal[range(4, 6), range(4, 6)] += 1e-2
    solved = np.linalg.solve(normal, _product(weighted, b[None])[:, 0])
    step: F64 = solved[:4] / max(float(solved[4]), 0.3)
    return step * min(1.0, _MOST_STEP / max(_reach(step), 1e-9))


def _reach(step: F64) -> float:
    """By how much the corners move."""
    return float(max(abs(step[1]) + abs(step[0]) / 2, abs(step[3]) + abs(step[2]) / 2))


_CHUNK = 256


def _product(left: F32, right: F32) -> F64:
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


def _likeness(first: U8, second: U8, geometry: Geometry) -> float:
    """Correlation over what both show; -1 where that is next to nothing."""
    height, width = second.shape
    x0, y0, x1, y1 = geometry.window(width, height)
    if x1 - x0 < 8 or y1 - y0 < 8:
        return -1.0
    a = warped(first.astype(np.float32), geometry, width, height)[y0:y1, x0:x1]
    b = second[y0:y1, x0:x1].astype(np.float32)
    a, b = a - a.mean(), b - b.mean()
    power = (float((a * a).sum()) + 1) * (float((b * b).sum()) + 1)
    return round(float((a * b).sum()) / power**0.5, 6)


@dataclass(frozen=True, slots=True)
class Fit:
    """How the second picture comes out of the first.

    Attributes:
        cost: mean error at edges, in grey levels.
        first, second: what both show, on the second picture's grid.
        kernel, offset: make the second of the first; None where there is no edge to fit to.
    """

    cost: float
    geometry: Geometry
    resampling: Image.Resampling
    first: U8
    second: U8
    kernel: F32 | None
    offset: float
    relit: bool = False

    def predicted(self) -> F32:
        """The second picture, made of the first."""
        if self.kernel is None:
            return self.first.astype(np.float32)
        plane = cv2.filter2D(
            self.first.astype(np.float32), -1, self.kernel, borderType=cv2.BORDER_REPLICATE
        )
        return np.clip(plane + np.float32(self.offset), 0, 255)


# A picture with fewer edge pixels than this is as good as blank.
FEWEST_EDGES = 100
_MOST_EDGES = 6000
_EDGE = 24
_REACH = 2  # of the kernel
_EXACT = 0.4
_WORTH_MOVING = 0.05
_ROUNDS = 2
# Coarse registration this near to the whole frame means it; this far from it, it does not.
_AT_FRAME = 0.6
_NEAR_FRAME = 3.0


class Refiner:
    """Finds the exact geometry of two pictures, `first` the finer one."""

    def __init__(self, first: Prepared, second: Prepared) -> None:
        self._first, self._second = first.greys, second.greys
        self._frame = first.frame
        self._whole_frame = whole_frame(first, second)
        self._height, self._width = second.greys.shape
        self._best: Fit | None = None
        self._tried: set[Geometry] = set()

    def refine(self, start: Geometry) -> Fit | None:
        """The best geometry near `start`; None where next to nothing is in both pictures."""
        away = start.apart(self._whole_frame, self._width, self._height)
        near = [self._whole_frame] if away < _NEAR_FRAME else []
        others = [self._whole(start), start] if away > _AT_FRAME else []
        self._try(near + others, (BICUBIC, BOX))
        for _ in range(_ROUNDS):
            best = self._best
            if best is None or best.kernel is None or best.cost < _EXACT:
                break
            step = self._motion(best)
            if not _WORTH_MOVING < _reach(step) < _MOST_STEP:
                break
            moved = best.geometry.moved(step, self._width, self._height)
            self._try([self._whole(moved), moved], (best.resampling,))
        return _relit(self._best) if self._best else None

    def _try(self, geometries: list[Geometry], resamplings: tuple[Image.Resampling, ...]) -> None:
        for geometry in geometries:
            if geometry in self._tried:
                continue
            self._tried.add(geometry)
            for resampling in resamplings if self._scale(geometry) > 1.02 else (BICUBIC,):
                found = self._fit(geometry, resampling)
                if found and (self._best is None or found.cost < self._best.cost):
                    self._best = found
            if self._best is not None and self._best.cost < _EXACT:
                return

    def _scale(self, geometry: Geometry) -> float:
        height, width = self._first.shape
        return max(geometry.across * width / self._width, geometry.down * height / self._height)

    def _whole(self, geometry: Geometry) -> Geometry:
        """The nearest one of whole pixels of the first picture, as crops before a resize are."""
        wide, high = self._frame
        across, right = _whole_axis(geometry.across, geometry.right, wide)
        down, below = _whole_axis(geometry.down, geometry.below, high)
        return Geometry(across, right, down, below)

    def _fit(self, geometry: Geometry, resampling: Image.Resampling) -> Fit | None:
        x0, y0, x1, y1 = geometry.window(self._width, self._height)
        if x1 - x0 < SMALLEST or y1 - y0 < SMALLEST:
            return None
        a = self._rendered(geometry, resampling, (x0, y0, x1, y1))
        b = self._second[y0:y1, x0:x1]
        edges = _edges(a, b)
        if len(edges) < FEWEST_EDGES:
            return Fit(float("inf"), geometry, resampling, a, b, None, 0.0)
        kernel, offset, cost = _fit_kernel(a, b, edges)
        return Fit(cost, geometry, resampling, a, b, kernel, offset)

    def _rendered(
        self, geometry: Geometry, resampling: Image.Resampling, window: tuple[int, int, int, int]
    ) -> U8:
        height, width = self._first.shape
        x0, y0, x1, y1 = window
        columns, rows = (
            [((at / pixels - 0.5) * scale + shift + 0.5) * size for at in ends]
            for ends, pixels, scale, shift, size in (
                ((x0, x1), self._width, geometry.across, geometry.right, width),
                ((y0, y1), self._height, geometry.down, geometry.below, height),
            )
        )
        box = max(columns[0], 0), max(rows[0], 0), min(columns[1], width), min(rows[1], height)
        whole = [round(value) for value in box]
        if (whole[2] - whole[0], whole[3] - whole[1]) == (x1 - x0, y1 - y0) and all(
            abs(value - near) < 1e-4 for value, near in zip(box, whole, strict=True)
        ):
            return self._first[whole[1] : whole[3], whole[0] : whole[2]]
        image = Image.fromarray(self._first)
        return np.asarray(image.resize((x1 - x0, y1 - y0), resampling, box=box))

    def _motion(self, fit: Fit) -> F64:
        """By how much the edges ask to be moved, robustly."""
        x0, y0, *_ = fit.geometry.window(self._width, self._height)
        edges = _edges(fit.first, fit.second)
        width = fit.first.shape[1]
        a, b = fit.first.ravel(), fit.second.ravel()

        def at(plane: U8, by: int) -> F32:
            return plane[edges + by].astype(np.float32)

        dx = (at(a, 1) - at(a, -1) + at(b, 1) - at(b, -1)) / 4
        dy = (at(a, width) - at(a, -width) + at(b, width) - at(b, -width)) / 4
        row, column = np.divmod(edges, width)
        x = ((column + x0 + 0.5) / self._width - 0.5).astype(np.float32)
        y = ((row + y0 + 0.5) / self._height - 0.5).astype(np.float32)
        error = np.abs(at(a, 0) - at(b, 0))
        weights = np.minimum(1, (2 * np.median(error) + 4) / (error + 1e-3)).astype(np.float32)
        return _step(dx, dy, x, y, at(a, 0), at(b, 0), weights)


# Fewer pixels a side say nothing about geometry.
SMALLEST = 24


def _relit(fit: Fit) -> Fit:
    """The fit in equal light, where that fits better."""
    if fit.kernel is None:
        return fit
    tone = fit_tone(*grey_samples(fit.first, fit.second))
    if tone.equal:
        return fit
    a, b = tone.level(fit.first, fit.second)
    kernel, offset, cost = _fit_kernel(a, b, _edges(a, b))
    if cost >= fit.cost:
        return fit
    return Fit(cost, fit.geometry, fit.resampling, a, b, kernel, offset, True)


def _whole_axis(scale: float, shift: float, pixels: float) -> tuple[float, float]:
    wide = round(scale * pixels)
    start = round((-0.5 * scale + shift + 0.5) * pixels)
    return wide / pixels, (start + wide / 2) / pixels - 0.5


def _edges(first: U8, second: U8) -> npt.NDArray[np.int64]:
    """Where there is something to see in either picture, as places in the flat arrays."""
    strength = np.maximum(contrast(first), contrast(second))
    strength[:_REACH] = strength[-_REACH:] = 0
    strength[:, :_REACH] = strength[:, -_REACH:] = 0
    return evenly(np.flatnonzero(strength.ravel() > _EDGE), _MOST_EDGES)


# Pulls the kernel towards leaving pixels alone, in squared grey levels.
_RIDGE = 30.0
_MOST_ERROR = 30.0


def _fit_kernel(a: U8, b: U8, edges: npt.NDArray[np.int64]) -> tuple[F32, float, float]:
    """Kernel and offset by least squares, and the mean error that they leave."""
    span = range(-_REACH, _REACH + 1)
    flat, width = a.ravel(), a.shape[1]
    rows = np.empty((len(span) ** 2 + 1, len(edges)), np.float32)
    for row, by in enumerate(dy * width + dx for dy in span for dx in span):
        rows[row] = flat[edges + by]
    rows[-1] = 64
    wanted = b.ravel()[edges].astype(np.float32)
    normal, right = _product(rows, rows), _product(rows, wanted[None])[:, 0]
    ridge = _RIDGE * len(edges)
    normal[np.diag_indices_from(normal)] += ridge
    right[len(span) ** 2 // 2] += ridge
    solved = np.linalg.solve(normal, right).astype(np.float32)
    error = np.abs(wanted - _apply(solved, rows))
    cost = round(float(np.minimum(error, _MOST_ERROR).mean()), 4)
    return solved[:-1].reshape(len(span), len(span)), float(solved[-1] * 64), cost


def _apply(solved: F32, rows: F32) -> F32:
    total: F32 = (solved[:, None] * rows).sum(axis=0)
    return total
