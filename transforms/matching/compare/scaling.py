"""Pictures made smaller by averages of areas, as by OpenCV's INTER_AREA, in a third of the time."""

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
