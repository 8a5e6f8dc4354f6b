"""Scaling by kept weights is Pillow's, to the bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cauldron.transforms.hashes import SIDE, GreyPicture
from cauldron.transforms.lanczos import LONGEST, UNTHREADED, _weights, lanczos
from PIL import Image

SIZES = [(320, 240), (257, 256), (480, 320), (968, 338), (1240, 1754), (191, 400), (70_000, 1)]
SIZES += [
    tuple(int(side) for side in np.random.default_rng(n).integers(96, 900, 2)) for n in range(20)
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["noise", "ink"])
def test_levels_are_those_of_a_resize_with_a_reducing_gap(size: tuple[int, int], kind: str):
    noise = np.random.default_rng(size).integers(0, 256, size[::-1], dtype=np.uint8)
    # Ink on paper overshoots both ends of the range.
    grey = Image.fromarray(noise if kind == "noise" else np.where(noise < 25, 0, 255).astype("u1"))
    picture = GreyPicture.of(grey)
    extent = (size[0] / picture.block[0], size[1] / picture.block[1])
    found = lanczos(picture.values, extent, SIDE)
    wanted = grey.resize((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    assert np.array_equal(found, np.asarray(wanted))


@pytest.mark.parametrize("seed", range(60))
def test_levels_of_small_pictures_are_those_of_a_plain_resize(seed: int):
    rng = np.random.default_rng(seed)
    width, height = np.exp(rng.uniform(0, np.log(LONGEST + 1), 2)).astype(int)
    levels = rng.integers(0, 256, (min(height, 100 * width), width), dtype=np.uint8)
    if seed % 2:
        levels = np.where(levels < 25, 0, 255).astype(np.uint8)
    wanted = Image.fromarray(levels).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    assert np.array_equal(lanczos(levels, levels.shape[::-1], SIDE), np.asarray(wanted))


def sine_weights(count: int) -> list[list[int]]:
    """Pillow's weights for a side of `count` pixels, step by step as in its Resample.c."""
    scale = count / SIDE
    stretch, rows = max(scale, 1.0), []
    for place in range(SIDE):
        centre = (place + 0.5) * scale
        first = max(int(centre - 3 * stretch + 0.5), 0)
        end = min(int(centre + 3 * stretch + 0.5), count)
        away = [(n - centre + 0.5) * (1 / stretch) for n in range(first, end)]
        found = [sinc(x) * sinc(x / 3) if -3 <= x < 3 else 0.0 for x in away]
        units = [x * (1 / sum(found)) * 2**22 for x in found]
        row = [int(x + math.copysign(0.5, x)) for x in units]
        rows.append([0] * first + row + [0] * (count - end))
    return rows


def sinc(x: float) -> float:
    return math.sin(x * math.pi) / (x * math.pi) if x else 1.0


@pytest.mark.parametrize("count", [1, 7, 31, 32, 33, 96, 191, 230, 301, LONGEST])
def test_weights_are_pillows(count: int):
    found = _weights(count, float(count), SIDE) * 2**22
    assert found.astype(int).tolist() == sine_weights(count)


def test_no_product_is_large_enough_for_threads(monkeypatch: pytest.MonkeyPatch):
    sizes, matmul = [], np.matmul

    def spy(first, second, **options):
        sizes.append(first.shape[0] * first.shape[1] * second.shape[1])
        return matmul(first, second, **options)

    monkeypatch.setattr(np, "matmul", spy)
    lanczos(np.full((191, 191), 7.0), (191.0, 191.0), SIDE)
    lanczos(np.full((128, LONGEST), 7, dtype=np.uint8), (LONGEST, 128), SIDE)
    lanczos(np.full((LONGEST, 128), 7, dtype=np.uint8), (128, LONGEST), SIDE)
    assert len(sizes) > 1
    assert max(sizes) <= UNTHREADED
