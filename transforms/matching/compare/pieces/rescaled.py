"""A second look at two drawings that were found the same at nearly the same scale.

PDFium puts glyphs on whole pixels. So at another resolution each is up to a pixel off its place,
and the errors at edges hide a comma in place of a point. Here each piece of connected ink is moved
by itself, in quarters of a pixel, with all pixels that the pictures have. It must agree then, pixel
by pixel and as a whole. This only refuses pairs.
"""

from __future__ import annotations

import io
import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from cauldron.transforms.compiled import compiled
from cauldron.transforms.matching.compare.comparison import BAR, Comparison
from cauldron.transforms.matching.compare.pieces.glyphs import largest_of
from cauldron.transforms.matching.compare.scaling import Plane, resampled
from cauldron.transforms.pictures.png import decode_png
from PIL import Image

# Width and height.
Size = tuple[int, int]

# Sides of the smaller picture, in those of the larger.
_LEAST_SCALE = 0.85
# Parts by which contents may be scaled otherwise than pictures: noise of JPEG may add to them.
_MOST_APART = 0.01
# Larger pictures are not looked at: A4 at 400 dpi. A dozen planes of that size are held.
_MOST_PIXELS = 16_800_000
# The largest error of a piece, in grey levels. Of drawn pages at 144 and 150 dpi with a character
# changed, black and grey, 8 to 12 points, the least was 62. Half of the unchanged are below 38.
MOST_ERROR = 44.0

# Ink is further from its ground than this part of the strongest ink around it, and than so many
# levels. Where pieces touch, what has less of that is compared with none.
_INK, _LEAST_INK = 80 / 255, 32
_EDGE = 0.5
_AROUND = np.ones((7, 7), np.uint8)
# The ground is the median of so many pixels a side, of every fourth pixel.
_GROUND, _STEP = 31, 4
# Contrast of strokes of black on white. Errors of fainter pieces count for as much more.
_BLACK = 230.0
# Pixels around ink that are compared with it, at the coarser resolution.
_REACH = 2.5
# The scale of a stroke: noise of JPEG averages out.
_STROKE = 0.7
# The part of a pixel's width by which PDFium's own averaging of areas blurs.
_AREA = 0.1
# Levels that a difference of all of a piece's ink counts as.
_PER_INK = 450.0
# Quarters of a pixel that a piece is moved down and across; whole halves, then nearer ones first.
_FARTHEST = 4
_MOVES = np.array(
    sorted(
        (
            (i, j)
            for i in range(-_FARTHEST, _FARTHEST + 1)
            for j in range(-_FARTHEST, _FARTHEST + 1)
        ),
        key=lambda move: (move[0] % 2 + move[1] % 2 > 0, move[0] ** 2 + move[1] ** 2, move),
    )
)


def needs_second_look(
    found: Comparison, sizes: tuple[Size, Size], contents: tuple[Size, Size] | None
) -> bool:
    """Whether two drawings that were found the same are at nearly the same scale.

    Args:
        found: that they are the same, by any view.
        sizes: width and height of both.
        contents: of their contents, if these were compared; at another scale they change alike.
    """
    scales = _scales(*sizes)
    if sizes[0] == sizes[1] or min(*scales, *(1 / s for s in scales)) < _LEAST_SCALE:
        return False
    if contents is None:
        return found.whole
    pairs = zip(scales, _scales(*contents), strict=True)
    return all(abs(inner / whole - 1) < _MOST_APART for whole, inner in pairs)


def _scales(first: Size, second: Size) -> list[float]:
    return [a / b for a, b in zip(first, second, strict=True)]


def refused(found: Comparison) -> Comparison:
    """Different after all: the score is just below the threshold."""
    return replace(found, same=False, whole=False, score=min(found.score, BAR - 1e-4))


def pieces_differ(first: bytes, second: bytes, sizes: tuple[Size, Size]) -> bool:
    """Whether a piece of ink differs, in two stored pictures of these sizes; or may, in pictures
    that are too large to look at."""
    if max(width * height for width, height in sizes) > _MOST_PIXELS:
        return True
    coarser, finer = sorted(map(greys_of, (first, second)), key=lambda plane: plane.size)
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


def greys_of(data: bytes) -> Plane:
    """All pixels, the luma of ITU-R 601."""
    pixels = decode_png(data)
    if pixels is None:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
            pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels


def largest_error(
    finer: Plane, coarser: Plane, enough: float = math.inf, moved: bool = True
) -> float:
    """The largest error over all pieces of ink of both, each where it has least.

    A copy that was resampled has small errors without that any piece is moved. Then no piece's ink
    as a whole is compared: filters that sharpen add to it.

    Args:
        finer, coarser: greys of one frame, in bytes; the coarser has fewer pixels.
        enough: up to this a piece is not moved further; above it nothing else is looked at.
        moved: whether pieces are moved at all.

    Returns:
        Grey levels, as if ink were black on white; only above `enough` or not, if that is given.
    """
    scale = coarser.shape[1] / finer.shape[1]
    blur = math.sqrt((_STROKE / scale) ** 2 + _AREA * (1 / scale**2 - 1))
    a = cv2.GaussianBlur(finer.astype(np.float32), (0, 0), blur)
    b = cv2.GaussianBlur(coarser.astype(np.float32), (5, 5), _STROKE)
    contrast = _contrast(coarser)
    edges = contrast.astype(np.float32) > _EDGE * _threshold(contrast)
    found = (
        _pieces(contrast, _REACH, edges),
        _pieces(_contrast(finer), _REACH / scale + 1, edges),
    )
    pieces = [one for one in found if one is not None]

    def worst(moves: Any, per_ink: float) -> float:
        largest = 0.0
        for one in pieces:
            largest = max(largest, largest_of(a, b, contrast, *one, moves, per_ink, enough))
            if largest > enough:
                break
        return largest

    unmoved = worst(_MOVES[:1], 0.0)
    if unmoved <= enough < math.inf or not moved:
        return unmoved
    return min(unmoved, worst(_MOVES, _PER_INK))


def _contrast(greys: Plane) -> Plane:
    """Levels by which each pixel is off the ground around it."""
    height, width = greys.shape
    size = max(1, width // _STEP), max(1, height // _STEP)
    ground = cv2.medianBlur(cv2.resize(greys, size, interpolation=cv2.INTER_AREA), _GROUND)
    return cv2.absdiff(greys, cv2.resize(ground, (width, height), interpolation=cv2.INTER_LINEAR))


def _threshold(contrast: Plane) -> Plane:
    strongest = cv2.dilate(contrast, _AROUND).astype(np.float32)
    return np.maximum(strongest * np.float32(_INK), np.float32(_LEAST_INK))


def _pieces(contrast: Plane, reach: float, edges: Plane) -> tuple[Plane, Plane, Plane] | None:
    """Which piece each pixel of the coarser picture is compared with, from 1; boxes; weights of
    errors.

    Args:
        contrast: of either picture; its pieces are told.
        reach: pixels around ink that belong to it.
        edges: of the coarser picture.
    """
    (high, wide), (height, width) = contrast.shape, edges.shape
    ink = (contrast > _threshold(contrast)).astype(np.uint8)
    labels, boxes = cv2.connectedComponentsWithStats(ink, connectivity=8)[1:3]
    if len(boxes) < 2:
        return None
    distance, nearest = cv2.distanceTransformWithLabels(
        1 - ink, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP
    )
    numbers = np.zeros(int(nearest.max()) + 1, np.int32)
    numbers[nearest[ink > 0]] = labels[ink > 0]
    strongest = np.zeros(len(boxes), np.uint8)
    _strongest(labels, contrast, strongest)
    owner = np.where(distance <= reach, numbers[nearest], 0)
    if contrast.shape != edges.shape:
        owner = owner[_places(height, high)][:, _places(width, wide)]
    owner = np.ascontiguousarray(owner).astype(np.int32)
    # Where two pieces touch, only ink counts: what is beside it may be the other one's.
    levels = owner.astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    lowest = cv2.erode(np.where(owner == 0, np.float32(1e9), levels), kernel)
    owner[(cv2.dilate(levels, kernel) != lowest) & ~edges] = 0
    places = boxes[1:, :4] * np.array([width / wide, height / high] * 2)
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
