"""Contrast around each pixel, and the largest value of each cell."""

from __future__ import annotations

from functools import partial
from typing import Any

import cv2
import numpy as np
from cauldron.transforms.compiled import compiled
from cauldron.transforms.matching.compare.scaling import Plane

CELL = 8
_THREE = np.ones((3, 3), np.uint8)


def contrast(plane: Plane) -> Plane:
    """The range of values among the 3 x 3 neighbours of each pixel, by channel."""
    return cv2.absdiff(cv2.dilate(plane, _THREE), cv2.erode(plane, _THREE))


def ink_of(plane: Plane) -> Plane:
    """The largest contrast in each cell."""
    return cell_maxima(contrast(plane), CELL)


def strongest(plane: Plane) -> Plane:
    """The largest channel of each pixel; NumPy takes ten times as long."""
    one, two, three = cv2.split(plane)
    return cv2.max(cv2.max(one, two), three)


def cell_maxima(plane: Plane, side: int) -> Plane:
    """The largest value in each cell of `side` x `side` pixels; OpenCV's dilation takes longer."""
    height, width = plane.shape
    out = np.empty((-(-height // side), -(-width // side)), plane.dtype)
    _cell_maxima(np.ascontiguousarray(plane), side, out)
    return out


def sharpness_of(greys: Plane) -> float:
    """The mean strength of edges: of the Laplacian, without the rim."""
    return round(_edge_strength(greys) / greys.size, 4)


@partial(compiled, fast=True)
def _cell_maxima(plane: Any, side: int, out: Any) -> None:
    height, width = plane.shape
    line = np.empty(width, plane.dtype)
    for row in range(len(out)):
        line[:] = plane[row * side]
        for y in range(row * side + 1, min(height, row * side + side)):
            source = plane[y]
            for x in range(width):
                line[x] = max(line[x], source[x])
        for column in range(out.shape[1]):
            most = line[column * side]
            for x in range(column * side + 1, min(width, column * side + side)):
                most = max(most, line[x])
            out[row, column] = most


@compiled
def _edge_strength(greys: Any) -> int:
    total: Any = 0
    for y in range(1, len(greys) - 1):
        above, here, below, line = greys[y - 1], greys[y], greys[y + 1], np.int32(0)
        for x in range(1, greys.shape[1] - 1):
            around = np.int32(above[x]) + np.int32(below[x]) + np.int32(here[x - 1])
            line += np.int32(abs(np.int32(4) * here[x] - around - np.int32(here[x + 1])))
        total += line
    return total  # type: ignore[no-any-return]
