"""The content of a picture: what is inside a border, or beside padding, of one colour.

A border moves every frequency of a perceptual hash, so that a copy with a border of 3 % is not near
its original. The content is the same. So the hashes of both are kept, and any two of them may
propose a pair; whether it is one is decided on pixels (`cauldron.transforms.matching.compare`).

The rule is strict, because what is outside the box is not compared any more: a row or column is a
part of the rim only if each of its pixels is within `RIM_LEVELS` of the colour in a corner.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from cauldron.transforms.pictures.hashes import GreyPicture, raw_pixels
from PIL import Image

# Levels that a rim may be off the colour of its corner. The comparison of drawings does not see
# differences up to here either: the least unit of structure is 4 levels, and the bar is 2 of them.
RIM_LEVELS = 8

# The share of a side that must be rim for the content to have hashes of its own: less moves few
# bits.
LEAST_RIM = 0.01
# The share of each side, and the pixels, that the content must have. A line of text in the middle
# of an empty page says too little.
LEAST_CONTENT = 0.4
LEAST_PIXELS = 48


class Box(NamedTuple):
    """A part of a picture, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def scaled(self, across: float, down: float) -> Box:
        left, top = round(self.left * across), round(self.top * down)
        right = round((self.left + self.width) * across)
        below = round((self.top + self.height) * down)
        return Box(left, top, right - left, below - top)


def is_content(box: Box, width: int, height: int) -> bool:
    """Whether a box is smaller than the frame, and large enough to have hashes of its own."""
    across, down = box.width / max(width, 1), box.height / max(height, 1)
    large = min(across, down) >= LEAST_CONTENT and min(box.width, box.height) >= LEAST_PIXELS
    return large and min(across, down) <= 1 - LEAST_RIM


def content_box(picture: GreyPicture) -> Box | None:
    """Where the content is, in pixels of `picture.grey`; None without a rim, or with too little.

    Of two corners of different colours, top left and bottom right, the one with more rim counts.
    Edges are looked for in averages over blocks, then in the rows and columns of the block found.
    A rim of less than a block, 1 % of a side, is not found.
    """
    levels = picture.levels
    corners = dict.fromkeys((int(levels[0, 0]), int(levels[-1, -1])))
    blocks, level = min(
        ((_blocks_of(levels, corner), corner) for corner in corners), key=lambda one: _area(one[0])
    )
    high, wide = levels.shape
    if blocks == (0, 0, wide, high):
        return None
    box = _refined(picture, blocks, level)
    return box if is_content(box, *picture.grey.size) else None


def _blocks_of(levels: npt.NDArray[np.uint8], level: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the blocks inside the rim, all 0 if there are none."""
    other = _is_other(levels, level)
    rows, columns = np.flatnonzero(other.any(axis=1)), np.flatnonzero(other.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _area(box: tuple[int, int, int, int]) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _refined(picture: GreyPicture, blocks: tuple[int, int, int, int], level: int) -> Box:
    """To the pixel. An edge may lie in the block before, whose average hides it."""
    grey, (across, down) = picture.grey, picture.block
    width, height = grey.size
    left, top, right, below = blocks
    high, wide = picture.levels.shape

    def near(at: int, block: int, size: int) -> tuple[int, int]:
        return max((at - 1) * block, 0), min((at + 2) * block, size)

    x0, y0, x1, y1 = 0, 0, width, height
    if left:
        low, end = near(left, across, width)
        x0 = low + _first(grey, (low, 0, end, height), level, 0)
    if top:
        low, end = near(top, down, height)
        y0 = low + _first(grey, (0, low, width, end), level, 1)
    if right < wide:
        low, end = near(right - 1, across, width)
        x1 = end - _first(grey, (low, 0, end, height), level, 0, -1)
    if below < high:
        low, end = near(below - 1, down, height)
        y1 = end - _first(grey, (0, low, width, end), level, 1, -1)
    return Box(x0, y0, max(x1 - x0, 0), max(y1 - y0, 0))


def _first(
    grey: Image.Image, strip: tuple[int, int, int, int], level: int, axis: int, step: int = 1
) -> int:
    """How many columns (axis 0) or rows (axis 1) of a strip are rim, from its beginning or end."""
    width, height = strip[2] - strip[0], strip[3] - strip[1]
    data = b"".join(raw_pixels(grey, width * height, strip))
    pixels = np.frombuffer(data, np.uint8).reshape(height, width)
    found = np.flatnonzero(_is_other(pixels, level).any(axis=axis)[::step])
    return int(found[0]) if len(found) else 0


def _is_other(levels: npt.NDArray[np.uint8], level: int) -> Any:
    # Below the least, bytes wrap around to large values.
    low, high = max(level - RIM_LEVELS, 0), min(level + RIM_LEVELS, 255)
    return levels - np.uint8(low) > np.uint8(high - low)
