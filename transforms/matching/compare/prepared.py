"""One decoded picture ready for comparisons, and how the light of two of them differs.

A `Prepared` picture keeps its greys at up to `MOST_PIXELS` (A4 at about 100 dpi, where 10-point
type is 14 pixels high), a pyramid of them for registration, and its colours at `COLOUR_SIDE`:
at most 1.4 MB. Smaller would be cheaper, and would lose the digit that makes another table.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from cauldron.transforms.signatures import DRAWING_GROUND
from PIL import Image

# The names say what is meant: types of NumPy's and OpenCV's results are wider than their values.
# A picture or a channel, of bytes or of 32-bit floats; OpenCV's types know no more.
Plane = npt.NDArray[Any]
F64 = npt.NDArray[Any]

MOST_PIXELS = 1_050_000
# Larger pictures are scaled by powers of this and no factor in between: a picture and its crop
# then mostly come out at one scale, and need no resampling against each other.
_STEP = 2**-0.25

LEVELS = (32, 64, 128, 256)
COLOUR_SIDE = 256

# Levels of grey to each side of the commonest that count as ground, as at ingest.
_GROUND = 2

_THREE = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A picture as the comparison wants it.

    Attributes:
        size: width and height of the stored picture.
        frame: how much of these `greys` cover; a fraction of a pixel is cut off where they were
            scaled, so that the scale is exact.
        greys: (height, width), the luma of ITU-R 601.
        levels: `greys` with the longest side at most each of `LEVELS`.
        colours: (height, width, 3), RGB, longest side at most `COLOUR_SIDE`.
        sharpness: mean strength of edges; of two pictures of one scale, the less blurred has more.
        drawing: text and line art: a large part has one grey.
    """

    size: tuple[int, int]
    frame: tuple[float, float]
    greys: Plane
    levels: tuple[Plane, ...]
    colours: Plane
    sharpness: float
    drawing: bool


def prepare(data: bytes) -> Prepared:
    """Decode a stored picture: JPEG, PNG or WebP, RGB or L."""
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
        size = image.size
        factor = _factor(*size)
        target = max(1, int(size[0] * factor)), max(1, int(size[1] * factor))
        frame = min(target[0] / factor, size[0]), min(target[1] / factor, size[1])
        # Takes effect for JPEG alone: libjpeg decodes to 1/2, 1/4 or 1/8 for less.
        drafted = image.draft(None, target) if factor < 1 else None
        plain = image.convert("RGB")
    if factor < 1:
        decoded = drafted[1][2] / size[0] if drafted else 1.0
        box = 0, 0, frame[0] * decoded, frame[1] * decoded
        plain = plain.resize(target, Image.Resampling.BICUBIC, box=box)
    pixels = np.asarray(plain)
    greys = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    levels = [greys]
    for side in reversed(LEVELS):
        levels.append(_reduced(levels[-1], side))
    edges = np.abs(cv2.Laplacian(greys, cv2.CV_16S))
    return Prepared(
        size,
        frame,
        greys,
        tuple(levels[:0:-1]),
        _reduced(pixels, COLOUR_SIDE),
        round(float(edges.mean()), 4),
        _ground_share(levels[2]) >= DRAWING_GROUND / 255,
    )


def _factor(width: int, height: int) -> float:
    factor = 1.0
    while width * factor * height * factor > MOST_PIXELS:
        factor *= _STEP
    return factor


def _reduced(plane: Plane, side: int) -> Plane:
    height, width = plane.shape[:2]
    factor = min(1.0, side / max(width, height))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    if size == (width, height):
        return plane
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA)


def _ground_share(greys: Plane) -> float:
    counts = np.bincount(greys.ravel(), minlength=256)
    around = np.convolve(counts, np.ones(2 * _GROUND + 1, np.int64), "same")
    return float(around.max() / greys.size)


def contrast(plane: Plane) -> Plane:
    """The range of values among the 3 x 3 neighbours of each pixel, by channel."""
    return cv2.absdiff(cv2.dilate(plane, _THREE), cv2.erode(plane, _THREE))


def strongest(plane: Plane) -> Plane:
    """The largest of the channels of each pixel; NumPy takes ten times as long."""
    one, two, three = cv2.split(plane)
    return cv2.max(cv2.max(one, two), three)


def cell_maxima(plane: Plane, side: int) -> Plane:
    """The largest value in each cell of `side` x `side` pixels, `side` even."""
    height, width = plane.shape
    padded = cv2.copyMakeBorder(
        plane, 0, -height % side, 0, -width % side, cv2.BORDER_CONSTANT, value=0
    )
    # Dilation by a square of even side looks at side / 2 pixels before and one less behind.
    spread = cv2.dilate(padded, np.ones((side, side), np.uint8))
    return spread[side // 2 :: side, side // 2 :: side]


class Tone(NamedTuple):
    """How the darker of two pictures becomes the lighter: ``clip(gain * grey + offset)``.

    Attributes:
        first: whether the first picture is the darker.
    """

    gain: float
    offset: float
    first: bool

    @property
    def equal(self) -> bool:
        return self.gain == 1.0 and self.offset == 0.0

    def table(self) -> Plane:
        values = np.rint(np.arange(256) * self.gain + self.offset)
        return np.clip(values, 0, 255).astype(np.uint8)

    def level(self, first: Plane, second: Plane) -> tuple[Plane, Plane]:
        """Both pictures in the light of the lighter."""
        if self.equal:
            return first, second
        if self.first:
            return cv2.LUT(first, self.table()), second
        return first, cv2.LUT(second, self.table())


# Places that tell the light: smooth in both pictures, so that edges a little apart do not count.
_SMOOTH = 40
_SAMPLES = 400
# Paper that is white in both pictures, or ink that is black, says nothing.
_WHITE, _BLACK = 250, 5
_EQUAL_LIGHT = 1.5
_GAINS = (1.0, 1.12, 1.25, 0.9)
_CAP = 25.0


def fit_tone(a: F64, b: F64) -> Tone:
    """The light of two pictures, from values that each has at the same places.

    Clipping is part of the model: a picture made lighter by a fifth loses its light tints.
    """
    darker = bool(a.sum() <= b.sum())
    x, y = (a, b) if darker else (b, a)
    known = _cost(x, y, 1.0, 0.0)
    best = (known, 1.0, 0.0)
    if known > _EQUAL_LIGHT:
        fits = (_fit_from(gain, x, y) for gain in _GAINS)
        found = min((_cost(x, y, *fit), *fit) for fit in fits)
        # Text on white says little about light: where no other light is clearly better, there
        # is none.
        if found[0] < 0.8 * known:
            best = found
    return Tone(best[1], best[2], darker)


def smooth_samples(first: Plane, second: Plane) -> tuple[F64, F64]:
    """Colours of two registered pictures, (height, width, 3), where both are smooth."""
    rough = strongest(cv2.max(contrast(first), contrast(second))).ravel()
    places = _telling(strongest(first).ravel(), strongest(second).ravel())
    smooth = places[rough[places] < _SMOOTH]
    if len(smooth) < _SAMPLES // 4:
        smooth = places[np.argsort(rough[places], kind="stable")[: _SAMPLES // 4]]
    chosen = evenly(smooth, _SAMPLES)
    a, b = (plane.reshape(-1, 3)[chosen].ravel().astype(np.float64) for plane in (first, second))
    return a, b


def grey_samples(first: Plane, second: Plane) -> tuple[F64, F64]:
    """Greys of two exactly registered pictures, edges and all."""
    places = evenly(_telling(first.ravel(), second.ravel()), 6 * _SAMPLES)
    a, b = (plane.ravel()[places].astype(np.float64) for plane in (first, second))
    return a, b


def _telling(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.flatnonzero((np.minimum(a, b) < _WHITE) & (np.maximum(a, b) > _BLACK))


def evenly(values: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """At most `most` of the values, evenly spaced."""
    if len(values) <= most:
        return values
    return values[np.arange(most) * len(values) // most]


def _cost(x: F64, y: F64, gain: float, offset: float) -> float:
    if not len(x):
        return 0.0
    error = np.abs(y - np.clip(gain * x + offset, 0, 255))
    return float(np.minimum(error, _CAP).mean())


def _fit_from(start: float, x: F64, y: F64) -> tuple[float, float]:
    """Reweighted least squares on what is not clipped."""
    gain, offset = start, 0.0
    for _ in range(4):
        raw = gain * x + offset
        error = np.abs(y - np.clip(raw, 0, 255))
        typical = max(1.5 * float(np.median(error)), 2.0)
        weights = np.minimum(1.0, typical / np.maximum(error, 1e-6)) * ((raw > 0.5) & (raw < 254.5))
        total = float(weights.sum())
        if total < 20:
            break
        mx, my = float(weights @ x) / total, float(weights @ y) / total
        spread = float(weights @ (x - mx) ** 2) / total
        shared = float(weights @ ((x - mx) * (y - my))) / total
        # Where all samples have about one grey, the gain stays near where it began.
        gain = float(np.clip((shared + 30 * start) / (spread + 30), 0.6, 1.7))
        offset = float(np.clip(my - gain * mx, -40, 40))
    return gain, offset
