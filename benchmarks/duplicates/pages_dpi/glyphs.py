"""How far two renderings of a page are apart at full resolution if each glyph may move by itself.

PDFium puts glyphs on whole pixels. So at another resolution each is up to a pixel off its place,
and errors at its edges hide a changed character. Here connected ink is moved by itself, in quarters
of a pixel, before it is compared. The project does not use this yet, see docs/decisions.md.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import cv2
import numpy as np
from cauldron.transforms.compiled import compiled
from cauldron.transforms.matching.compare.scaling import Plane

# Levels below white from which a pixel is ink, and from which one beside it belongs to it.
_INK, _EDGE = 80, 40
# Pixels around ink that are compared with it, at the coarser resolution.
_REACH = 2.5
_PAD = 2
# The scale of a stroke: noise of JPEG averages out.
_STROKE = 0.7
# The part of a pixel's width by which PDFium's own averaging of areas blurs.
_AREA = 0.1
# Pixels of a step, and how many of them to each side: around the place, then around the best.
_STEPS = ((0.5, 3), (0.25, 1))


def largest_residual(finer: Plane, coarser: Plane) -> float:
    """The largest error of a pixel, in grey levels, over all connected ink of both.

    Args:
        finer, coarser: greys of the whole page, bytes, dark on white; the coarser has fewer pixels.
    """
    scale = coarser.shape[1] / finer.shape[1]
    blur = math.sqrt((_STROKE / scale) ** 2 + _AREA * (1 / scale**2 - 1))
    a = cv2.GaussianBlur(finer.astype(np.float32), (0, 0), blur)
    b = cv2.GaussianBlur(coarser.astype(np.float32), (5, 5), _STROKE)
    return max(_largest(of, a, b, coarser) for of in (finer, coarser))


def _largest(of: Plane, a: Plane, b: Plane, coarser: Plane) -> float:
    height, width = b.shape
    ink = (of < 255 - _INK).astype(np.uint8)
    labels, boxes = cv2.connectedComponentsWithStats(ink, connectivity=8)[1:3]
    if len(boxes) < 2:
        return 0.0
    across, down = width / of.shape[1], height / of.shape[0]
    reach = _REACH if of is coarser else _REACH / across + 1
    distance, nearest = cv2.distanceTransformWithLabels(
        1 - ink, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP
    )
    numbers = np.zeros(int(nearest.max()) + 1, np.int32)
    numbers[nearest[ink > 0]] = labels[ink > 0]
    owner = np.where(distance <= reach, numbers[nearest], 0)
    ys = _places(height, of.shape[0])
    xs = _places(width, of.shape[1])
    owner = np.ascontiguousarray(owner[ys][:, xs]).astype(np.int32)
    # Where two glyphs touch, only ink counts: what is beside it may be the other one's.
    levels = owner.astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    lowest = cv2.erode(np.where(owner == 0, np.float32(1e9), levels), kernel)
    clear = (cv2.dilate(levels, kernel) == lowest) | (coarser < 255 - _EDGE)
    owner[~clear] = 0
    places = boxes[1:, :4] * np.array([across, down, across, down])
    return float(_residual(a, b, owner, places))


def _places(pixels: int, of: int) -> Any:
    places = np.round((np.arange(pixels) + 0.5) * of / pixels - 0.5).astype(np.int64)
    return np.clip(places, 0, of - 1)


@partial(compiled, fast=True)
def _cubic(at: float) -> float:
    at = abs(at)
    if at < 1:
        return (1.5 * at - 2.5) * at * at + 1
    return ((-0.5 * at + 2.5) * at - 4) * at + 2


@partial(compiled, fast=True)
def _errors(a: Any, b: Any, owner: Any, label: int, box: Any, dx: float, dy: float) -> Any:
    """Sum of squares, and the largest error, of one glyph moved by so many pixels of `b`."""
    high, wide = a.shape
    height, width = b.shape
    total, largest = 0.0, 0.0
    for y in range(box[1], box[3]):
        fy = (y + 0.5 + dy) * high / height - 0.5
        top = math.floor(fy)
        if top < 1 or top > high - 3:
            continue
        for x in range(box[0], box[2]):
            if owner[y, x] != label:
                continue
            fx = (x + 0.5 + dx) * wide / width - 0.5
            left = math.floor(fx)
            if left < 1 or left > wide - 3:
                continue
            value = 0.0
            for row in range(4):
                line = 0.0
                for column in range(4):
                    weight = _cubic(column - 1 - (fx - left))
                    line += weight * a[top + row - 1, left + column - 1]
                value += _cubic(row - 1 - (fy - top)) * line
            error = abs(value - b[y, x])
            total += error * error
            largest = max(largest, error)
    return total, largest


@compiled
def _residual(a: Any, b: Any, owner: Any, boxes: Any) -> float:
    height, width = b.shape
    worst = 0.0
    for at in range(len(boxes)):
        x, y, w, h = boxes[at]
        box = (
            max(0, int(x) - _PAD),
            max(0, int(y) - _PAD),
            min(width, math.ceil(x + w) + _PAD),
            min(height, math.ceil(y + h) + _PAD),
        )
        best, largest, right, below = 1e30, 0.0, 0.0, 0.0
        for step, count in _STEPS:
            cx, cy = right, below
            for i in range(-count, count + 1):
                for j in range(-count, count + 1):
                    dx, dy = cx + step * i, cy + step * j
                    total, most = _errors(a, b, owner, at + 1, box, dx, dy)
                    if total < best:
                        best, largest, right, below = total, most, dx, dy
        worst = max(worst, largest)
    return worst
