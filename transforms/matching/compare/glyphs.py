"""How far two pictures at nearly one scale are apart if each piece of ink may move by itself.

PDFium puts glyphs on whole pixels. So at another resolution each is up to a pixel off its place, and
errors at its edges hide a changed character. Here each piece of connected ink is moved in quarters
of a pixel, with all pixels that a picture has, to where its largest error is least.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import cv2
import numpy as np
from cauldron.transforms.compiled import compiled
from cauldron.transforms.matching.compare.scaling import Plane

# Ink is further from its ground than this part of the strongest ink around it, and than so many
# levels. Beside it, less of that belongs to it.
_INK, _LEAST_INK = 80 / 255, 32
_EDGE = 0.5
_AROUND = np.ones((7, 7), np.uint8)
# The ground is the median of so many pixels a side, of every fourth pixel.
_GROUND, _STEP = 31, 4
# Contrast of strokes of black on white. Errors of fainter pieces count as much more as these are
# fainter.
_BLACK = 200.0
# Pixels around ink that are compared with it, at the coarser resolution.
_REACH = 2.5
_PAD = 2
# The scale of a stroke: noise of JPEG averages out.
_STROKE = 0.7
# The part of a pixel's width by which PDFium's own averaging of areas blurs.
_AREA = 0.1
_MASS = 200.0
# Quarters of a pixel that a piece is moved by, nearest first.
_FARTHEST = 7
_MOVES = np.array(
    sorted(
        ((i, j) for i in range(-_FARTHEST, _FARTHEST + 1) for j in range(-_FARTHEST, _FARTHEST + 1)),
        key=lambda move: (move[0] % 2 + move[1] % 2 > 0, move[0] ** 2 + move[1] ** 2, move),
    )
)


def largest_error(
    finer: Plane, coarser: Plane, enough: float = math.inf, moved: bool = True
) -> float:
    """The largest error of a pixel over all pieces of ink of both, each where it has least.

    Args:
        finer, coarser: greys of one frame, in bytes; the coarser has fewer pixels.
        moved: whether pieces are moved at all.
        enough: up to this a piece is not moved further; above it nothing else is looked at.

    Returns:
        Grey levels, as if ink were black on white. Of no meaning but above `enough` or not.
    """
    scale = coarser.shape[1] / finer.shape[1]
    blur = math.sqrt((_STROKE / scale) ** 2 + _AREA * (1 / scale**2 - 1))
    a = cv2.GaussianBlur(finer.astype(np.float32), (0, 0), blur)
    b = cv2.GaussianBlur(coarser.astype(np.float32), (5, 5), _STROKE)
    contrast = _contrast(coarser)
    edges = contrast.astype(np.float32) > _EDGE * _threshold(contrast)
    worst = 0.0
    for of in (coarser, finer):
        pieces = _pieces(of, coarser, edges)
        if pieces is not None:
            worst = max(worst, _residual(a, b, contrast, *pieces, _MOVES if moved else _MOVES[:1], enough, _MASS))
        if worst > enough:
            break
    return worst


def _contrast(greys: Plane) -> Plane:
    """Levels by which each pixel is off the ground around it."""
    height, width = greys.shape
    size = max(1, width // _STEP), max(1, height // _STEP)
    ground = cv2.medianBlur(cv2.resize(greys, size, interpolation=cv2.INTER_AREA), _GROUND)
    return cv2.absdiff(greys, cv2.resize(ground, (width, height), interpolation=cv2.INTER_LINEAR))


def _threshold(contrast: Plane) -> Plane:
    strongest = cv2.dilate(contrast, _AROUND).astype(np.float32)
    return np.maximum(strongest * np.float32(_INK), np.float32(_LEAST_INK))


def _pieces(of: Plane, coarser: Plane, edges: Plane) -> tuple[Plane, Plane, Plane] | None:
    """Which piece each pixel of `coarser` is compared with, from 1; boxes; weights of errors."""
    height, width = coarser.shape
    contrast = _contrast(of)
    ink = (contrast > _threshold(contrast)).astype(np.uint8)
    labels, boxes = cv2.connectedComponentsWithStats(ink, connectivity=8)[1:3]
    if len(boxes) < 2:
        return None
    across, down = width / of.shape[1], height / of.shape[0]
    reach = _REACH if of is coarser else _REACH / across + 1
    distance, nearest = cv2.distanceTransformWithLabels(
        1 - ink, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP
    )
    numbers = np.zeros(int(nearest.max()) + 1, np.int32)
    numbers[nearest[ink > 0]] = labels[ink > 0]
    strongest = np.zeros(len(boxes), np.uint8)
    _strongest(labels, contrast, strongest)
    owner = np.where(distance <= reach, numbers[nearest], 0)
    if of is not coarser:
        ys, xs = _places(height, of.shape[0]), _places(width, of.shape[1])
        owner = owner[ys][:, xs]
    owner = np.ascontiguousarray(owner).astype(np.int32)
    # Where two pieces touch, only ink counts: what is beside it may be the other one's.
    levels = owner.astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    lowest = cv2.erode(np.where(owner == 0, np.float32(1e9), levels), kernel)
    owner[(cv2.dilate(levels, kernel) != lowest) & ~edges] = 0
    places = boxes[1:, :4] * np.array([across, down, across, down])
    weights = np.maximum(1.0, _BLACK / np.maximum(strongest[1:], 1.0))
    return owner, places, weights


def _places(pixels: int, of: int) -> Any:
    places = np.round((np.arange(pixels) + 0.5) * of / pixels - 0.5).astype(np.int64)
    return np.clip(places, 0, of - 1)


@compiled
def _strongest(labels: Any, contrast: Any, out: Any) -> None:
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            label = labels[y, x]
            if label:
                out[label] = max(out[label], contrast[y, x])


@partial(compiled, fast=True)
def _cubic(at: float) -> float:
    at = abs(at)
    if at < 1:
        return (1.5 * at - 2.5) * at * at + 1
    return ((-0.5 * at + 2.5) * at - 4) * at + 2


@partial(compiled, fast=True)
def _taps(start: int, stop: int, by: float, pixels: int, of: int, first: Any, taps: Any) -> None:
    """For places of a line the first of four pixels of the other one, and their weights."""
    for at in range(start, stop):
        place = (at + 0.5 + by) * of / pixels - 0.5
        low = math.floor(place)
        first[at - start] = low - 1
        for tap in range(4):
            taps[at - start, tap] = _cubic(tap - 1 - (place - low))


@partial(compiled, fast=True)
def _error(
    a: Any, b: Any, contrast: Any, owner: Any, label: int, box: Any, rows: Any, down: Any,
    columns: Any, across: Any, weight: float, enough: float, per_mass: float,
) -> float:  # fmt: skip
    """The largest error of one piece, or one that is above `enough`."""
    high, wide = a.shape
    largest, more, mass = 0.0, 0.0, 0.0
    for y in range(box[1], box[3]):
        top = rows[y - box[1]]
        if top < 0 or top > high - 4:
            continue
        v0, v1, v2, v3 = down[y - box[1]]
        for x in range(box[0], box[2]):
            left = columns[x - box[0]]
            if owner[y, x] != label or left < 0 or left > wide - 4:
                continue
            value = np.float32(0)
            for tap in range(4):
                at = left + tap
                line = v0 * a[top, at] + v1 * a[top + 1, at]
                line += v2 * a[top + 2, at] + v3 * a[top + 3, at]
                value += across[x - box[0], tap] * line
            more += value - b[y, x]
            mass += contrast[y, x]
            error = weight * abs(value - b[y, x])
            if error > largest:
                largest = error
                if error > enough:
                    return float(error)
    return float(max(largest, per_mass * abs(more) / max(mass, 1.0)))


@compiled
def _residual(
    a: Any, b: Any, contrast: Any, owner: Any, boxes: Any, weights: Any, moves: Any,
    enough: float, per_mass: float,
) -> float:
    (high, wide), (height, width) = a.shape, b.shape
    rows, columns = np.empty(height, np.int64), np.empty(width, np.int64)
    down, across = np.empty((height, 4), np.float32), np.empty((width, 4), np.float32)
    plain = np.zeros(len(boxes))
    worst = 0.0
    order = np.arange(len(boxes))
    for turn in range(2):
        # First all as they lie; then those that are off, by how much they are.
        if turn:
            order = np.argsort(-plain)
        for at in order:
            if turn and plain[at] <= enough and enough < 1e9:
                break
            x, y, w, h = boxes[at]
            box = (
                max(0, int(x) - _PAD),
                max(0, int(y) - _PAD),
                min(width, math.ceil(x + w) + _PAD),
                min(height, math.ceil(y + h) + _PAD),
            )
            best = 1e9
            for move in range(len(moves) if turn else 1):
                _taps(box[0], box[2], moves[move, 1] / 4, width, wide, columns, across)
                _taps(box[1], box[3], moves[move, 0] / 4, height, high, rows, down)
                most = best if turn else 1e9
                found = _error(
                    a, b, contrast, owner, at + 1, box, rows, down, columns, across, weights[at], most, per_mass
                )
                best = min(best, found)
                if best <= enough and enough < 1e9:
                    break
            if turn == 0:
                plain[at] = best
            else:
                worst = max(worst, best)
                if worst > enough:
                    return worst
    return worst
