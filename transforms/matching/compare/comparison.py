"""Whether two pictures are the same: registered onto each other, they must agree everywhere.

Cheapest first. Two pictures are laid on each other as they are, reduced (`whole_frame.py`), which
tells most look-alikes apart and often gives the geometry. Otherwise one picture is located in the
other coarsely (`registration`), and a first fit at 512 pixels a side tells most of the rest apart
(`reduced.py`). Then it is located to a fraction of a pixel, and the effect of scaling and
compression is fitted as a small kernel (`refinement.py`). The rest of the difference is measured in
cells of 8 x 8 pixels (`cells.py`), and the worst cell decides: a different digit is one cell. It is
measured in multiples of the noise in other cells with ink, so that strong compression does not look
like other text. Hue and the brightness of larger areas are compared before that, at 256 pixels.

On a labelled set of 16 families a class (seed 271828) 3 of 19,918 pairs found the same by
themselves were not, and none of 20,752 pairs of one cluster. How many copies end in one cluster,
and what a pair takes, is in benchmarks/README.md, Duplicates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from cauldron.transforms.matching.compare.cells import cell_errors
from cauldron.transforms.matching.compare.hues.errors import hue_and_light
from cauldron.transforms.matching.compare.neighbours import ink_of
from cauldron.transforms.matching.compare.prepared import Prepared
from cauldron.transforms.matching.compare.reduced import APART_REDUCED, structure_reduced
from cauldron.transforms.matching.compare.refinement import Fit, refine
from cauldron.transforms.matching.compare.registration.geometry import Geometry
from cauldron.transforms.matching.compare.registration.locate import locate, whole_frame
from cauldron.transforms.matching.compare.whole_frame import (
    MOST_ROOM,
    SMALLEST,
    WholeFrame,
    inked,
    middle_frames,
    noise_of,
    room,
    small_frames,
    whole_frames,
)

# Raise it when scores change: stored verdicts of another version are not reused.
COMPARE_VERSION = 16


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of comparing two pictures.

    Attributes:
        score: 0 to 1, to 4 decimals; 1 is equal.
        drawing: whether the thresholds for text and line art applied, as one of the two is such.
        same: whether the score reaches the threshold `BAR`.
        grey: whether grey levels alone refused it, which no other colours change.
        framed: whether two drawings agree as they lie on each other except in some place, so that
            they differ without their borders too.
        whole: whether they are the same with the whole of one on the whole of the other.
    """

    score: float
    drawing: bool
    same: bool
    grey: bool = False
    framed: bool = False
    whole: bool = False


class Difference(NamedTuple):
    """The largest differences of two registered pictures.

    Attributes:
        structure: of strokes and edges, in multiples of the noise elsewhere in the pair.
        colour: of hue, in multiples of the noise.
        light: of the brightness of larger areas, in grey levels.
    """

    structure: float
    colour: float = 0.0
    light: float = 0.0


class Measured(NamedTuple):
    """How two pictures differ, and on which frame.

    Attributes:
        framed, whole: see `Comparison`; of drawings and photographs, same or not.
    """

    apart: Difference
    framed: bool = False
    whole: bool = False


_NOTHING_SHARED = Measured(Difference(float("inf"), float("inf"), float("inf")))

# The largest differences of copies, for drawings and for photographs. In drawings thin lines have
# the hue, and lose it when they are scaled and compressed; in photographs areas have it.
_BARS = {True: Difference(2.0, 2.2, 70.0), False: Difference(2.3, 1.15, 70.0)}
# Between these, pixels of both pictures are taken to be of one size.
_ONE_SCALE = (0.98, 1.02)
# Drawings of one scale keep more of the hue of thin lines. Of 1,728 copies at one scale, of five
# classes, the largest difference is 1.72; of 72 charts with other colours the smallest is 1.80.
_KEPT_HUE = 1.25  # times the difference, for the same bar
_MIXED = Difference(*map(min, *_BARS.values()))
# The score of a pair whose largest difference is just at its threshold.
BAR = 0.5

# Pixels that corners may be off theirs where the whole of a picture lies on the whole of another.
_SAME_FRAME = 1.5

# How many times finer one of two pictures may be. Beyond that, digits of common type are lost.
_MOST_FINER = {True: 2.25, False: 4.5}
# The smallest share of each side that both must show. Two crops of 5 % an edge share more.
_LEAST_SHARED = 0.8


def compare(first: Prepared, second: Prepared) -> Comparison:
    """Whether two pictures are the same; symmetric. A blank one is only if the pixels are equal."""
    if first.blank or second.blank:
        same = _equal(first, second)
        return Comparison(float(same), first.drawing or second.drawing, same)
    bars = _bars(first, second)
    found = measure(first, second)
    worst = max(value / bar for value, bar in zip(found.apart, bars, strict=True))
    score = round(max(0.0, 1 - worst * (1 - BAR)), 4)
    grey = found.apart.structure > bars.structure and not _are_tiny(first, second)
    # A smooth photograph agrees with itself in a frame, too.
    framed = found.framed and first.drawing and second.drawing
    same = score >= BAR
    drawing = first.drawing or second.drawing
    return Comparison(score, drawing, same, grey, framed, same and found.whole)


def _equal(first: Prepared, second: Prepared) -> bool:
    planes = (first.greys, second.greys), (first.colours, second.colours)
    return first.size == second.size and all(np.array_equal(a, b) for a, b in planes)


def _bars(first: Prepared, second: Prepared) -> Difference:
    """The stricter thresholds if only one of the two is a drawing."""
    return _BARS[first.drawing] if first.drawing == second.drawing else _MIXED


def measure(first: Prepared, second: Prepared) -> Measured:
    """How two pictures differ; structure is 0 if colour or light are over their thresholds."""
    if _are_tiny(first, second):
        return _tiny(first, second)
    first, second = _ordered(first, second)
    whole = small_frames(first, second)
    if not (whole.apart or whole.unlike):
        whole = middle_frames(first, second)
    if whole.apart:
        return Measured(Difference(whole.structure), framed=True)
    geometry = _geometry(first, second, whole.right)
    if geometry is None:
        return _NOTHING_SHARED
    scale = geometry.across * first.greys.shape[1] / second.greys.shape[1]
    if scale < _ONE_SCALE[0] or (scale < _ONE_SCALE[1] and second.sharpness > first.sharpness):
        first, second, geometry = second, first, geometry.inverse()
    # A kernel explains more of a difference, never less.
    if not whole.right or whole.structure >= APART_REDUCED:
        reduced = structure_reduced(first, second, geometry)
        if reduced >= APART_REDUCED:
            return Measured(Difference(reduced))
    bars = _bars(first, second)
    drawings = first.drawing and second.drawing
    kept = _KEPT_HUE if drawings and _ONE_SCALE[0] < scale < _ONE_SCALE[1] else 1.0
    colour, light = hue_and_light(first, second, geometry, (bars.colour, bars.light), kept)
    if colour > bars.colour or light > bars.light:
        return Measured(Difference(0.0, colour, light))
    exact = _exact(first, second, whole)
    if exact <= _ACCEPTED:
        return Measured(Difference(exact, colour, light), whole=True)
    fit = refine(first, second, geometry)
    if fit is None:
        return _NOTHING_SHARED
    scale = fit.geometry.across * first.greys.shape[1] / second.greys.shape[1]
    drawing = first.drawing or second.drawing
    away = fit.geometry.apart(whole_frame(first, second), *second.greys.shape[::-1])
    structure = _structure(fit, scale, drawing, bars.structure)
    on_frame = bool(away <= _SAME_FRAME)
    return Measured(Difference(structure, colour, light), whole=on_frame)


def _geometry(first: Prepared, second: Prepared, right: bool) -> Geometry | None:
    """Where `second` lies in `first`; None if they share too little, or not at all.

    Args:
        right: whether both are known to show the same frame.
    """
    found = whole_frame(first, second) if right else locate(first, second)
    if found is None:
        return None
    finer = found.across * first.frame[0] / second.frame[0]
    most = min(_MOST_FINER[first.drawing], _MOST_FINER[second.drawing])
    enough = found.shared() >= _LEAST_SHARED and 1 / most <= finer <= most
    return found if enough else None


def _exact(first: Prepared, second: Prepared, reduced: WholeFrame) -> float:
    """Structure without any fit, at full size; infinite if that says nothing."""
    if not (reduced.right and reduced.faithful):
        return float("inf")
    found = whole_frames(first, second)
    return found.structure if found.faithful else float("inf")


def _ordered(first: Prepared, second: Prepared) -> tuple[Prepared, Prepared]:
    """The larger picture first, or else the sharper: the same order whichever is given first."""
    keys = [(picture.greys.size, picture.sharpness) for picture in (first, second)]
    if keys[0] == keys[1]:
        contents = [p.greys.tobytes() + p.colours.tobytes() for p in (first, second)]
        return (second, first) if contents[0] < contents[1] else (first, second)
    return (second, first) if keys[0] < keys[1] else (first, second)


# Grey levels per unit of structure, for pictures too small to register.
_TINY_UNIT = 12


def _are_tiny(first: Prepared, second: Prepared) -> bool:
    return min(*first.greys.shape, *second.greys.shape) < SMALLEST


def _tiny(first: Prepared, second: Prepared) -> Measured:
    if first.size != second.size:
        return _NOTHING_SHARED
    pairs = (first.greys, second.greys), (first.colours, second.colours)
    worst = max(int(np.abs(a.astype(np.int16) - b).max()) for a, b in pairs)
    return Measured(Difference(worst / _TINY_UNIT))


_NOISE_OTHER_LIGHT = 9.0
_HIDDEN = 0.3
# Structure up to which a copy on the same grid is accepted without a fit. The bar is 2.
_ACCEPTED = 1.2


def _structure(fit: Fit, scale: float, drawing: bool, bar: float) -> float:
    """The largest error, relative to the upper quartile of the errors in cells with ink.

    Args:
        scale: how many times finer the first picture is.
        bar: what no noise explains need not be measured further.
    """
    errors, ended = cell_errors(fit.predicted(), fit.second, bar * MOST_ROOM)
    if ended:
        return float(errors.max()) / MOST_ROOM
    noise = noise_of(errors[inked(ink_of(fit.first), ink_of(fit.second))])
    # Clipped colours leave errors that no tone of grey levels explains.
    unit = max(room(noise), _NOISE_OTHER_LIGHT if fit.other_light else 0.0)
    worst = float(errors.max()) / unit
    if drawing:
        # If the finer picture was scaled down and there is noise, a different digit of small type
        # is hardly above that noise.
        coarser = float(np.interp(scale, (1.15, 1.4), (0, 1)))
        worst *= 1 + _HIDDEN * coarser * float(np.interp(noise, (3.5, 4.5), (0, 1)))
    return worst
