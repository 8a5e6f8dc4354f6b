"""Where one picture lies in another: scale and shift of each axis, to a fraction of a percent.

Crops, borders and resizes need no more than that. Text needs no less: a crop of 2 % moves a line
by more than its strokes. Lucas-Kanade from 32 to 256 pixels a side. It starts from the whole frame
and from pixels of equal size, so that a page of evenly spaced lines is not registered a line off.
"""

from __future__ import annotations

from collections.abc import Iterator

from cauldron.transforms.matching.compare.prepared import Prepared
from cauldron.transforms.matching.compare.registration.alignment import align, likeness
from cauldron.transforms.matching.compare.registration.geometry import Geometry, warped
from cauldron.transforms.matching.compare.scaling import Plane
from cauldron.transforms.matching.compare.tone import unexplained

# Pictures whose scales differ by more than this are no copies of each other.
_MOST_SCALE = 0.2
_ITERATIONS = 4
_GOOD = 0.95
_CERTAIN = 0.97
# Pictures that correlate less than this, with the whole frames laid on each other as well as
# possible, show nothing in common. Of 5,300 pairs of copies the least is 0.80.
_UNLIKE = 0.75
# The largest difference of brightness between pictures located at 128 pixels a side, see
# `unexplained`. Of 1,796 pairs of copies the largest is 48.8; 57 % of 1,034 pairs of look-alikes
# are above the bar.
_MOST_LEFT = 56.0


def locate(first: Prepared, second: Prepared) -> Geometry | None:
    """Where `second` lies in `first`, to about a quarter of a pixel at 256 a side.

    Returns:
        None if they are too unlike for it, or differ in brightness by far at any place.
    """
    found, best = whole_frame(first, second), -1.0
    smooth = list(zip(first.smooth, second.smooth, strict=True))
    for start in _starts(first, second):
        # As it is; then from coarse to fine; then, if that failed, from a finer level.
        for level in (3, 0, 1):
            geometry = start
            for at in range(level, 3):
                geometry = align(*smooth[at], geometry, _ITERATIONS)
            if max(abs(geometry.across - 1), abs(geometry.down - 1)) > _MOST_SCALE:
                continue
            alike = likeness(first.levels[2], second.levels[2], geometry)
            if alike > best:
                found, best = geometry, alike
            if level < 3 and alike > _GOOD:
                break
        if best > _CERTAIN:
            break
        if best < _UNLIKE:
            return None
    planes = first.levels[3], second.levels[3]
    if _left(*planes, found) > _MOST_LEFT:
        return None
    finer = align(*smooth[3], found, 3)
    return finer if likeness(*planes, finer) >= likeness(*planes, found) else found


def _starts(first: Prepared, second: Prepared) -> Iterator[Geometry]:
    """The whole frame; and pixels of equal size with one centre, for crops and borders."""
    yield whole_frame(first, second)
    across, down = second.frame[0] / first.frame[0], second.frame[1] / first.frame[1]
    if (across, down) != (1, 1) and max(abs(across - 1), abs(down - 1)) < _MOST_SCALE:
        yield Geometry(across, 0.0, down, 0.0)


def whole_frame(first: Prepared, second: Prepared) -> Geometry:
    """The geometry if both show the whole of one picture."""
    across, down = (
        second.frame[axis] / second.size[axis] * first.size[axis] / first.frame[axis]
        for axis in (0, 1)
    )
    return Geometry(across, (across - 1) / 2, down, (down - 1) / 2)


def _left(first: Plane, second: Plane, geometry: Geometry) -> float:
    """The largest difference of brightness in the area that both show."""
    height, width = second.shape
    x0, y0, x1, y1 = geometry.window(width, height)
    moved = warped(first, geometry, width, height)
    return unexplained(moved[y0:y1, x0:x1], second[y0:y1, x0:x1])
