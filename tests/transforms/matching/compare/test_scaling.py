"""Averages of areas are those of OpenCV, other filters those of Pillow."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from cauldron.transforms.matching.compare.scaling import averaged, resampled
from PIL import Image

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


@pytest.mark.parametrize("cubic", [True, False])
@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((50, 60), (0, 0, 77, 101)),
        ((50, 60), (3.25, 2.5, 70.75, 99.5)),
        ((77, 101), (0, 0, 77, 101)),
        ((90, 130), (1.3, 0, 75, 100.2)),
        ((24, 24), (0, 0, 76.9, 100.9)),
    ],
)
def test_other_filters_are_pillows(
    size: tuple[int, int], box: tuple[float, float, float, float], cubic: bool
):
    plane = np.random.default_rng(2).integers(80, 160, (101, 77), dtype=np.uint8)  # not clipped
    found = resampled(plane, *size, box, cubic)
    kind = Image.Resampling.BICUBIC if cubic else Image.Resampling.BOX
    expected = np.asarray(Image.fromarray(plane).resize(size, kind, box=box))
    assert found.shape == expected.shape
    assert np.abs(found.astype(np.int16) - expected).max() <= 1
