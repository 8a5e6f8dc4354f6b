"""Whether a training picture shows a benchmark picture at a place: decided on pixels.

The part that both show is cut out of both, and the two cuttings are compared like any two
pictures (`compare.compare`): every cell of 8 x 8 pixels must agree. So a logo, a heading or a frame
in common is not enough, because the rest of what both should show disagrees.

Cuttings that are not the same may be the same in other colours (`compare.colours`).
Those on the same grid of pixels may be copies with other levels (`altered`).
"""

from __future__ import annotations

import io
import math
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from cauldron.transforms.matching.compare.colours import compare_colours
from cauldron.transforms.matching.compare.comparison import compare
from cauldron.transforms.matching.compare.prepared import prepare_pixels
from cauldron.transforms.matching.parts.altered import marked_copy, palette_copy, tone_copy
from cauldron.transforms.matching.parts.geometry import Placed
from PIL import Image

# The smallest part of each side of the benchmark picture that must be shown. Crops of 20 % an edge
# leave 60 %.
LEAST_SHOWN = 0.57
# Pixels a side that a cutting must have.
SMALLEST = 64
# A scale nearer to 1 is 1: features are a fraction of a pixel off.
_UNSCALED = 0.012
# What is cut off at each edge of the common part: borders are blurred when they are scaled.
_INSET = 0.006
_NUDGE = 2

Kind = Literal["picture", "colours", "watermark"]
Pixels = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]


class Judged(NamedTuple):
    """Two cuttings that are the same.

    Attributes:
        kind: ``picture``; ``colours`` if only grey agrees, or contrast or the number of colours
            was changed; ``watermark`` if a half-transparent mark lies over the training picture.
        score: 0.5 to 1.
    """

    kind: Kind
    score: float


def common(
    placed: Placed, size: tuple[int, int], their_size: tuple[int, int]
) -> tuple[Box, Box] | None:
    """The part that both show, in pixels of the training and of the benchmark picture.

    None if too little of the benchmark picture is shown, or the part is too small.
    """
    cuts: list[tuple[int, int, int, int]] = []
    scaled = max(abs(placed.across - 1), abs(placed.down - 1)) > _UNSCALED
    scales = (placed.across, placed.right), (placed.down, placed.below)
    for (scale, shift), ours, theirs in zip(scales, size, their_size, strict=True):
        low, high = max(0.0, -shift / scale), min(float(theirs), (ours - shift) / scale)
        if high - low < LEAST_SHOWN * theirs:
            return None
        cuts.append(_axis(scale, shift, low, high, scaled))
    (x0, x1, u0, u1), (y0, y1, v0, v1) = cuts
    ours_box, their_box = (x0, y0, x1, y1), (u0, v0, u1, v1)
    if min(_shortest(ours_box), _shortest(their_box)) < SMALLEST:
        return None
    return ours_box, their_box


def _axis(
    scale: float, shift: float, low: float, high: float, scaled: bool
) -> tuple[int, int, int, int]:
    """Both cuttings along an axis, from the common part of the benchmark picture.

    Where neither picture was scaled, both have exactly the same pixels.
    """
    inset = _INSET * (high - low) + 1
    low, high = low + inset, high - inset
    if scaled:
        return round(scale * low + shift), round(scale * high + shift), round(low), round(high)
    moved = round((scale - 1) * (low + high) / 2 + shift)
    first, last = math.ceil(low), math.floor(high)
    return first + moved, last + moved, first, last


def _shortest(box: Box) -> int:
    return min(box[2] - box[0], box[3] - box[1])


def pixels_of(data: bytes) -> Pixels:
    """A stored picture as RGB, (height, width, 3)."""
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
        return np.asarray(image.convert("RGB"))


def cut(pixels: Pixels, box: Box) -> Pixels:
    x0, y0, x1, y1 = box
    return pixels[y0:y1, x0:x1]


def nudged(ours: Pixels, theirs: Pixels, boxes: tuple[Box, Box]) -> tuple[Box, Box]:
    """Cuttings of one size, moved by up to `_NUDGE` pixels to where they agree best.

    Features are up to a pixel off, and lines of text are not found a pixel off.
    """
    (x0, y0, x1, y1), (u0, v0, u1, v1) = boxes
    if (x1 - x0, y1 - y0) != (u1 - u0, v1 - v0):
        return boxes
    inner = u0 + _NUDGE, v0 + _NUDGE, u1 - _NUDGE, v1 - _NUDGE
    a, b = _grey(cut(ours, boxes[0])), _grey(cut(theirs, inner))
    height, width = b.shape
    steps = range(2 * _NUDGE + 1)
    _, right, down = min(
        (float(cv2.mean(cv2.absdiff(a[y : y + height, x : x + width], b))[0]), x, y)
        for y in steps
        for x in steps
    )
    left, top = x0 + right, y0 + down
    return (left, top, left + width, top + height), inner


def judge(ours: Pixels, theirs: Pixels) -> Judged | None:
    """Compare two pictures; None if they are not the same."""
    first, second = prepare_pixels(ours), prepare_pixels(theirs)
    found = compare(first, second)
    if found.same:
        return Judged("picture", found.score)
    recoloured = compare_colours(first, second, found)
    if recoloured is not None:
        return Judged("colours", recoloured.score)
    if ours.shape != theirs.shape or first.blank or second.blank:
        return None
    score = tone_copy(ours, theirs, first, second)
    if score is None:
        score = palette_copy(ours, theirs, first)
    if score is not None:
        return Judged("colours", score)
    score = marked_copy(first, second)
    return None if score is None else Judged("watermark", score)


def _grey(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
