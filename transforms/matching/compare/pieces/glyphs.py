"""The errors of pieces of ink, each moved to where its largest error is least."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from cauldron.transforms.compiled import compiled

# Pixels around the box of a piece that may belong to it.
_PAD = 2
# Levels of a pixel by which JPEG may change the mean of a piece.
_MEAN = 0.5


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
    a: Any, b: Any, contrast: Any, owner: Any, label: Any, box: Any, rows: Any, down: Any,
    columns: Any, across: Any, weight: float, per_ink: float, enough: float,
) -> float:  # fmt: skip
    """The largest error of one piece, or one that is above `enough`."""
    high, wide = a.shape
    largest, more, ink, count = 0.0, 0.0, 0.0, 0
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
            ink += contrast[y, x]
            count += 1
            error = weight * abs(value - b[y, x])
            if error > largest:
                largest = error
                if error > enough:
                    return float(error)
    return float(max(largest, per_ink * max(abs(more) - _MEAN * count, 0.0) / max(ink, 1.0)))


@compiled
def largest_of(
    a: Any, b: Any, contrast: Any, owner: Any, boxes: Any, weights: Any, moves: Any,
    per_ink: float, enough: float,
) -> float:  # fmt: skip
    """The largest error of all pieces, each where it has least.

    Args:
        a, b: the finer and the coarser picture, 32-bit floats, blurred.
        contrast: of the coarser one.
        owner: which piece a pixel of `b` belongs to, from 1; 0 is none.
        boxes, weights: of each piece; errors are multiplied with the weight.
        moves: quarters of a pixel down and across; the first is none.
        per_ink: levels that a difference of all of a piece's ink counts as.
        enough: up to this a piece is not moved further; ends at a piece above it.
    """
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
                found = _error(
                    a, b, contrast, owner, at + 1, box, rows, down, columns, across,
                    weights[at], per_ink, best if turn else 1e9,
                )  # fmt: skip
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
