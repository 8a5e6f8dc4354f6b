"""draft: to be written"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from transforms.matching.greys import (
    F32,
    U8,
    Prepared,
    cell_maxima,
    contrast,
    fit_tone,
    prepare,
    smooth_samples,
    strongest,
)
from transforms.matching.registration import SMALLEST, Fit, Geometry, Refiner, locate, warped

__all__ = ["COMPARE_VERSION", "Comparison", "Prepared", "compare", "prepare"]

COMPARE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Comparison:
    score: float
    drawing: bool
    same: bool


class Difference(NamedTuple):
    """The worst place of two registered pictures, against what their noise explains."""

    structure: float
    colour: float
    light: float


_NOTHING_SHARED = Difference(float("inf"), float("inf"), float("inf"))
_BARS = {True: Difference(2.0, 2.2, 70.0), False: Difference(2.3, 1.15, 70.0)}
_BAR = 0.5


def compare(first: Prepared, second: Prepared) -> Comparison:
    drawing = first.drawing or second.drawing
    worst = _worst(first, second, difference(first, second))
    score = round(max(0.0, 1 - worst * (1 - _BAR)), 4)
    return Comparison(score, drawing, score >= _BAR)


def bars(first: Prepared, second: Prepared) -> Difference:
    return Difference(*map(min, zip(_BARS[first.drawing], _BARS[second.drawing], strict=True)))


def _worst(first: Prepared, second: Prepared, d: Difference) -> float:
    return max(value / bar for value, bar in zip(d, bars(first, second), strict=True))


_COVER = 0.8


def difference(first: Prepared, second: Prepared, early: bool = True) -> Difference:
    if min(*first.greys.shape, *second.greys.shape) < SMALLEST:
        return _tiny(first, second)
    first, second = _ordered(first, second)
    geometry = locate(first, second)
    scale = geometry.across * first.greys.shape[1] / second.greys.shape[1]
    if scale < 0.98 or (scale < 1.02 and second.sharpness > first.sharpness):
        first, second, geometry = second, first, geometry.inverse()
    coarse = _coarse(first, second, geometry)
    if coarse is None:
        return _NOTHING_SHARED
    colour, light = coarse
    if early and (colour > bars(first, second).colour or light > bars(first, second).light):
        return Difference(0.0, colour, light)
    fit = Refiner(first, second).refine(geometry)
    if fit is None:
        return _NOTHING_SHARED
    return Difference(_structure(fit, first, second)[0], colour, light)


def _ordered(first: Prepared, second: Prepared) -> tuple[Prepared, Prepared]:
    def key(picture: Prepared) -> tuple[int, float]:
        return picture.greys.size, picture.sharpness

    def content(picture: Prepared) -> tuple[bytes, bytes]:
        return picture.greys.tobytes(), picture.colours.tobytes()

    if key(first) == key(second):
        swap = content(first) < content(second)
    else:
        swap = key(first) < key(second)
    return (second, first) if swap else (first, second)


def _tiny(first: Prepared, second: Prepared) -> Difference:
    if first.size != second.size:
        return _NOTHING_SHARED
    light, colour = (
        float(np.abs(a.astype(np.int16) - b).max())
        for a, b in ((first.greys, second.greys), (first.colours, second.colours))
    )
    return Difference(max(light, colour) / 12, 0.0, 0.0)


_ALIKE = np.full((1, 3), 1 / 3, np.float32)
_CHROMA = np.eye(3, dtype=np.float32) - 1 / 3
_SEVEN = np.ones((7, 7), np.uint8)


def _coarse(first: Prepared, second: Prepared, geometry: Geometry) -> tuple[float, float] | None:
    height, width = second.colours.shape[:2]
    x0, y0, x1, y1 = geometry.window(width, height)
    w, h = (x1 - x0) / width, (y1 - y0) / height
    if min(w, h, w * geometry.across, h * geometry.down) < _COVER:
        return None
    moved = warped(first.colours, geometry, width, height)
    a, b = (np.ascontiguousarray(plane[y0:y1, x0:x1]) for plane in (moved, second.colours))
    a, b = fit_tone(*smooth_samples(a, b)).level(a, b)
    apart = cv2.blur(b.astype(np.float32) - a, (3, 3))
    light = np.abs(cv2.transform(apart, _ALIKE))
    chroma = strongest(np.abs(cv2.transform(apart, _CHROMA)))
    span = cv2.max(_chroma_range(a), _chroma_range(b))
    cells = cell_maxima(chroma / (1 + span / 80), 4)
    colour = float(cells.max()) / (min(_quantile(cells, 0.95), 10.0) + 6)
    return colour, float(light.max())


def _chroma_range(plane: U8) -> F32:
    chroma = cv2.transform(plane.astype(np.float32), _CHROMA)
    return strongest(cv2.dilate(chroma, _SEVEN) - cv2.erode(chroma, _SEVEN))


def _quantile(cells: F32, share: float) -> float:
    flat = cells.ravel()
    at = min(int(len(flat) * share), len(flat) - 1)
    return float(np.partition(flat, at)[at])


_CELL = 8
_INK = 40


def _structure(fit: Fit, first: Prepared, second: Prepared) -> tuple[float, float, float, int]:
    a, b = fit.predicted(), fit.second.astype(np.float32)
    kernel = (17, 17)
    ma, mb = cv2.blur(a, kernel), cv2.blur(b, kernel)
    va = cv2.blur(a * a, kernel) - ma * ma
    shared = cv2.blur(a * b, kernel) - ma * mb
    gain = np.clip((shared + 100) / (np.maximum(va, 0) + 100), 0.8, 1.25)
    rest = (b - mb) - gain * (a - ma)
    error = np.abs(cv2.GaussianBlur(rest, (5, 5), 0.8))
    error[:2] = error[-2:] = 0
    error[:, :2] = error[:, -2:] = 0
    cells = cell_maxima(error, _CELL)
    ink = cell_maxima(cv2.max(contrast(fit.first), contrast(fit.second)), _CELL) > _INK
    inked = np.sort(cells[ink])[::-1]
    rank = max(len(inked), 64) // 4
    noise = float(inked[rank]) if rank < len(inked) else 0.0
    unequal = fit.relit or (fit.kernel is not None and abs(float(fit.kernel.sum()) - 1) > 0.05)
    room = max(min(noise, 14.0) + 4, 9.0 if unequal else 0.0)
    scale = (fit.geometry.across * first.greys.shape[1]) / second.greys.shape[1]
    hidden = 1.0
    if first.drawing or second.drawing:
        hidden += 0.3 * float(np.interp(scale, [1.15, 1.4], [0, 1]) * np.interp(noise, [3.5, 4.5], [0, 1]))
    return float(cells.max()) / room * hidden, float(cells.max()), noise, len(inked), hidden, unequal
