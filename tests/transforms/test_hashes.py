"""The project's perceptual hash stays comparable with imagehash's."""

from __future__ import annotations

import imagehash
import numpy as np
import pytest
from PIL import Image

from cauldron.rules import ImageRules
from sources.base import RawImage
from tests.transforms.pictures import chart, decoded, encoded, page, photograph
from transforms.hashes import hamming, phash64
from transforms.images import prepare_image

KINDS = {
    "photographs": [
        encoded(photograph(seed, *size), "JPEG", quality=85)
        for seed, size in enumerate([(320, 240), (800, 600), (300, 500)] * 4)
    ],
    "pages as PNG": [encoded(page(seed), "PNG") for seed in range(8)],
    "pages as JPEG": [encoded(page(seed), "JPEG", quality=85) for seed in range(8)],
    "charts": [encoded(chart(seed), "PNG") for seed in range(12)],
    "small charts": [encoded(chart(seed, 200, 150), "PNG") for seed in range(12)],
}


def reference(data: bytes) -> int:
    return int(str(imagehash.phash(decoded(data))), 16)


@pytest.mark.parametrize("kind", KINDS)
def test_stored_hash_is_within_a_few_bits_of_imagehash(kind: str):
    rules = ImageRules()
    distances = [
        hamming(prepare_image(RawImage(data), rules).info.phash, reference(data))
        for data in KINDS[kind]
    ]
    assert np.median(distances) <= 2
    assert max(distances) <= 6


def test_bits_stand_in_the_order_of_imagehash():
    # Small enough for the exact path, so that every bit must agree.
    for seed in range(20):
        image = photograph(seed, 128, 96)
        assert f"{phash64(image):016x}" == str(imagehash.phash(image))


def test_half_of_the_bits_are_set():
    assert [phash64(photograph(seed)).bit_count() for seed in range(5)] == [32] * 5


def test_a_flat_picture_has_one_hash_on_every_machine():
    # Exact integers: all frequencies but the first are zero, so no rounding decides a bit.
    flat = {phash64(Image.new("L", (200, 100), level)) for level in (1, 77, 254, 255)}
    assert flat == {1 << 63}


def test_hash_never_changes():
    # Corpora on disk hold these numbers.
    y, x = np.mgrid[:40, :50]
    rings = ((y * y * 7 + x * x * 3 + x * y * 5) // 16 % 251).astype(np.uint8)
    assert f"{phash64(Image.fromarray(rings)):016x}" == "8b0b0b1bfbf36206"


def test_other_pictures_are_far_apart_and_copies_near():
    first, second = photograph(1, 640, 480), photograph(2, 640, 480)
    copy = decoded(encoded(first.resize((400, 300)), "JPEG", quality=60))
    assert hamming(phash64(first), phash64(copy)) <= 6
    assert hamming(phash64(first), phash64(second)) >= 12
