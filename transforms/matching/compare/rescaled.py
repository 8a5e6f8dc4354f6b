"""A second look at two drawings that were found the same at nearly the same scale.

A page that PDFium renders at 144 and at 150 dpi has its glyphs up to a pixel off their places. That
noise hides a comma in place of a point, so the comparison of cells accepts both. Here each piece of
ink must agree by itself, with all pixels: `glyphs.py`. It only refuses.
"""

from __future__ import annotations

import io

import cv2
import numpy as np
from cauldron.transforms.matching.compare.comparison import Comparison
from cauldron.transforms.matching.compare.glyphs import largest_error
from cauldron.transforms.matching.compare.prepared import Prepared, without_rim
from cauldron.transforms.matching.compare.scaling import Plane, resampled
from cauldron.transforms.matching.views import CONTENT
from cauldron.transforms.pictures.png import decode_png
from PIL import Image

# Sides of the smaller one, in those of the larger.
_LEAST_SCALE = 0.85
# The largest error of a piece, in grey levels.
MOST_ERROR = 44.0


def needs_second_look(found: Comparison, first: Prepared, second: Prepared) -> bool:
    """Whether two pictures are the same, but drawings at nearly the same scale.

    Args:
        found: of `first` and `second`.
    """
    if not (found.same and found.whole and first.drawing and second.drawing):
        return False
    ratios = [a / b for a, b in zip(first.size, second.size, strict=True)]
    scales = [min(ratio, 1 / ratio) for ratio in ratios]
    return first.size != second.size and min(scales) >= _LEAST_SCALE


def pieces_differ(first: bytes, second: bytes, pairing: tuple[int, int]) -> bool:
    """Whether a piece of ink differs, in the views of two stored pictures."""
    planes = [_greys(*one) for one in zip((first, second), pairing, strict=True)]
    coarser, finer = sorted(planes, key=lambda plane: plane.size)
    return least_error(finer, coarser) > MOST_ERROR


def least_error(finer: Plane, coarser: Plane) -> float:
    """The largest error of a piece, with the resampling that leaves less.

    Pillow's BOX leaves out and repeats pixels at such scales, which no blur explains. It moves
    nothing.
    """
    error = largest_error(finer, coarser, MOST_ERROR)
    if error <= MOST_ERROR:
        return error
    (high, wide), (height, width) = finer.shape, coarser.shape
    boxed = resampled(finer, width, height, (0.0, 0.0, wide, high), cubic=False)
    return min(error, largest_error(boxed, coarser, MOST_ERROR, moved=False))


def _greys(data: bytes, view: int) -> Plane:
    """All pixels of a view, the luma of ITU-R 601."""
    pixels = decode_png(data)
    if pixels is None:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
            pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    if view == CONTENT:
        found = without_rim(pixels)
        pixels = np.ascontiguousarray(found[0]) if found else pixels
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels
