"""A fit at 512 pixels a side, before the one at full size.

It is made for the place where two pictures were located, with one kernel and no other geometry: a
tenth of the work. Errors are then larger than those of the full comparison, so it may only refuse.
"""

from __future__ import annotations

import cv2
import numpy as np
from cauldron.transforms.matching.compare.cells import cell_errors
from cauldron.transforms.matching.compare.neighbours import CELL, cell_maxima, contrast
from cauldron.transforms.matching.compare.prepared import Prepared
from cauldron.transforms.matching.compare.refinement import (
    BICUBIC,
    FEWEST_EDGES,
    Fit,
    edges_of,
    fitted,
)
from cauldron.transforms.matching.compare.registration.geometry import Geometry, warped
from cauldron.transforms.matching.compare.whole_frame import (
    INK,
    MOST_ROOM,
    SMALLEST,
    noise_of,
    room,
)

# The structure from which pictures are different. Of 7,529 pairs of copies, of the labelled sets
# with seeds 4711 and 618033 and of 2,002 drawn pictures, the largest is 3.4. Of 2,127 other pairs
# that were located half are above the bar.
APART_REDUCED = 4.5
_MOST_EDGES = 2000


def structure_reduced(first: Prepared, second: Prepared, geometry: Geometry) -> float:
    """The largest error in units of `room`; 0 if too little is shared, or has edges, to tell.

    Below `APART_REDUCED` it is only an upper or lower bound.
    """
    height, width = second.middle.shape
    x0, y0, x1, y1 = geometry.window(width, height)
    if min(x1 - x0, y1 - y0) < SMALLEST:
        return 0.0
    moved = warped(first.middle, geometry, width, height)
    a, b = (np.ascontiguousarray(plane[y0:y1, x0:x1]) for plane in (moved, second.middle))
    strength = cv2.max(contrast(a), contrast(b))
    edges = edges_of(strength, _MOST_EDGES)
    if len(edges) < FEWEST_EDGES:
        return 0.0
    predicted = fitted(Fit(0.0, geometry, BICUBIC, a, b, edges)).predicted()
    errors, ended = cell_errors(predicted, b, APART_REDUCED * MOST_ROOM)
    worst = float(errors.max())
    if ended or worst < APART_REDUCED * room(0.0):
        return worst / MOST_ROOM
    return worst / room(noise_of(errors[cell_maxima(strength, CELL) > INK]))
