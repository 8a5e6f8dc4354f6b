"""Scaled copies of large pictures: in doubt at a megapixel, told at the full resolution."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from cauldron.transforms.matching.compare.comparer import PictureComparer, in_doubt, verdict
from cauldron.transforms.matching.compare.prepared import FINE_PIXELS, prepare
from cauldron.transforms.matching.records import (
    DIFFERENT,
    PAIR,
    SAME,
    MatchJob,
)
from PIL import Image, ImageDraw, ImageFont

from tests.transforms.matching.compare.stored_job import stored_job

SIZE = (992, 1403)


def page(changed: str = "4") -> Image.Image:
    image = Image.new("L", SIZE, 255)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    random = np.random.default_rng(5)
    for line in range(54):
        words = [
            "".join(map(chr, random.integers(97, 123, random.integers(2, 9)))) for _ in "x" * 17
        ]
        words[9] = f"1{changed}7.20" if line == 30 else f"{random.integers(100, 999)}.20"
        draw.text((80, 70 + 23 * line), " ".join(words), fill=20, font=font)
    return image


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def scaled(image: Image.Image) -> Image.Image:
    size = (round(SIZE[0] * 0.65), round(SIZE[1] * 0.65))
    return image.resize(size, Image.Resampling.BOX)


@pytest.fixture
def job(tmp_path: Path) -> MatchJob:
    """A page, its scaled copy, and a copy of one with another digit."""
    images = [page(), scaled(page()), scaled(page("9"))]
    return stored_job(tmp_path, [png(image) for image in images])


def test_a_page_scaled_by_averages_is_found_at_full_resolution_and_a_digit_is_too(job):
    one, other = prepare(png(page())), prepare(png(scaled(page())))
    found, same = verdict(one, other)
    assert same == DIFFERENT, "no doubt to begin with"
    assert in_doubt(found, one, other)
    pairs = np.zeros(2, dtype=PAIR)
    pairs["second"] = [1, 2]
    verdicts = PictureComparer(job).compare(pairs)
    assert verdicts["same"].tolist() == [SAME, DIFFERENT]
    assert verdicts["score"][0] > 0.6


def test_pictures_of_one_size_and_very_large_ones_are_in_no_doubt():
    found = verdict(prepare(png(page())), prepare(png(page("9"))))[0]
    assert not in_doubt(found, prepare(png(page())), prepare(png(page("9"))))
    huge = prepare(png(Image.new("L", (3000, 1500), 200)))
    assert huge.reduced
    assert not huge.can_be_fine
    assert prepare(png(page()), FINE_PIXELS).greys.shape == SIZE[::-1]
