"""Pictures scaled by averages of areas, as by OpenCV's INTER_AREA, or by Pillow's filters.

Pillow's filters have more weights. So eight rows are made at a time, both directions are vectors,
and it takes half of Pillow's time.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
from cauldron.transforms.compiled import compiled

# A picture or a channel, of bytes or of 32-bit floats. OpenCV's types say no more than this.
Plane = npt.NDArray[Any]


def averaged(plane: Plane, width: int, height: int) -> Plane:
    """A picture of bytes, (height, width) or (height, width, 3), with no more pixels a side."""
    high, wide = plane.shape[:2]
    channels = 1 if plane.ndim == 2 else plane.shape[2]
    out = np.empty((height, width * channels), np.uint8)
    flat = np.ascontiguousarray(plane).reshape(high, -1)
    _average(flat, *_taps(high, height, 1), *_taps(wide, width, channels), channels, out)
    return out.reshape(height, width, *plane.shape[2:])


@lru_cache(maxsize=256)
def _taps(
    pixels: int, wanted: int, channels: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """For each of the wanted values of a line the first that it averages, and the share of each.

    Returns:
        shape (wanted * channels,); and (as many as one averages at most, wanted * channels).
    """
    step = pixels / wanted
    low = np.arange(wanted) * step
    places = np.floor(low + 1e-9).astype(np.int32) + np.arange(int(np.ceil(step)) + 1)[:, None]
    inside = np.minimum(places + 1, low + step) - np.maximum(places, low)
    shares = np.where((places < pixels) & (inside > 1e-6), inside, 0.0)
    shares = (shares / shares.sum(axis=0)).astype(np.float32)
    first = places[0][:, None] * channels + np.arange(channels, dtype=np.int32)
    return first.ravel(), np.repeat(shares, channels, axis=1)


@partial(compiled, fast=True)
def _average(
    plane: Any, tops: Any, down: Any, lefts: Any, across: Any, channels: int, out: Any
) -> None:
    wide, taps = plane.shape[1], len(across)
    row, line = np.zeros(wide + taps * channels, np.float32), np.empty(len(lefts), np.float32)
    for y in range(len(tops)):
        row[:wide] = 0
        for tap in range(len(down)):
            share = down[tap, y]
            if share == 0:
                continue
            source = plane[tops[y] + tap]
            for x in range(wide):
                row[x] += share * np.float32(source[x])
        line[:] = 0.5
        for tap in range(taps):
            shares, by = across[tap], tap * channels
            for x in range(len(lefts)):
                line[x] += shares[x] * row[lefts[x] + by]
        for x in range(len(lefts)):
            out[y, x] = np.uint8(line[x])


def resampled(
    plane: Plane, width: int, height: int, box: tuple[float, float, float, float], cubic: bool
) -> Plane:
    """As Pillow's ``resize`` of a grey picture with BICUBIC or BOX, but for rounding.

    Args:
        box: left, top, right, bottom of the part that is scaled, in pixels.
    """
    (high, wide), (left, top, right, bottom) = plane.shape, map(float, box)
    out = np.empty((height, width), np.uint8)
    tops, down = _filter_taps(top, bottom, high, height, cubic)
    lefts, across = _filter_taps(left, right, wide, width, cubic)
    _resample(np.ascontiguousarray(plane), tops, down, lefts, across, out)
    return out


@compiled
def _filter_taps(low: float, high: float, pixels: int, wanted: int, cubic: bool) -> Any:
    """As `_taps`, for a part of a line, with the weights of Pillow's filters."""
    scale = (high - low) / wanted
    stretch = max(scale, 1.0)
    reach = (2.0 if cubic else 0.5) * stretch
    shares = np.zeros((2 * int(np.ceil(reach)) + 1, wanted), np.float32)
    first = np.empty(wanted, np.int32)
    for at in range(wanted):
        centre = low + (at + 0.5) * scale
        first[at] = max(int(centre - reach + 0.5), 0)
        count, total = min(int(centre + reach + 0.5), pixels) - first[at], 0.0
        for tap in range(count):
            away = (first[at] + tap - centre + 0.5) * (1 / stretch)
            share = _cubic(abs(away)) if cubic else 1.0 if -0.5 < away <= 0.5 else 0.0
            shares[tap, at] = share
            total += share
        for tap in range(count):
            shares[tap, at] /= np.float32(total)
    return first, shares


@compiled
def _cubic(away: float) -> float:
    if away < 1:
        return (1.5 * away - 2.5) * away * away + 1
    return ((2.5 - 0.5 * away) * away - 4) * away + 2 if away < 2 else 0.0


# Rows that are made at a time.
_ROWS = 8


@partial(compiled, fast=True)
def _resample(plane: Any, tops: Any, down: Any, lefts: Any, across: Any, out: Any) -> None:
    wide, taps, height = plane.shape[1], len(across), len(tops)
    row, line = np.empty(wide, np.float32), np.empty(_ROWS, np.float32)
    # Pixels of the rows, side by side, and zeros beyond their end.
    rows = np.zeros((wide + taps, _ROWS), np.float32)
    for start in range(0, height, _ROWS):
        count = min(_ROWS, height - start)
        for number in range(count):
            row[:] = 0
            for tap in range(len(down)):
                share = down[tap, start + number]
                if share == 0:
                    continue
                source = plane[tops[start + number] + tap]
                for x in range(wide):
                    row[x] += share * np.float32(source[x])
            for x in range(wide):
                rows[x, number] = row[x]
        for x in range(len(lefts)):
            for number in range(_ROWS):
                line[number] = np.float32(0.5)
            for tap in range(taps):
                share, pixel = across[tap, x], rows[lefts[x] + tap]
                for number in range(_ROWS):
                    line[number] += share * pixel[number]
            for number in range(count):
                value = line[number]
                out[start + number, x] = np.uint8(min(max(value, np.float32(0)), np.float32(255)))
