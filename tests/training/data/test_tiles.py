"""Tiles equal those of transformers' torchvision backend, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cauldron.training.data.bad_rows import BadRow
from cauldron.training.data.tiles import decode, split_into_tiles

from cauldron.core.tiles import resize_steps, tile_count
from tests.training.data.mixtures import picture
from tests.training.data.tiny import image_processor

TILE = 364


def tiles_of(data: bytes, size: tuple[int, int], edge: int, upscale="published", tile=TILE):
    steps = resize_steps(*size, edge, tile, upscale)
    count = tile_count(*size, edge, tile, upscale)
    out = torch.empty((count, tile, tile, 3), dtype=torch.uint8)
    split_into_tiles(decode(data, *size), steps, out)
    return out.permute(0, 3, 1, 2)


def theirs(data: bytes, edge: int, tile: int = TILE) -> np.ndarray:
    """8-bit tiles of the processor: what it returns, before normalisation."""
    import io

    from PIL import Image

    processor = image_processor("torchvision", longest_edge=edge, tile=tile)
    values = processor([[Image.open(io.BytesIO(data))]], return_tensors="np")["pixel_values"][0]
    return np.round(values * 127.5 + 127.5).astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "edge"),
    [
        ((1, 1), 364),
        ((1, 1), 1456),
        ((30, 3000), 1456),
        ((3000, 30), 1820),
        ((364, 364), 364),
        ((364, 364), 1456),
        ((363, 365), 728),
        ((728, 364), 728),
        ((1456, 1455), 1456),
        ((1455, 1456), 1820),
        ((1000, 800), 1092),
        ((641, 427), 1820),
        ((2000, 1777), 364),
        ((1457, 2), 1456),
    ],
)
def test_pixels_equal_the_torchvision_backend(size, edge):
    data = picture(1, *size)
    assert np.array_equal(tiles_of(data, size, edge).numpy(), theirs(data, edge))


@pytest.mark.parametrize(("mode", "kind"), [("L", "PNG"), ("L", "JPEG"), ("RGB", "JPEG")])
def test_modes_and_formats_equal_the_torchvision_backend(mode, kind):
    data = picture(2, 500, 300, mode, kind)
    assert np.array_equal(tiles_of(data, (500, 300), 728).numpy(), theirs(data, 728))


def test_other_tiles_equal_the_torchvision_backend():
    data = picture(3, 700, 900)
    mine = tiles_of(data, (700, 900), 5 * 384, tile=384)
    assert np.array_equal(mine.numpy(), theirs(data, 5 * 384, tile=384))


def test_without_upscaling_the_picture_is_scaled_once_to_whole_tiles():
    data = picture(4, 100, 50)
    assert tiles_of(data, (100, 50), 1820, "never").shape == (1, 3, TILE, TILE)
    wide = tiles_of(picture(5, 728, 364), (728, 364), 1820, "never")
    assert wide.shape == (3, 3, TILE, TILE)
    exact = decode(picture(5, 728, 364), 728, 364).permute(2, 0, 1)
    assert torch.equal(wide[0], exact[:, :, :TILE])
    assert torch.equal(wide[1], exact[:, :, TILE:])


@pytest.mark.parametrize("data", [b"", b"not an image", picture(6, 40, 30)[:-300]])
def test_bytes_that_do_not_decode_are_a_bad_row(data):
    with pytest.raises(BadRow) as caught:
        decode(data, 40, 30)
    assert caught.value.reason == "image_unreadable"


def test_an_image_of_another_size_than_recorded_is_a_bad_row():
    with pytest.raises(BadRow, match="40 x 30, recorded 41 x 30"):
        decode(picture(6, 40, 30), 41, 30)
