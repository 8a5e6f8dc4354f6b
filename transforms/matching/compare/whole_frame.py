"""The simplest case of a pair first: both show the whole of one picture.

So do most look-alikes, such as two tables of one template, and most copies. If most cells with ink
agree when the larger picture is scaled to the grid of the smaller one, that is their geometry, and
nothing need be registered. This is seen at 512 pixels a side. A cell that then differs by far more
than is allowed at any noise tells them apart at once. Only copies that were not scaled and lost
next to nothing are found the same here, at full size, and their colours are compared all the same.

Errors are the largest of cells of 8 x 8 pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from cauldron.transforms.matching.compare.neighbours import CELL, cell_maxima, ink_of
from cauldron.transforms.matching.compare.prepared import Prepared
from cauldron.transforms.matching.compare.scaling import Plane, averaged

# Grey levels of contrast in a cell that has ink.
INK = 40
_FEWEST_INKED = 64
# Pictures with fewer pixels a side are too small to register.
SMALLEST = 24
# Pixels at the edge of the frame that are left out.
RIM = 2

# The largest median of errors if the geometry is right.
_AGREE = 6.0
# The least error that tells pictures apart on one frame, in grey levels and in units of `room`, at
# 256 pixels a side for pictures of the same size, and at 512 for all. At 256, 1,296 pairs of copies
# of the same size, of 204 families with all or one of the alterations, reach 46 levels and 2.6
# units; of other sizes, copies with a 1 % crop reach 7.7 units. At 512, the largest of 5,382 pairs
# of copies is 4.5 units. Errors must be local: a copy cropped and scaled back to its size has them
# everywhere. A photograph with a 2 % crop reaches 93 levels at a noise of 34.
_APART = 40.0
_APART_SMALL_UNITS, _APART_MIDDLE_UNITS = 5.0, 6.5
# The median at 256 pixels from which no pair is laid on each other at 512. Only time depends on it:
# such pairs are registered. Of 1,256 scaled pairs with a right frame 8 are above, none of them
# copies.
_UNLIKE = 16.0
# The largest upper quartile of copies that are accepted without a fit.
_FAITHFUL = 8.0
_BLUR = (5, 5)
_AROUND = (17, 17)


# Least and most noise that is counted.
_NOISE = (4.0, 14.0)
# The largest unit of structure.
MOST_ROOM = sum(_NOISE)
_NEVER = float("inf")


class WholeFrame(NamedTuple):
    """How two pictures differ if both show the same frame, in grey levels.

    Attributes:
        largest: the largest error of a cell.
        median: of the cells with ink; infinite if there are too few of them to tell.
        noise: their upper quartile, see `noise_of`.
        scaled: whether one of them had to be scaled.
        units_apart: the structure from which they are different.
    """

    largest: float
    median: float
    noise: float
    scaled: bool
    units_apart: float = _NEVER

    @property
    def right(self) -> bool:
        """Whether they do show the same frame."""
        return self.median <= _AGREE

    @property
    def structure(self) -> float:
        """The largest error in units of `room`."""
        return self.largest / room(self.noise)

    @property
    def apart(self) -> bool:
        """Whether they show different pictures on the same frame; of reduced pictures."""
        large = self.largest >= _APART and self.structure >= self.units_apart
        return large and self.right and self.noise <= _NOISE[1]

    @property
    def unlike(self) -> bool:
        """Whether pictures at 256 pixels agree so little that they cannot show the same frame."""
        return _UNLIKE < self.median < float("inf")

    @property
    def faithful(self) -> bool:
        """Whether they are so much alike that no kernel needs to be fitted."""
        return self.median < float("inf") and not self.scaled and self.noise <= _FAITHFUL


def small_frames(first: Prepared, second: Prepared) -> WholeFrame:
    """As `whole_frames`, at 256 pixels a side: a twentieth of the time.

    Which may show that the pictures are different, or on different frames, never that they agree.
    """
    found = _laid(first.levels[-1], second.levels[-1], lambda: first.ink_small, second.ink_small)
    scaled = first.greys.shape != second.greys.shape
    return found._replace(scaled=scaled, units_apart=_NEVER if scaled else _APART_SMALL_UNITS)


def middle_frames(first: Prepared, second: Prepared) -> WholeFrame:
    """As `small_frames`, at 512 pixels a side."""
    found = _laid(first.middle, second.middle, lambda: first.ink_middle, second.ink_middle)
    scaled = first.greys.shape != second.greys.shape
    return found._replace(scaled=scaled, units_apart=_APART_MIDDLE_UNITS)


def whole_frames(first: Prepared, second: Prepared) -> WholeFrame:
    """Compare two pictures as if both showed the same frame; `first` has no fewer pixels."""
    return _laid(first.greys, second.greys, lambda: ink_of(first.greys), ink_of(second.greys))


def _laid(a: Plane, b: Plane, first_ink: Callable[[], Plane], second_ink: Plane) -> WholeFrame:
    """Lay `a` on `b`. The ink of `a` is asked for only if it need not be scaled."""
    scaled = a.shape != b.shape
    if scaled:
        height, width = b.shape
        smaller = a.shape[0] >= height and a.shape[1] >= width
        a = averaged(a, width, height) if smaller else cv2.resize(a, (width, height))
    apart = cv2.subtract(a, b, dtype=cv2.CV_16S)
    # Less the difference of the surroundings, so that another brightness is no other stroke.
    error = cv2.absdiff(cv2.GaussianBlur(apart, _BLUR, 0.8), cv2.blur(apart, _AROUND))
    cells = inner_maxima(error)
    ink = cells[inked(ink_of(a) if scaled else first_ink(), second_ink)]
    median = float(np.median(ink)) if len(ink) >= _FEWEST_INKED else float("inf")
    return WholeFrame(float(cells.max()), median, noise_of(ink), scaled)


def inner_maxima(errors: Plane) -> Plane:
    """The largest error in each cell. Those at the rim count as 0, also in `errors`."""
    errors[:RIM] = errors[-RIM:] = 0
    errors[:, :RIM] = errors[:, -RIM:] = 0
    return cell_maxima(errors, CELL)


def inked(first: Plane, second: Plane) -> Plane:
    """Which cells have ink in either picture. Args: as `ink_of` returns them."""
    both: Plane = np.maximum(first, second) > INK
    return both


def noise_of(errors: Plane) -> float:
    """The upper quartile of the errors of cells with ink; 0 if there are too few of them."""
    ordered = np.sort(errors)[::-1]
    rank = max(len(ordered), _FEWEST_INKED) // 4
    return float(ordered[rank]) if rank < len(ordered) else 0.0


def room(noise: float) -> float:
    """The unit of structure, in grey levels: what noise of this strength explains."""
    least, most = _NOISE
    return min(noise, most) + least
