"""The exact geometry of two registered pictures, and how the second is made from the first.

Copies have exact geometries: a resize keeps the whole frame, a crop cuts at whole pixels. So such
geometries near the coarse one are tried first, then those that the pixels suggest. How the second
picture was resampled is unknown: a kernel of 5 x 5 is fitted that makes it from the first. It can
represent blur, sharpening and a small shift, but no different digit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from cauldron.transforms.compiled import compiled
from cauldron.transforms.matching.compare.neighbours import contrast
from cauldron.transforms.matching.compare.prepared import Prepared
from cauldron.transforms.matching.compare.registration.alignment import product, reach, shift_of
from cauldron.transforms.matching.compare.registration.geometry import Geometry
from cauldron.transforms.matching.compare.registration.locate import whole_frame
from cauldron.transforms.matching.compare.scaling import Plane, resampled
from cauldron.transforms.matching.compare.tone import F64, evenly, fit_tone, grey_samples
from cauldron.transforms.matching.compare.whole_frame import SMALLEST
from PIL import Image

# Box averaging aliases, so no kernel can turn bicubic into it.
BICUBIC, BOX = Image.Resampling.BICUBIC, Image.Resampling.BOX


@dataclass(frozen=True, slots=True)
class Fit:
    """How the second picture is made from the first.

    Attributes:
        cost: mean error at edges, in grey levels.
        resampling: how `first` was brought to the grid of the second picture.
        first, second: the area that both show.
        edges: places in their flat arrays where either has an edge.
        kernel, offset: make the second from the first; None if there is no edge to fit to.
        relit: whether they have been brought to one brightness.
    """

    cost: float
    geometry: Geometry
    resampling: Image.Resampling
    first: Plane
    second: Plane
    edges: npt.NDArray[np.int64]
    kernel: Plane | None = None
    offset: float = 0.0
    relit: bool = False

    @property
    def other_light(self) -> bool:
        return self.relit or (
            self.kernel is not None and abs(float(self.kernel.sum()) - 1) > _SAME_GAIN
        )

    def predicted(self) -> Plane:
        """The second picture, made from the first."""
        if self.kernel is None:
            return self.first.astype(np.float32)
        plane = cv2.filter2D(
            self.first.astype(np.float32), -1, self.kernel, borderType=cv2.BORDER_REPLICATE
        )
        return np.clip(plane + np.float32(self.offset), 0, 255)


# Pictures with fewer edge pixels than this count as blank.
FEWEST_EDGES = 100
_MOST_EDGES = 6000
# If one picture has so many times the edge pixels of the other, they are not fitted.
_ONLY_IN_ONE = 4
_EDGE = 24
_SAME_GAIN = 0.05
_REACH = 2  # of the kernel
_EXACT = 0.4
_WORTH_MOVING = 0.05
_ROUNDS = 2
# Distances in pixels of the coarse geometry from the whole frame: up to the first only the whole
# frame is tried, from the second on it is not tried.
_AT_FRAME = 0.6
_NEAR_FRAME = 3.0


def refine(first: Prepared, second: Prepared, start: Geometry) -> Fit | None:
    """The best fit near a coarse geometry, `first` the finer picture.

    Returns:
        None if they share too little.
    """
    return _Refiner(first, second).refine(start)


class _Refiner:
    """Geometries of one pair, and the best so far."""

    def __init__(self, first: Prepared, second: Prepared) -> None:
        self._first, self._second = first.greys, second.greys
        self._frame = first.frame
        self._whole_frame = whole_frame(first, second)
        self._height, self._width = second.greys.shape
        self._best: Fit | None = None
        self._tried: set[Geometry] = set()

    def refine(self, start: Geometry) -> Fit | None:
        away = start.apart(self._whole_frame, self._width, self._height)
        near = [self._whole_frame] if away < _NEAR_FRAME else []
        others = [self._whole(start), start] if away > _AT_FRAME else []
        self._try(near + others, (BICUBIC, BOX))
        for _ in range(_ROUNDS):
            best = self._best
            if best is None or best.kernel is None or best.cost < _EXACT:
                break
            step = self._motion(best)
            if not reach(step) > _WORTH_MOVING:
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
        """The nearest one that begins at whole pixels of the first picture, as crops do."""
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
        if len(edges) < FEWEST_EDGES or (len(edges) < _MANY_EDGES and _only_in_one(a, b)):
            return Fit(float("inf"), geometry, resampling, a, b, edges)
        return fitted(Fit(0.0, geometry, resampling, a, b, edges))

    def _rendered(
        self, geometry: Geometry, resampling: Image.Resampling, window: tuple[int, int, int, int]
    ) -> Plane:
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
        return resampled(self._first, x1 - x0, y1 - y0, box, cubic=resampling == BICUBIC)

    def _motion(self, fit: Fit) -> F64:
        """The step that aligns the edges best, robust against outliers."""
        x0, y0, *_ = fit.geometry.window(self._width, self._height)
        edges, width = fit.edges, fit.first.shape[1]
        a, b = fit.first.ravel(), fit.second.ravel()

        def at(plane: Plane, by: int) -> Plane:
            return plane[edges + by].astype(np.float32)

        dx = (at(a, 1) - at(a, -1) + at(b, 1) - at(b, -1)) / 4
        dy = (at(a, width) - at(a, -width) + at(b, width) - at(b, -width)) / 4
        row, column = np.divmod(edges, width)
        x = ((column + x0 + 0.5) / self._width - 0.5).astype(np.float32)
        y = ((row + y0 + 0.5) / self._height - 0.5).astype(np.float32)
        error = np.abs(at(a, 0) - at(b, 0))
        weights = np.minimum(1, (2 * np.median(error) + 4) / (error + 1e-3)).astype(np.float32)
        return shift_of(dx, dy, x, y, at(a, 0), at(b, 0), weights)


def _relit(fit: Fit) -> Fit:
    """The fit at equal brightness, if that is better."""
    if fit.kernel is None:
        return fit
    tone = fit_tone(*grey_samples(fit.first, fit.second))
    if tone.equal:
        return fit
    a, b = tone.level(fit.first, fit.second)
    found = fitted(replace(fit, first=a, second=b, edges=_edges(a, b), relit=True))
    return found if found.cost < fit.cost else fit


def _whole_axis(scale: float, shift: float, pixels: float) -> tuple[float, float]:
    wide = round(scale * pixels)
    start = round((-0.5 * scale + shift + 0.5) * pixels)
    return wide / pixels, (start + wide / 2) / pixels - 0.5


def _edges(first: Plane, second: Plane) -> npt.NDArray[np.int64]:
    """Places in the flat arrays where either picture has an edge."""
    return edges_of(cv2.max(contrast(first), contrast(second)), _MOST_EDGES)


def edges_of(strength: Plane, most: int) -> npt.NDArray[np.int64]:
    """At most so many places of edges in the flat array of contrast, whose rim is set to 0."""
    strength[:_REACH] = strength[-_REACH:] = 0
    strength[:, :_REACH] = strength[:, -_REACH:] = 0
    return evenly(np.flatnonzero(strength.ravel() > _EDGE), most)


def _only_in_one(first: Plane, second: Plane) -> bool:
    """Whether nearly all edges are in one of the two. A kernel and a tone could hide them: a blank
    page is not the same as one with a page number."""
    counts = [np.count_nonzero(contrast(plane) > _EDGE) for plane in (first, second)]
    return bool(min(counts) * _ONLY_IN_ONE < max(counts))


# Pulls the kernel towards the identity, in squared grey levels; more if there are too few edges to
# tell a blur from a different digit.
_RIDGE = 30.0
_MANY_EDGES = 1500
_MOST_ERROR = 30.0


def fitted(fit: Fit) -> Fit:
    """The fit with the kernel and offset of the least squared error at the edges."""
    span, edges = range(-_REACH, _REACH + 1), fit.edges
    rows = np.empty((len(span) ** 2 + 2, len(edges)), np.float32)
    _neighbours(fit.first.ravel(), edges, fit.first.shape[1], rows)
    rows[-2], rows[-1] = 64, fit.second.ravel()[edges]
    products = product(rows, rows)
    normal, right = products[:-1, :-1], products[:-1, -1]
    ridge = _RIDGE * max(len(edges), _MANY_EDGES)
    normal[np.diag_indices_from(normal)] += ridge
    right[len(span) ** 2 // 2] += ridge
    solved = np.linalg.solve(normal, right).astype(np.float32)
    error = np.abs(rows[-1] - solved @ rows[:-1])
    return replace(
        fit,
        cost=round(float(np.minimum(error, _MOST_ERROR).mean()), 4),
        kernel=solved[:-1].reshape(len(span), len(span)),
        offset=float(solved[-1]) * 64,
    )


@compiled
def _neighbours(flat: Any, edges: Any, width: int, rows: Any) -> None:
    """Fill a row for each place within `_REACH` of the edges, from top left to bottom right."""
    side = 2 * _REACH + 1
    for row in range(side * side):
        by = (row // side - _REACH) * width + row % side - _REACH
        for at in range(len(edges)):
            rows[row, at] = np.float32(flat[edges[at] + by])
