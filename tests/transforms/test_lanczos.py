"""Scaling by kept weights is Pillow's, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from transforms.hashes import SIDE, GreyPicture
from transforms.lanczos import UNTHREADED, lanczos

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


def test_no_product_is_large_enough_for_threads(monkeypatch: pytest.MonkeyPatch):
    sizes, matmul = [], np.matmul

    def spy(first, second, **options):
        sizes.append(first.shape[0] * first.shape[1] * second.shape[1])
        return matmul(first, second, **options)

    monkeypatch.setattr(np, "matmul", spy)
    lanczos(np.full((191, 191), 7.0), (191.0, 191.0), SIDE)
    assert len(sizes) > 1
    assert max(sizes) <= UNTHREADED
