"""The rim of a picture: a border, or padding, of one colour. What is inside is its content.

`pictures.content` finds the same at ingest, on reduced grey levels; here all pixels count.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from cauldron.transforms.compiled import compiled
from cauldron.transforms.matching.compare.scaling import Plane
from cauldron.transforms.pictures.content import RIM_LEVELS, Box, is_content


class Rim(NamedTuple):
    """What is around the content of a picture: one colour, nothing else.

    Attributes:
        colour: red, green, blue; or three times grey.
        around: whether it is at all four sides.
    """

    colour: tuple[int, int, int]
    around: bool


def without_rim(pixels: Plane) -> tuple[Plane, Rim] | None:
    """The content of a picture; None without a rim, or with little inside it.

    As `pictures.content.content_box`, of all pixels and in colour.
    """
    height, width = pixels.shape[:2]
    best, rim = Box(0, 0, width, height), None
    channels = pixels.reshape(height, width, -1)
    for corner in (channels[0, 0], channels[-1, -1]):
        levels = np.broadcast_to(corner, 3).astype(int)
        x0, y0, x1, y1 = _bounds(channels, corner.astype(np.int32), RIM_LEVELS)
        if x1 == 0:
            return None
        box = Box(x0, y0, x1 - x0, y1 - y0)
        if box.width * box.height < best.width * best.height:
            around = min(x0, y0, width - x1, height - y1) > 0
            red, green, blue = levels.tolist()
            best, rim = box, Rim((red, green, blue), around)
    if rim is None or not is_content(best, width, height):
        return None
    x0, y0 = best.left, best.top
    return pixels[y0 : y0 + best.height, x0 : x0 + best.width], rim


@compiled
def _bounds(pixels: Any, colour: Any, most: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is further from a colour; all 0 if nothing is.

    It reads the rim and little more. OpenCV's `reduce` took 4 ms for the columns of a page.
    """
    height, width = pixels.shape[:2]
    left, top, right, bottom = width, height, 0, 0
    for y in range(height):
        for x in range(left):
            if _is_off(pixels[y, x], colour, most):
                left, top = x, min(top, y)
                break
    if left == width:
        return 0, 0, 0, 0
    for y in range(top, height):
        for x in range(width - 1, right - 1, -1):
            if _is_off(pixels[y, x], colour, most):
                right = x + 1
                break
    for y in range(height - 1, top - 1, -1):
        for x in range(left, right):
            if _is_off(pixels[y, x], colour, most):
                bottom = y + 1
                break
        if bottom:
            break
    return left, top, right, bottom


@compiled
def _is_off(pixel: Any, colour: Any, most: int) -> bool:
    off = False
    for channel in range(len(colour)):
        off |= abs(np.int32(pixel[channel]) - colour[channel]) > most
    return off
