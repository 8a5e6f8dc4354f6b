"""Pages at nearly the same resolution, which a second look at pieces of ink tells apart."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from cauldron.transforms.matching.compare.comparer import PictureComparer, verdict
from cauldron.transforms.matching.compare.comparison import BAR, Comparison
from cauldron.transforms.matching.compare.pieces.rescaled import needs_second_look, pieces_differ
from cauldron.transforms.matching.compare.prepared import prepare
from cauldron.transforms.matching.records import PAIR, SAME
from PIL import Image

from benchmarks.duplicates.pages_dpi.__main__ import Rendered, drawn_pages, renderings
from tests.transforms.matching.compare.stored_job import stored_job

Resampling = Image.Resampling


@pytest.fixture(scope="module")
def page() -> Rendered:
    """Type of 9 points at 144 and 150 dpi, and with a comma in place of a point."""
    *_, one = drawn_pages(6, 7)
    assert one.changed is not None
    assert b"(6,932,27)" in one.changed
    assert b"(6,932.27)" in one.pdf
    return renderings([one, one], 144, 150)[1]


def test_a_comma_in_place_of_a_point_is_refused_at_another_resolution(page, tmp_path: Path):
    assert page.changed is not None
    assert verdict(prepare(page.coarse), prepare(page.changed))[1] == SAME, "cells do not tell"
    job = stored_job(tmp_path, [page.coarse, page.fine, page.changed])
    pairs = np.zeros(2, dtype=PAIR)
    pairs["second"] = [1, 2]

    verdicts = PictureComparer(job).compare(pairs)

    assert verdicts["same"][0] == SAME
    assert verdicts["same"][1] != SAME
    assert verdicts["score"][0] >= BAR


@pytest.mark.parametrize("resampling", [Resampling.LANCZOS, Resampling.BICUBIC, Resampling.BOX])
@pytest.mark.parametrize("scale", [0.9, 0.95])
def test_a_resampled_copy_is_not_refused(page, resampling, scale):
    with Image.open(io.BytesIO(page.fine)) as image:
        part = image.convert("L").crop((100, 100, 500, 500))
    copy = part.resize((round(400 * scale),) * 2, resampling)

    assert not pieces_differ(_jpeg(part), _jpeg(copy), (part.size, copy.size))


@pytest.mark.parametrize("ink", [0, 140])
def test_black_and_grey_ink_must_agree(ink):
    wide = np.full((400, 400), 255, np.uint8)
    wide[100:300, 100:104] = ink
    other = wide.copy()
    other[150:153, 200:203] = ink
    small = Image.fromarray(wide).resize((380, 380), Resampling.BICUBIC)

    sizes = (400, 400), small.size
    assert not pieces_differ(_jpeg(Image.fromarray(wide)), _jpeg(small), sizes)
    assert pieces_differ(_jpeg(Image.fromarray(other)), _jpeg(small), sizes), "a point more"


def test_pictures_that_are_too_large_to_look_at_are_not_taken_for_the_same():
    assert pieces_differ(b"", b"", ((5000, 4000), (4800, 3840)))


def _jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


def test_only_what_was_scaled_as_a_whole_and_by_little_is_looked_at_again():
    found = Comparison(0.7, True, same=True, whole=True)
    assert needs_second_look(found, ((1190, 1684), (1240, 1754)), None)
    assert not needs_second_look(found, ((1240, 1754), (1240, 1754)), None), "one size"
    assert not needs_second_look(found, ((930, 1316), (1240, 1754)), None), "far apart"
    part = Comparison(0.7, True, same=True)
    assert not needs_second_look(part, ((1190, 1684), (1240, 1754)), None), "a crop"
    inner = ((970, 1464), (1008, 1519))
    assert needs_second_look(part, ((1190, 1684), (1240, 1754)), inner)
    assert not needs_second_look(part, ((1100, 1600), (1240, 1754)), inner), "another border"
