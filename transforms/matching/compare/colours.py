"""The same picture in other colours: a verdict of its own, on pairs that are not simply the same.

Two pictures that agree in grey are the same in other colours only if the colours of one follow from
those of the other everywhere: grey, or more or less saturated, by one factor. Two series of a chart
that exchange their colours agree in grey and are different pictures.

A photograph of at most 256 colours has edges where its original has none. It is a copy of the other
picture if no place of them is far apart. For drawings this says nothing: one digit is not far.

What colours cannot tell is the grey copy of a picture whose colours were exchanged: it is equal to
the grey copy of the picture itself.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from cauldron.transforms.compiled import compiled
from cauldron.transforms.matching.compare.comparison import BAR, Comparison, compare
from cauldron.transforms.matching.compare.prepared import Prepared
from cauldron.transforms.matching.compare.scaling import Plane, averaged

# Differences of colour that noise explains, in levels of Cb and Cr, and the part of the colour
# around a pixel that clipping and subsampling explain. Of 24 pictures in four alterations the
# largest difference was 0.9 times this; with an object or a series in another colour 1.14 or more.
_NOISE = 5.0
_EXPLAINED = 0.35
# The same for copies under a mark, which have no other noise than that of compression: 84 copies
# reach 0.7 times this, with an object in another colour the smallest difference is 1.7.
_NOISE_OF_MARK, _EXPLAINED_OF_MARK = 8.0, 0.12
_NEAR = 2
# The least difference that is one of colours.
_LEAST_APART = 1.5

# A photograph and its copy with 64 or 256 colours: the largest difference of grey levels, averaged
# over 7 x 7 pixels, and of Cb and Cr, averaged over 21 x 21 at 256 a side. Of 24 copies 22 have up
# to 31 and 22; with an object moved, removed or in another colour one of the two is over 41 or 29.
_AROUND, _MOST_LEVELS, _LEVELS_OF_CONTRAST = (7, 7), 36.0, 0.9
_FAR_AROUND, _MOST_CHROMA = (21, 21), 25.0

F32 = npt.NDArray[np.float32]


def compare_colours(first: Prepared, second: Prepared, known: Comparison) -> Comparison | None:
    """Whether two pictures are the same in other colours; None if they are not. Symmetric.

    Args:
        known: their comparison, which did not find them the same.
    """
    if first.blank or second.blank:
        return None
    if not known.grey and are_other_colours(first.colours, second.colours):
        found = compare(_without_colours(first), _without_colours(second))
        if found.same:
            return found
    if known.drawing or not (first.palette or second.palette):
        return None
    return _palette_of_photograph(first, second)


def are_other_colours(first: Plane, second: Plane) -> bool:
    """Whether the colours of one are those of the other, weaker or stronger by one factor, and not
    the same.

    Args:
        first, second: (height, width, 3), RGB; of the same frame.
    """
    one, other = _chroma(first, second)
    products = _products(one, other, _LEAST_APART)
    return products[0] >= 0.01 * one.size and _follow(one, other, products)


def colours_follow(first: Plane, second: Plane, least: float | None = None) -> bool:
    """Whether the colours of one are those of the other times one factor.

    Args:
        least: the colours of `first` may instead be those of `second` times any factor from this
            to 1, another one at each place.
    """
    one, other = _chroma(first, second)
    if least is not None:
        low, high = np.minimum(other, least * other), np.maximum(other, least * other)
        return _agree(one, np.clip(one, low, high), other, _NOISE_OF_MARK, _EXPLAINED_OF_MARK)
    return _follow(one, other, _products(one, other, _LEAST_APART))


def colours_agree(first: Plane, second: Plane) -> bool:
    """Whether the colours of two pictures of one frame are the same but for noise."""
    one, other = _chroma(first, second)
    return _agree(one, other, other, _NOISE, _EXPLAINED) or _agree(
        other, one, one, _NOISE, _EXPLAINED
    )


def _follow(one: F32, other: F32, products: tuple[int, float, float, float]) -> bool:
    """Args: products: as `_products` returns them."""
    _, square, shared, other_square = products
    weak, strong = (other, one) if other_square < square else (one, other)
    expected = strong * np.float32(max(shared, 0.0) / max(square, other_square, 1.0))
    return _agree(weak, expected, expected, _NOISE, _EXPLAINED)


@partial(compiled, fast=True)
def _products(one: Any, other: Any, least: float) -> tuple[int, float, float, float]:
    """How many values are at least so far apart; sums of squares of one, of both, of the other."""
    differing, square, shared, other_square = 0, 0.0, 0.0, 0.0
    for y in range(len(one)):
        aa: Any = np.float32(0)
        ab: Any = np.float32(0)
        bb: Any = np.float32(0)
        for x in range(one.shape[1]):
            for channel in range(2):
                a, b = one[y, x, channel], other[y, x, channel]
                aa, ab, bb = aa + a * a, ab + a * b, bb + b * b
                differing += abs(a - b) >= least
        square, shared, other_square = square + aa, shared + ab, other_square + bb
    return differing, square, shared, other_square


@compiled
def _agree(found: Any, expected: Any, colours: Any, noise: float, explained: float) -> bool:
    """Whether Cb and Cr are as expected, but for noise and a part of the colours around."""
    height, width = found.shape[:2]
    for y in range(height):
        for x in range(width):
            apart = max(
                abs(found[y, x, 0] - expected[y, x, 0]), abs(found[y, x, 1] - expected[y, x, 1])
            )
            if apart <= noise:
                continue
            strongest = np.float32(0)
            for row in range(max(y - _NEAR, 0), min(y + _NEAR + 1, height)):
                for column in range(max(x - _NEAR, 0), min(x + _NEAR + 1, width)):
                    for channel in range(2):
                        strongest = max(strongest, abs(colours[row, column, channel]))
            if apart > noise + explained * strongest:
                return False
    return True


def _chroma(first: Plane, second: Plane) -> tuple[F32, F32]:
    """Cb and Cr of both at the smaller size of the two, each (height, width, 2), 0 for grey."""
    height, width = _smaller(first, second)
    planes = []
    for pixels in (first, second):
        same = pixels.shape[:2] == (height, width)
        small = pixels if same else averaged(pixels, width, height)
        both = cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb)
        planes.append(cv2.boxFilter(both, cv2.CV_32F, (3, 3))[:, :, 1:] - np.float32(128))
    return planes[0], planes[1]


def _smaller(first: Plane, second: Plane) -> tuple[int, int]:
    height, width = (min(sides) for sides in zip(first.shape[:2], second.shape[:2], strict=True))
    return height, width


def _without_colours(picture: Prepared) -> Prepared:
    grey = cv2.cvtColor(picture.colours, cv2.COLOR_RGB2GRAY)
    return replace(picture, colours=cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB))


def _palette_of_photograph(first: Prepared, second: Prepared) -> Comparison | None:
    height, width = _smaller(first.greys, second.greys)
    a, b = (
        cv2.resize(one.greys, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
        for one in (first, second)
    )
    one, other = _chroma(first.colours, second.colours)
    most = min(_MOST_LEVELS, _LEVELS_OF_CONTRAST * float(min(a.std(), b.std())))
    worst = max(
        float(np.abs(cv2.blur(a - b, _AROUND)).max()) / most if most else 2.0,
        float(np.abs(cv2.blur(one - other, _FAR_AROUND)).max()) / _MOST_CHROMA,
    )
    return None if worst > 1 else Comparison(round(1 - (1 - BAR) * worst, 4), False, True)
