"""Averages of areas are those of OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from cauldron.transforms.matching.compare.scaling import averaged

SHAPES = [
    ((300, 200), (300, 200)),
    ((300, 200), (299, 200)),
    ((300, 200), (187, 130)),
    ((300, 200), (100, 50)),
    ((301, 77), (90, 21)),
    ((5, 400), (1, 64)),
]


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize(("shape", "wanted"), SHAPES)
def test_they_are_opencvs(
    shape: tuple[int, int], wanted: tuple[int, int], channels: tuple[int, ...]
):
    rng = np.random.default_rng(1)
    plane = rng.integers(0, 256, (*shape, *channels), dtype=np.uint8)
    found = averaged(plane, wanted[1], wanted[0])
    expected = cv2.resize(plane, wanted[::-1], interpolation=cv2.INTER_AREA)
    assert found.shape == expected.shape
    assert found.dtype == np.uint8
    assert np.abs(found.astype(np.int16) - expected).max() <= 1


def test_a_part_of_a_larger_picture_may_be_given():
    plane = np.arange(200 * 200, dtype=np.uint32).astype(np.uint8).reshape(200, 200)
    part = plane[10:110, 20:140]
    assert np.array_equal(averaged(part, 60, 50), averaged(part.copy(), 60, 50))
