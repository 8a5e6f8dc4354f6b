"""Where a benchmark picture lies in a training picture: one scale and a shift.

Borders, crops, screens and collages move and scale a picture and do not turn it. So two features
that met give a hypothesis, and so do many that moved alike if nothing was scaled. The one that most
others agree with is refined by least squares. The pairs that are tried follow from the number of
features alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# Places that agree lie within this share of the training picture's longest side.
_TOLERANCE = 0.012
# Those that agree within this share of the tolerance count twice: in lines of text, letters beside
# the right ones agree as well, though less closely.
_CLOSE = 0.35
_TRIES = 6_000
# Hypotheses that are counted, of those that two features give.
_COUNTED = 150
# Shifts that are counted with a scale of 1.
_UNSCALED = 5
# Shares of a side by which two features must be apart to give a scale.
_SPREAD = 0.08
_SCALES = (0.12, 2.5)
# Features in different places that must agree.
FEWEST_AGREEING = 7

F64 = npt.NDArray[np.float64]


class Placed(NamedTuple):
    """Place in the training picture = scale * place in the benchmark picture + shift, in pixels.

    Attributes:
        across, down: scales of the axes.
        right, below: shifts.
        agreeing: how many features, in different places, agree.
    """

    across: float
    right: float
    down: float
    below: float
    agreeing: int


def place(
    ours: npt.NDArray[np.float32],
    theirs: npt.NDArray[np.float32],
    size: tuple[int, int],
    their_size: tuple[int, int],
) -> Placed | None:
    """The geometry that most features agree with; None if too few do.

    Args:
        ours, theirs: places of the same features, as shares of width and height.
        size, their_size: of the training picture and the benchmark picture, in pixels.
    """
    a = theirs.astype(np.float64) * their_size
    b = ours.astype(np.float64) * size
    tolerance = _TOLERANCE * max(size)
    close = _CLOSE * tolerance
    best: tuple[int, int, F64] | None = None
    for scale, shift in (*_unscaled(a, b, close), *_of_two(a, b, size, their_size, tolerance)):
        error = np.abs(scale * a + shift - b).max(axis=1)
        counts = [_places(a[error < one], tolerance / scale) for one in (tolerance, close)]
        if best is None or sum(counts) > best[0]:
            best = sum(counts), counts[0], error
    if best is None or best[1] < FEWEST_AGREEING:
        return None
    return _refined(a, b, best[2], tolerance)


def _unscaled(a: F64, b: F64, close: float) -> Iterator[tuple[float, F64]]:
    """The shifts that most features have in common if nothing was scaled, as in most copies.

    In lines of small text one feature of fifty is right, and two right ones are seldom drawn.
    """
    shifts = b - a
    cells = np.floor(shifts / (2 * close)).astype(np.int64)
    _, cell, count = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    cell = cell.reshape(-1)
    for most in np.argsort(-count, kind="stable")[:_UNSCALED]:
        yield 1.0, np.median(shifts[cell == most], axis=0)


def _of_two(
    a: F64, b: F64, size: tuple[int, int], their_size: tuple[int, int], tolerance: float
) -> Iterator[tuple[float, F64]]:
    """The scale and shift that two features give."""
    random = np.random.default_rng(len(a))
    first, second = random.integers(0, len(a), (2, _TRIES))
    span = a[second] - a[first]
    long = np.abs(span).max(axis=1) >= _SPREAD * max(their_size)
    first, second, span = first[long], second[long], span[long]
    moved = b[second] - b[first]
    scale = (span * moved).sum(axis=1) / (span * span).sum(axis=1)
    off = np.abs(moved - scale[:, None] * span).max(axis=1)
    longest = max(size) / max(their_size)
    good = (off < 2 * tolerance) & (scale > _SCALES[0] * longest) & (scale < _SCALES[1] * longest)
    for at in np.flatnonzero(good)[:_COUNTED]:
        yield float(scale[at]), b[first[at]] - scale[at] * a[first[at]]


def _refined(a: F64, b: F64, error: F64, tolerance: float) -> Placed | None:
    """Least squares for each axis, with those that agree, three times."""
    fit = [(1.0, 0.0), (1.0, 0.0)]
    for _ in range(3):
        near = error < tolerance
        # Those that agree closely, if there are enough: others are letters beside the right ones.
        closely = error < _CLOSE * tolerance
        if _places(a[closely], tolerance) >= FEWEST_AGREEING:
            near = closely
        if near.sum() < FEWEST_AGREEING:
            return None
        fit = [_line(a[near, axis], b[near, axis]) for axis in (0, 1)]
        apart = [np.abs(fit[axis][0] * a[:, axis] + fit[axis][1] - b[:, axis]) for axis in (0, 1)]
        error = np.maximum(*apart)
    fit, error = _one_scale(a, b, fit, error, tolerance)
    (across, right), (down, below) = fit
    if not 0.9 < across / down < 1 / 0.9:
        return None
    agreeing = _places(a[error < tolerance], tolerance / across)
    if agreeing < FEWEST_AGREEING:
        return None
    return Placed(across, right, down, below, agreeing)


def _one_scale(
    a: F64, b: F64, fit: list[tuple[float, float]], error: F64, tolerance: float
) -> tuple[list[tuple[float, float]], F64]:
    """The same scale for both axes, if more features agree closely: it is mostly so, and mostly 1.

    Letters beside the right ones pull at the scale along a line of text, not at the other.
    """
    near = error < tolerance
    best, most = (fit, error), _places(a[error < _CLOSE * tolerance], tolerance)
    for scale in (1.0, fit[0][0], fit[1][0]):
        shifts = np.median(b[near] - scale * a[near], axis=0)
        apart = np.abs(scale * a + shifts - b).max(axis=1)
        agreeing = _places(a[apart < _CLOSE * tolerance], tolerance)
        if agreeing > most:
            best, most = ([(scale, float(shift)) for shift in shifts], apart), agreeing
    return best


def _line(x: F64, y: F64) -> tuple[float, float]:
    mx, my = float(x.mean()), float(y.mean())
    spread = float(((x - mx) ** 2).sum())
    slope = float(((x - mx) * (y - my)).sum()) / max(spread, 1e-9)
    return slope, my - slope * mx


def _places(points: F64, tolerance: float) -> int:
    """Points in different places; ORB finds one corner at several levels."""
    if not len(points):
        return 0
    cells = np.floor(points / (2 * tolerance)).astype(np.int64)
    return len(np.unique(cells[:, 0] << 32 | cells[:, 1] & 0xFFFFFFFF))
