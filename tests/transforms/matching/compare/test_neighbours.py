"""Contrast and cells against plain loops over pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from cauldron.transforms.matching.compare.neighbours import (
    cell_maxima,
    contrast,
    ink_of,
    sharpness_of,
)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("shape", [(24, 32), (37, 50), (1, 5), (9, 8)])
@pytest.mark.parametrize("side", [4, 8])
def test_a_cell_has_its_largest_value(shape: tuple[int, int], side: int, kind: type):
    plane = np.random.default_rng(3).integers(0, 256, shape).astype(kind)
    found = cell_maxima(plane, side)
    assert found.dtype == kind
    for (row, column), value in np.ndenumerate(found):
        rows, columns = slice(row * side, row * side + side), slice(column * side, None)
        assert value == plane[rows, columns][:, :side].max()


def test_ink_is_the_largest_contrast_of_a_cell():
    plane = np.full((16, 24), 200, np.uint8)
    plane[3, 7] = 90  # at the edge of a cell: its right neighbour is in the next one
    assert contrast(plane)[2:5, 6:9].min() == 110
    assert ink_of(plane).tolist() == [[110, 110, 0], [0, 0, 0]]


def test_a_blurred_picture_is_less_sharp():
    plane = np.random.default_rng(4).integers(0, 256, (40, 50), dtype=np.uint8)
    assert sharpness_of(cv2.blur(plane, (3, 3))) < sharpness_of(plane) / 2
    assert sharpness_of(np.full((40, 50), 7, np.uint8)) == 0
