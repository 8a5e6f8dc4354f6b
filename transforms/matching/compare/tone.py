"""How the brightness of two registered pictures differs."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from cauldron.transforms.compiled import compiled
from cauldron.transforms.matching.compare.neighbours import contrast, strongest
from cauldron.transforms.matching.compare.scaling import Plane

# 64-bit floats.
F64 = npt.NDArray[Any]

# Brightness is compared where both pictures are smooth, so that shifted edges do not count.
_SMOOTH = 40
_SAMPLES = 400
_MOST_LOOKED_AT = 25_000
# White paper and black ink in both pictures say nothing about brightness.
_WHITE, _BLACK = 250, 5
_EQUAL = 1.5
_GAINS = (1.0, 1.12, 1.25, 0.9)
_CAP = 25.0
# Pixels a side whose average is looked at by `unexplained`.
_AROUND = 5


class Tone(NamedTuple):
    """How the darker of two pictures is matched to the lighter: ``clip(gain * grey + offset)``.

    Attributes:
        first: whether the first picture is the darker one.
    """

    gain: float
    offset: float
    first: bool

    @property
    def equal(self) -> bool:
        return self.gain == 1.0 and self.offset == 0.0

    def table(self) -> Plane:
        values = np.rint(np.arange(256) * self.gain + self.offset)
        return np.clip(values, 0, 255).astype(np.uint8)

    def level(self, first: Plane, second: Plane) -> tuple[Plane, Plane]:
        """Both pictures at the brightness of the lighter one."""
        if self.equal:
            return first, second
        if self.first:
            return cv2.LUT(first, self.table()), second
        return first, cv2.LUT(second, self.table())


def fit_tone(a: F64, b: F64) -> Tone:
    """The difference in brightness, from the values of both pictures at the same places.

    Clipping is part of the model: a picture made brighter by a fifth loses its light tints.
    """
    darker = bool(a.sum() <= b.sum())
    x, y = (a, b) if darker else (b, a)
    known = _cost(x, y, 1.0, 0.0)
    best = (known, 1.0, 0.0)
    if known > _EQUAL:
        fits = (_fit_from(gain, x, y) for gain in _GAINS)
        found = min((_cost(x, y, *fit), *fit) for fit in fits)
        # Text on white says little about brightness: a tone must fit clearly better than none.
        if found[0] < 0.8 * known:
            best = found
    return Tone(best[1], best[2], darker)


def smooth_samples(first: Plane, second: Plane) -> tuple[F64, F64]:
    """Colours of two registered pictures, (height, width, 3), where both are smooth."""
    rough = strongest(cv2.max(contrast(first), contrast(second))).ravel()
    places = _informative(strongest(first).ravel(), strongest(second).ravel())
    smooth = places[rough[places] < _SMOOTH]
    if len(smooth) < _SAMPLES // 4:
        smooth = places[np.argsort(rough[places], kind="stable")[: _SAMPLES // 4]]
    chosen = evenly(smooth, _SAMPLES)
    a, b = (plane.reshape(-1, 3)[chosen].ravel().astype(np.float64) for plane in (first, second))
    return a, b


def grey_samples(first: Plane, second: Plane) -> tuple[F64, F64]:
    """Grey levels of two exactly registered pictures, edges included."""
    # Every third row and column of a large picture: they are as good, in a ninth of the time.
    step = 3 if first.size > 9 * _MOST_LOOKED_AT else 1
    one, other = (plane[::step, ::step].ravel() for plane in (first, second))
    places = evenly(_informative(one, other), 6 * _SAMPLES)
    a, b = one[places].astype(np.float64), other[places].astype(np.float64)
    return a, b


def _informative(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.flatnonzero((np.minimum(a, b) < _WHITE) & (np.maximum(a, b) > _BLACK))


def evenly(values: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """At most `most` of the values, evenly spaced."""
    if len(values) <= most:
        return values
    return values[np.arange(most) * len(values) // most]


@compiled
def _cost(x: Any, y: Any, gain: float, offset: float) -> float:
    total = 0.0
    for at in range(len(x)):
        level = min(max(gain * x[at] + offset, 0.0), 255.0)
        total += min(abs(y[at] - level), _CAP)
    return total / max(len(x), 1)


@compiled
def _fit_from(start: float, x: Any, y: Any) -> tuple[float, float]:
    """Reweighted least squares on what is not clipped."""
    gain, offset = start, 0.0
    error, weights = np.empty(len(x)), np.empty(len(x))
    for _ in range(4):
        for at in range(len(x)):
            error[at] = abs(y[at] - min(max(gain * x[at] + offset, 0.0), 255.0))
        typical = max(1.5 * np.median(error), 2.0)
        for at in range(len(x)):
            raw = gain * x[at] + offset
            weights[at] = min(1.0, typical / max(error[at], 1e-6)) if 0.5 < raw < 254.5 else 0.0
        total = weights.sum()
        if total < 20:
            break
        mx, my = (weights * x).sum() / total, (weights * y).sum() / total
        spread = (weights * (x - mx) ** 2).sum() / total
        shared = (weights * (x - mx) * (y - my)).sum() / total
        # If all samples have about one grey level, the gain stays near its start.
        gain = min(max((shared + 30 * start) / (spread + 30), 0.6), 1.7)
        offset = min(max(my - gain * mx, -40.0), 40.0)
    return gain, offset


def unexplained(first: Plane, second: Plane) -> float:
    """The largest difference of brightness that the best gain and offset leave, in grey levels.

    Differences are averaged over 5 x 5 pixels. Less than twice that a side says nothing: 0.

    Args:
        first, second: registered, (height, width), of bytes.
    """
    if min(first.shape) <= 2 * _AROUND:
        return 0.0
    left = np.empty(first.shape, np.float32)
    _leave(first, second, left)
    averages = cv2.boxFilter(left, cv2.CV_32F, (_AROUND, _AROUND))[1:-1, 1:-1]
    low, high, *_ = cv2.minMaxLoc(averages)
    return float(max(-low, high))


@partial(compiled, fast=True)
def _leave(first: Any, second: Any, left: Any) -> None:
    """The lighter picture less the darker one, with the gain and offset of least squares."""
    height, width = first.shape
    nothing: Any = np.int64(0)
    a, b, aa, bb, ab = nothing, nothing, nothing, nothing, nothing
    for y in range(height):
        for x in range(width):
            one, other = np.int64(first[y, x]), np.int64(second[y, x])
            a, b, aa = a + one, b + other, aa + one * one
            bb, ab = bb + other * other, ab + one * other
    count = float(height * width)
    darker = a <= b
    square = aa - a * a / count if darker else bb - b * b / count
    gain = np.float32((ab - a * b / count) / max(square, count))
    dark, light = (a / count, b / count) if darker else (b / count, a / count)
    offset = np.float32(light) - gain * np.float32(dark)
    for y in range(height):
        for x in range(width):
            here, there = np.float32(first[y, x]), np.float32(second[y, x])
            low, high = (here, there) if darker else (there, here)
            left[y, x] = high - gain * low - offset
