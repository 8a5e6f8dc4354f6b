"""Errors of hue and of brightness of two registered pictures, at `COLOUR_SIDE` pixels a side."""

from __future__ import annotations

from functools import partial
from typing import Any

import cv2
import numpy as np
from cauldron.transforms.compiled import compiled
from cauldron.transforms.matching.compare.hues.marks import hues_apart
from cauldron.transforms.matching.compare.neighbours import cell_maxima
from cauldron.transforms.matching.compare.prepared import Prepared
from cauldron.transforms.matching.compare.registration.geometry import Geometry, warped
from cauldron.transforms.matching.compare.tone import fit_tone, smooth_samples

_AROUND = np.ones((7, 7), np.uint8)
_COLOUR_CELL = 4
_COLOUR_NOISE = (6.0, 10.0)
# Range of hue around a pixel at which an error counts half.
_COLOUR_RANGE = 80
# Drawings whose colour differs by more are looked at by the hue of all their marks. Of 113 copies
# that differ by 1.3 or more the largest difference of it is 0.39; of 118 charts in other colours
# that had been accepted the smallest is 0.52, and they differ by 1.67 here.
_LOOK_AT_MARKS, _MARKS = 1.4, 0.45


def hue_and_light(
    first: Prepared,
    second: Prepared,
    geometry: Geometry,
    bars: tuple[float, float],
    kept: float,
) -> tuple[float, float]:
    """Differences of colour and brightness, at `COLOUR_SIDE` pixels a side.

    Args:
        bars: of colour and brightness. Colour is not looked at if the brightness differs more, and
            is 0 then.
        kept: times the difference of colour.
    """
    most_colour, most_light = bars
    height, width = second.colours.shape[:2]
    x0, y0, x1, y1 = geometry.window(width, height)
    moved = warped(first.colours, geometry, width, height)
    a, b = (np.ascontiguousarray(plane[y0:y1, x0:x1]) for plane in (moved, second.colours))
    a, b = fit_tone(*smooth_samples(a, b)).level(a, b)
    apart = cv2.boxFilter(cv2.subtract(b, a, dtype=cv2.CV_16S), cv2.CV_32F, (3, 3))
    error = np.empty(apart.shape[:2], np.float32)
    light = _hue_errors(apart, error)
    if light > most_light:
        return 0.0, light
    # Scaling and 4:2:0 sampling take a part of its hue from a thin line, not all of it.
    ranges = np.zeros_like(error)  # of hues around each pixel, in either picture
    for plane in (a, b):
        hues = _hues(plane)
        _add_range(cv2.dilate(hues, _AROUND), cv2.erode(hues, _AROUND), ranges)
    cells = cell_maxima(error / (1 + ranges * np.float32(1 / _COLOUR_RANGE)), _COLOUR_CELL)
    noise = float(np.sort(cells, axis=None)[int(cells.size * 0.95)])
    least, most = _COLOUR_NOISE
    colour = kept * float(cells.max()) / (min(noise, most) + least)
    if first.drawing and second.drawing and _LOOK_AT_MARKS < colour <= most_colour:
        colour = max(colour, most_colour / _MARKS * hues_apart(a, b))
    return colour, light


@partial(compiled, fast=True)
def _hue_errors(apart: Any, error: Any) -> float:
    """The largest difference of brightness; `error` gets the largest of hue of each pixel."""
    third, light = np.float32(1 / 3), np.float32(0)
    for y in range(len(apart)):
        line, out = apart[y], error[y]
        for x in range(apart.shape[1]):
            red, green, blue = line[x, 0], line[x, 1], line[x, 2]
            mean = (red + green + blue) * third
            light = max(light, abs(mean))
            out[x] = max(abs(red - mean), abs(green - mean), abs(blue - mean))
    return float(light)


@compiled
def _hues(plane: Any) -> Any:
    """Each channel less the mean of all, in thirds of a grey level."""
    out = np.empty(plane.shape, np.int16)
    for y in range(len(plane)):
        for x in range(plane.shape[1]):
            red, green, blue = (
                np.int16(plane[y, x, 0]),
                np.int16(plane[y, x, 1]),
                np.int16(plane[y, x, 2]),
            )
            total = red + green + blue
            out[y, x, 0], out[y, x, 1] = 3 * red - total, 3 * green - total
            out[y, x, 2] = 3 * blue - total
    return out


@partial(compiled, fast=True)
def _add_range(high: Any, low: Any, ranges: Any) -> None:
    """Raise `ranges` to the largest range of a channel, in grey levels."""
    for y in range(len(high)):
        for x in range(high.shape[1]):
            most = max(
                high[y, x, 0] - low[y, x, 0],
                high[y, x, 1] - low[y, x, 1],
                high[y, x, 2] - low[y, x, 2],
            )
            ranges[y, x] = max(ranges[y, x], np.float32(most) * np.float32(1 / 3))
