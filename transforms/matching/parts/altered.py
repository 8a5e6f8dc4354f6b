"""Copies whose levels were changed pixel by pixel, on the grid of pixels of the original.

What `compare` refuses for its levels is looked at once more, under a model that says for each
pixel which levels a copy may have. What the model does not explain is measured in cells of 8 x 8
pixels, in multiples of the noise, and the worst cell decides, as in `compare`. A changed digit
takes ink away at one place and adds it at another, which none of the models explains.

  - *tone*: all levels times a factor, plus another, and clipped: more or less contrast.
  - *palette*: each pixel has nearly the nearest of at most 256 colours.
  - *mark*: a half-transparent mark of one grey lies over a part of the picture: under it each level
    moves by one share towards the mark's, and elsewhere stays. So that added ink is no mark, the
    picture must be seen through it: where there is ink under the mark, it is as faint as the mark
    says; in a photograph texture is enough.

For contamination only: a wrong one costs a training row. Nothing is merged for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from cauldron.transforms.matching.compare.colours import colours_follow
from cauldron.transforms.matching.compare.comparison import BAR
from cauldron.transforms.matching.compare.neighbours import ink_of
from cauldron.transforms.matching.compare.prepared import PALETTE, Prepared, colours_in
from cauldron.transforms.matching.compare.scaling import Plane
from cauldron.transforms.matching.compare.whole_frame import inked, inner_maxima, noise_of, room

F32 = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Places = npt.NDArray[np.bool_]

# The largest error of a copy, in units of `room`; `compare` has 2 for drawings and 2.3.
_BAR = 2.0
# Of copies under a mark, whose edges compression disturbs. Of 84 copies the largest error is 2.15,
# of 104 look-alikes, with and without a mark, the smallest is 5.8.
_MARK_BAR = 3.0
# Of copies with another contrast. Of 47, saved as JPEG of quality 88, the largest error is 2.1; of
# 76 look-alikes the smallest is 10.4.
_TONE_BAR = 2.4
# Of photographs with a palette: in levels, and the most noise. Programs do not give each pixel the
# nearest colour, which leaves errors and no noise. Of 16 copies with 64 and 256 colours the largest
# error is 19, at a noise of up to 3.4; of their look-alikes with less than 5 the smallest is 25.
_PALETTE_LEVELS, _PALETTE_NOISE = 21.0, 5.0
_BLUR = (5, 5)

# Factors of tone, and the levels that are not clipped.
_FACTORS = (0.4, 2.5)
_UNCLIPPED = (4, 251)
# Errors beyond this are left out when a line is fitted, and the fewest pixels for one.
_OUTLIER = 30.0
_FEWEST = 100
_SAMPLES = 60_000

# A mark: the least difference, in levels; shares of the picture that it may cover, and its least
# width and height, and the width of its strokes, as shares of the sides; how much of the levels it
# may take.
_MARKED = {True: 14.0, False: 9.0}  # in drawings, in photographs
_COVERED = (0.002, 0.45)
_WIDE, _HIGH, _STROKE = 0.25, 0.08, 0.04
_OPAQUE = (0.2, 0.75)
# The mark's own level; groups of levels, the fewest pixels of one, and how far from the line of a
# mark a group may be.
_LEVELS = (-10, 265)
_GROUP = 16
_FEWEST_IN_GROUP = 8
_ON_LINE = 8.0
_SPAN = 24.0  # of levels that give a line
_OPAQUE_PARTS = 0.9
_MIDDLE = 0.7
# Ink under the mark: its contrast with what is most frequent there, how many pixels there must be,
# how far from their expected level most of them are, and how much of the error may be left that
# there would be if the ink was hidden.
_INK = 40.0
_FEWEST_SEEN = 12
_NEAR, _MOST_NEAR = 24.0, 0.55
_MOST_SEEN = 0.5
# Texture under the mark: the fewest pixels, their least standard deviation in levels, and how well
# those with and without the mark correlate.
_FEWEST_TEXTURED, _TEXTURE, _SEEN_TEXTURE = 200, 5.0, 0.65


class Line(NamedTuple):
    """``factor * level + offset``."""

    factor: float
    offset: float

    def of(self, levels: F32) -> F32:
        return np.asarray(self.factor * levels + self.offset, dtype=np.float32)


def tone_copy(ours: Pixels, theirs: Pixels, first: Prepared, second: Prepared) -> float | None:
    """The score of `ours` as `theirs` with another contrast; None if it is not.

    Args:
        ours, theirs: (height, width, 3), RGB.
        first, second: the same, prepared.
    """
    step = 1 + ours.size // (4 * _SAMPLES)
    a, b = (one.reshape(-1)[::step].astype(np.float32) for one in (theirs, ours))
    known = (b >= _UNCLIPPED[0]) & (b <= _UNCLIPPED[1])
    line = _fit(a[known], b[known])
    if line is None or not _FACTORS[0] <= line.factor <= _FACTORS[1]:
        return None
    levels = np.clip(np.rint(line.of(np.arange(256, dtype=np.float32))), 0, 255).astype(np.uint8)
    # Channels are clipped one by one, before they make a grey level.
    expected = cv2.LUT(theirs, levels)
    if not colours_follow(first.colours, cv2.LUT(second.colours, levels)):
        return None
    greys = [cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in (ours, expected)]
    error = greys[0].astype(np.float32) - greys[1]
    # Where contrast was taken away, as much as it was before.
    return _score(error / min(line.factor, 1.0), greys[0], greys[1], _TONE_BAR)


def palette_copy(ours: Pixels, theirs: Pixels, first: Prepared) -> float | None:
    """The score of `ours` as `theirs` with few colours; None if it is not.

    Args:
        ours, theirs: (height, width, 3), RGB.
        first: `ours`, prepared.
    """
    if not first.palette:
        return None
    known = colours_in(ours)
    if len(known) > PALETTE:
        return None
    colours = np.stack([known >> 16, known >> 8 & 255, known & 255], axis=1).astype(np.float32)
    apart = cv2.absdiff(ours, theirs).max(axis=2).astype(np.float32)
    greys = (cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in (ours, theirs))
    error = np.maximum(apart - _nearest(theirs, colours), 0)
    if first.drawing:
        return _score(error, *greys)
    largest, noise = _largest(error, *greys)
    return _scored(largest / _PALETTE_LEVELS) if noise <= _PALETTE_NOISE else None


def _nearest(pixels: Pixels, colours: F32) -> F32:
    """How far each pixel is from the nearest of some colours, in its farthest channel."""
    cells = (pixels >> 3).astype(np.uint32) @ np.array([1 << 10, 1 << 5, 1], dtype=np.uint32)
    used, places = np.unique(cells, return_inverse=True)
    centres = np.stack([used >> 10, used >> 5 & 31, used & 31], axis=1).astype(np.float32) * 8 + 4
    least = [
        np.abs(some[:, None] - colours[None]).max(axis=2).min(axis=1)
        for some in np.array_split(centres, 1 + len(centres) // 1024)
    ]
    result: F32 = np.concatenate(least)[places].reshape(pixels.shape[:2])
    return result


def marked_copy(ours: Prepared, theirs: Prepared) -> float | None:
    """The score of `ours` as `theirs` under a half-transparent mark; None if it is not."""
    a, b = (one.greys.astype(np.float32) for one in (theirs, ours))
    drawing = ours.drawing or theirs.drawing
    covered = _covered(a, b, _MARKED[drawing])
    if covered is None:
        return None
    line = _mark(a[covered], b[covered])
    if line is None:
        return None
    seen = _has_ink_below(a, b, covered, line)
    if not seen and (drawing or not _has_texture_below(a, b, covered)):
        return None
    if not colours_follow(ours.colours, theirs.colours, line.factor):
        return None
    full = line.of(a)
    low, high = np.minimum(a, full), np.maximum(a, full)
    return _score(b - np.clip(b, low, high), ours.greys, theirs.greys, _MARK_BAR)


def _covered(a: F32, b: F32, least: float) -> Places | None:
    """Where a mark would be; None if it would be too small or too large, or is not drawn."""
    apart = np.abs(cv2.blur(b, (3, 3)) - cv2.blur(a, (3, 3))) > least
    # Without specks of noise, but with what is as bright as the mark and so does not change.
    covered = cv2.morphologyEx(apart.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    if not _COVERED[0] <= covered.mean() <= _COVERED[1] or not _is_drawn(covered):
        return None
    return np.asarray(cv2.morphologyEx(covered, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0)


def _mark(under: F32, seen: F32) -> Line | None:
    """The line of levels under the middle of a mark; None if there is no such line.

    Most of what is covered may be paper, and the edges of strokes are fainter. So each group of
    levels gives one point, of those that moved most, and the line is the one of most groups.
    """
    points = np.array(list(_moved(under, seen)))
    best: Line | None = None
    most = 0.0
    for first, second in combinations(range(len(points)), 2):
        (x0, y0, _), (x1, y1, _) = points[first], points[second]
        if abs(x1 - x0) < _SPAN:
            continue
        factor = float((y1 - y0) / (x1 - x0))
        line = Line(factor, float(y0 - factor * x0))
        if not _OPAQUE[0] <= 1 - factor <= _OPAQUE[1]:
            continue
        if not _LEVELS[0] <= line.offset / (1 - factor) <= _LEVELS[1]:
            continue
        near = np.abs(points[:, 1] - line.of(points[:, 0])) <= _ON_LINE
        if (weight := float(points[near, 2].sum())) > most:
            best, most = line, weight
    return best


def _moved(under: F32, seen: F32) -> Iterator[tuple[float, float, float]]:
    """Of each group of levels: the level, what it became under the mark, and a weight."""
    group = (under // _GROUP).astype(np.int64)
    for one in np.unique(group):
        here = group == one
        if here.sum() < _FEWEST_IN_GROUP:
            continue
        a, b = under[here], seen[here]
        moved = np.abs(b - a)
        middle = moved >= _MIDDLE * np.quantile(moved, _OPAQUE_PARTS)
        yield float(np.median(a[middle])), float(np.median(b[middle])), float(here.sum()) ** 0.5


def _has_ink_below(a: F32, b: F32, covered: Places, line: Line) -> bool:
    """Whether there is ink under the mark, as faint as the mark says.

    Looked at are the middles of strokes, also of thin ones if there is paper beside. What is there
    must be explained better so than by letters that hide the ink.
    """
    ground = _GROUP * (float(np.bincount((a[covered] // _GROUP).astype(np.int64)).argmax()) + 0.5)
    ink = covered & (np.abs(a - ground) > _INK)
    paper = covered & (np.abs(a - ground) <= _GROUP)
    full = np.abs(line.of(a) - a)
    opaque = (paper & (np.abs(b - a) >= _MIDDLE * full)).astype(np.uint8)
    inner = cv2.erode(covered.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    ink &= inner | (cv2.dilate(opaque, np.ones((3, 3), np.uint8)) > 0)
    if ink.sum() < _FEWEST_SEEN:
        return False
    found, level = b[ink], line.offset / (1 - line.factor)
    through = np.abs(found - line.of(a)[ink])
    hidden = float((np.minimum(np.abs(found - level), _INK) ** 2).sum())
    explained = float((np.minimum(through, _INK) ** 2).sum())
    return bool((through <= _NEAR).mean() >= _MOST_NEAR and explained <= _MOST_SEEN * hidden)


def _has_texture_below(a: F32, b: F32, covered: Places) -> bool:
    """Whether the texture of a photograph, which may be less than ink, is seen through the mark."""
    inner = cv2.erode(covered.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    under, seen = a[inner], b[inner]
    if len(under) < _FEWEST_TEXTURED or min(under.std(), seen.std()) < _TEXTURE:
        return False
    return bool(np.corrcoef(under, seen)[0, 1] >= _SEEN_TEXTURE)


def _is_drawn(covered: Pixels) -> bool:
    """Whether what is covered reaches over enough of the picture, in strokes: an object in another
    colour is one solid place."""
    solid = max(5, round(_STROKE * max(covered.shape)))
    if cv2.erode(covered, np.ones((solid, solid), np.uint8)).any():
        return False
    places = [np.flatnonzero(covered.any(axis=axis)) for axis in (0, 1)]
    height, width = covered.shape
    wide, high = (int(place[-1] - place[0]) + 1 for place in places)
    return bool(wide >= _WIDE * width and high >= _HIGH * height)


def _fit(x: F32, y: F32) -> Line | None:
    """The line that most values lie on, by least squares without outliers."""
    step = max(1, len(x) // _SAMPLES)
    x, y = x[::step].astype(np.float64), y[::step].astype(np.float64)
    if len(x) < _FEWEST:
        return None
    near = np.ones(len(x), dtype=bool)
    for _ in range(6):
        mx, my = x[near].mean(), y[near].mean()
        spread = float(((x[near] - mx) ** 2).mean())
        if near.sum() < _FEWEST // 2 or spread < 25:
            return None
        factor = float(((x[near] - mx) * (y[near] - my)).mean()) / spread
        error = np.abs(y - my - factor * (x - mx))
        near = error <= max(_OUTLIER, float(np.median(error)))
    return Line(factor, float(my - factor * mx))


def _score(error: F32, ours: Plane, theirs: Plane, bar: float = _BAR) -> float | None:
    """0.5 to 1 if what is not explained is noise, else None."""
    largest, noise = _largest(error, ours, theirs)
    return _scored(largest / room(noise) / bar)


def _largest(error: F32, ours: Plane, theirs: Plane) -> tuple[float, float]:
    """The largest error of a cell, and the noise of cells with ink, in levels."""
    cells = inner_maxima(np.abs(cv2.GaussianBlur(error.astype(np.float32), _BLUR, 0.8)))
    return float(cells.max()), noise_of(cells[inked(ink_of(ours), ink_of(theirs))])


def _scored(worst: float) -> float | None:
    return None if worst > 1 else round(1 - (1 - BAR) * worst, 4)
