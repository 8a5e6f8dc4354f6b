"""A decoded picture, prepared for comparisons.

A `Prepared` picture has its grey levels at up to `MOST_PIXELS` (A4 at about 100 dpi, where 10-point
type is 14 pixels high), a pyramid of them for registration, and its colours at `COLOUR_SIDE`: at
most 1.8 MB. A smaller limit would be faster, but single digits could no longer be told apart.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from cauldron.transforms.compiled import compiled
from cauldron.transforms.matching.compare.neighbours import ink_of, sharpness_of
from cauldron.transforms.matching.compare.rims import Rim, without_rim
from cauldron.transforms.matching.compare.scaling import Plane, averaged, resampled
from cauldron.transforms.pictures.png import decode_png
from cauldron.transforms.pictures.signatures import DRAWING_GROUND, is_blank
from PIL import Image

MOST_PIXELS = 1_050_000
# As many at most if two pictures are in doubt and one of them was reduced to that: A4 at 200 dpi.
FINE_PIXELS = 4 * MOST_PIXELS
# Larger pictures are scaled by a power of this. A picture and its crop then mostly have the same
# scale, and need no resampling to be compared.
_STEP = 2**-0.25

LEVELS = (32, 64, 128, 256)
COLOUR_SIDE = 256
MIDDLE_SIDE = 512

# Grey levels to each side of the most frequent one that count as background, as at ingest.
_GROUND = 2

# The most colours of a palette, and about how many pixels are looked at.
PALETTE = 256
_SAMPLES = 16_384
_PACKED = np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A decoded picture. What only some comparisons need is computed when it is first asked for.

    Attributes:
        size: width and height of the stored picture.
        frame: the part of `size` that `greys` covers. Scaling cuts off a fraction of a pixel, so
            that the scale is exact.
        greys: (height, width), the luma of ITU-R 601.
        levels: `greys` with the longest side at most each of `LEVELS`.
        colours: (height, width, 3), RGB, longest side at most `COLOUR_SIDE`.
        sharpness: mean strength of edges; a blurred copy of the same scale has less.
        drawing: text or line art: a large part has one grey level.
        blank: without structure, see `is_blank`.
        palette: whether there are `PALETTE` colours at most, among evenly spaced pixels. A grey
            picture has no palette.
        rim: what was cut off around it, if it is the content of a picture.
    """

    size: tuple[int, int]
    frame: tuple[float, float]
    greys: Plane
    levels: tuple[Plane, ...]
    colours: Plane
    sharpness: float
    drawing: bool
    blank: bool
    palette: bool
    rim: Rim | None = None

    @cached_property
    def smooth(self) -> tuple[Plane, ...]:
        """`levels` in 32-bit floats, blurred for registration."""
        return tuple(cv2.GaussianBlur(p.astype(np.float32), (0, 0), 0.7) for p in self.levels)

    @cached_property
    def ink_middle(self) -> Plane:
        """The largest contrast in each cell of `middle`."""
        return ink_of(self.middle)

    @cached_property
    def ink_small(self) -> Plane:
        """The same of the finest of `levels`."""
        return ink_of(self.levels[-1])

    @cached_property
    def middle(self) -> Plane:
        """`greys` with the longest side at most `MIDDLE_SIDE`."""
        return _reduced(self.greys, MIDDLE_SIDE)

    @property
    def reduced(self) -> bool:
        """Whether `greys` has fewer pixels than the picture."""
        return self.greys.shape[1] < self.size[0]

    @property
    def can_be_fine(self) -> bool:
        """Whether `FINE_PIXELS` are enough for all of it."""
        return self.size[0] * self.size[1] <= FINE_PIXELS


def prepare(data: bytes, most: int = MOST_PIXELS) -> Prepared:
    """Decode a stored picture: JPEG, PNG or WebP, RGB or L.

    Args:
        most: pixels of `greys`; a larger picture is reduced.
    """
    return _prepared(*_decoded(data, most), most)


def prepare_views(
    data: bytes, drawing: bool, most: int = MOST_PIXELS
) -> tuple[Prepared, Prepared | None]:
    """A stored picture, and its content without the rim; None if it has no rim.

    The content is found again, in all pixels that were decoded: what is outside must be of one
    colour, as it is not compared.

    Args:
        drawing: whether the whole picture is one. Its content then is one too, though it has less
            paper.
    """
    pixels, size, decoded = _decoded(data, most)
    whole = _prepared(pixels, size, decoded, most)
    found = without_rim(pixels)
    if found is None:
        return whole, None
    inside, rim = found
    width, height = (int(side / decoded) for side in (inside.shape[1], inside.shape[0]))
    content = _prepared(np.ascontiguousarray(inside), (width, height), decoded, most)
    return whole, replace(content, drawing=drawing or content.drawing, rim=rim)


def prepare_pixels(pixels: Plane) -> Prepared:
    """A picture that was decoded to (height, width) or (height, width, 3), RGB."""
    return _prepared(pixels, (pixels.shape[1], pixels.shape[0]), 1.0)


def _prepared(
    pixels: Plane, size: tuple[int, int], decoded: float, most: int = MOST_PIXELS
) -> Prepared:
    """Args: as `_decoded` returns them; and as `prepare`."""
    greys = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels
    factor = _factor(*size, most)
    target = max(1, int(size[0] * factor)), max(1, int(size[1] * factor))
    frame = min(target[0] / factor, size[0]), min(target[1] / factor, size[1])
    if factor < 1:
        greys = resampled(
            greys, *target, (0.0, 0.0, frame[0] * decoded, frame[1] * decoded), cubic=True
        )
    levels = [greys]
    for side in reversed(LEVELS):
        levels.append(_reduced(levels[-1], side))
    ground = _ground(levels[2])
    return Prepared(
        size,
        frame,
        greys,
        tuple(levels[:0:-1]),
        _coloured(_reduced(pixels, COLOUR_SIDE)),
        sharpness_of(greys),
        ground >= DRAWING_GROUND,
        is_blank(int(ground)),
        _has_palette(pixels),
    )


def _decoded(data: bytes, most: int) -> tuple[Plane, tuple[int, int], float]:
    """Pixels, grey or RGB; width and height of the picture; by what the pixels are scaled.

    Of a large JPEG libjpeg decodes a half, a quarter or an eighth in less time. Otherwise the
    pixels are those of Pillow, from faster decoders. OpenCV, which accepts truncated files, only
    sees what ingest found complete.
    """
    pixels = decode_png(data)
    if pixels is not None:
        return pixels, (pixels.shape[1], pixels.shape[0]), 1.0
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
        size, scale = image.size, 1.0
        factor = _factor(*size, most)
        if factor < 1:
            target = max(1, int(size[0] * factor)), max(1, int(size[1] * factor))
            drafted = image.draft(None, target)
            scale = drafted[1][2] / size[0] if drafted else 1.0
        elif image.format == "JPEG":
            flags = cv2.IMREAD_COLOR_RGB if image.mode == "RGB" else cv2.IMREAD_GRAYSCALE
            packed = np.frombuffer(data, np.uint8)
            found = cv2.imdecode(packed, flags | cv2.IMREAD_IGNORE_ORIENTATION)
            if found is not None:
                return found, size, scale
        return np.asarray(image if image.mode == "L" else image.convert("RGB")), size, scale


def colours_in(pixels: Plane) -> npt.NDArray[np.uint32]:
    """The colours of (height, width, 3) pixels, each once: ``red << 16 | green << 8 | blue``."""
    return np.unique(pixels.astype(np.uint32) @ _PACKED)


def _has_palette(pixels: Plane) -> bool:
    step = max(1, math.isqrt(pixels.shape[0] * pixels.shape[1] // _SAMPLES))
    return pixels.ndim == 3 and bool(_has_few_colours(pixels, step, PALETTE))


@compiled
def _has_few_colours(pixels: Any, step: int, most: int) -> bool:
    """Whether every `step`-th pixel of every `step`-th row has one of at most so many colours."""
    places = 8 * most  # of a table that is never full
    table, count = np.full(places, -1, np.int64), 0
    for y in range(0, pixels.shape[0], step):
        for x in range(0, pixels.shape[1], step):
            pixel = pixels[y, x]
            colour = np.int64(pixel[0]) << 16 | np.int64(pixel[1]) << 8 | np.int64(pixel[2])
            at = colour * 40503 % places
            while table[at] >= 0 and table[at] != colour:
                at = (at + 1) % places
            if table[at] < 0:
                table[at], count = colour, count + 1
                if count > most:
                    return False
    return True


def _coloured(plane: Plane) -> Plane:
    return plane if plane.ndim == 3 else cv2.cvtColor(plane, cv2.COLOR_GRAY2RGB)


def _factor(width: int, height: int, most: int) -> float:
    factor = 1.0
    while width * factor * height * factor > most:
        factor *= _STEP
    return factor


def _reduced(plane: Plane, side: int) -> Plane:
    height, width = plane.shape[:2]
    if max(width, height) >= 2 * side:
        # Averages of two by two pixels, ten times as fast as averages of other areas.
        half = (width + 1) // 2, (height + 1) // 2
        return _reduced(cv2.resize(plane, half, interpolation=cv2.INTER_LINEAR), side)
    factor = min(1.0, side / max(width, height))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    if size == (width, height):
        return plane
    return averaged(plane, *size)


def _ground(greys: Plane) -> float:
    """As `ground_of` at ingest, not rounded."""
    counts = np.bincount(greys.ravel(), minlength=256)
    around = np.convolve(counts, np.ones(2 * _GROUND + 1, np.int64), "same")
    return float(around.max() * 255 / greys.size)
