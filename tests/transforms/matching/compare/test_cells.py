"""Errors by cell, against the same written with OpenCV's filters and NumPy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from cauldron.transforms.matching.compare.cells import cell_errors
from cauldron.transforms.matching.compare.neighbours import cell_maxima
from cauldron.transforms.matching.compare.scaling import Plane


def plain_errors(a: Plane, second: Plane) -> Plane:
    around, b = (17, 17), second.astype(np.float32)
    mean, their_mean = cv2.blur(a, around), cv2.blur(b, around)
    variance = np.maximum(cv2.blur(a * a, around) - mean * mean, 0)
    shared = cv2.blur(a * b, around) - mean * their_mean
    gain = np.clip((shared + 100) / (variance + 100), 0.8, 1.25)
    error = np.abs(cv2.GaussianBlur((b - their_mean) - gain * (a - mean), (5, 5), 0.8))
    error[:2] = error[-2:] = error[:, :2] = error[:, -2:] = 0
    return cell_maxima(error, 8)


def pictures(height: int, width: int) -> tuple[Plane, Plane]:
    rng = np.random.default_rng(height)
    second = cv2.GaussianBlur(rng.integers(0, 256, (height, width), dtype=np.uint8), (0, 0), 1.2)
    noisy = second * 1.1 + rng.normal(0, 4, second.shape) - 9
    return np.clip(noisy, 0, 255).astype(np.float32), second


@pytest.mark.parametrize("size", [(24, 24), (24, 31), (129, 200), (301, 96)])
def test_errors_are_those_of_plain_filters(size: tuple[int, int]):
    first, second = pictures(*size)
    errors, ended = cell_errors(first, second, float("inf"))
    assert not ended
    np.testing.assert_allclose(errors, plain_errors(first, second), atol=0.01)


def test_it_ends_at_an_error_that_is_enough():
    first, second = pictures(200, 160)
    second[40:50, 60:70] = 255 - second[40:50, 60:70]
    worst = plain_errors(first, second)
    assert worst.max() == worst[4:8].max() > 40
    errors, ended = cell_errors(first, second, 35.0)
    assert ended
    assert errors.max() > 35
    assert not errors[8:].any(), "rows below were not reached"
    assert not cell_errors(first, second, float(worst.max()) + 1)[1]
