"""Pairs that are refused before the dear steps: by brightness, and by one view for all views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cauldron.transforms.matching.compare import comparer, comparison
from cauldron.transforms.matching.compare.comparer import PictureComparer
from cauldron.transforms.matching.compare.comparison import compare
from cauldron.transforms.matching.compare.prepared import Prepared, prepare
from cauldron.transforms.matching.compare.registration import locate
from cauldron.transforms.matching.compare.tone import unexplained
from cauldron.transforms.matching.records import DIFFERENT, SAME
from cauldron.transforms.matching.views import PAIRINGS
from PIL import Image, ImageDraw, ImageOps

from tests.transforms.matching.compare.stored_job import stored_job
from tests.transforms.matching.compare.test_comparison import (
    ALTERATIONS,
    PICTURES,
    cropped,
    page,
    photograph,
    stored,
    table,
)


def test_one_gain_and_one_offset_are_explained_and_a_place_of_another_brightness_is_not():
    plane = np.random.default_rng(1).integers(60, 160, (80, 90)).astype(np.uint8)
    other = (plane * 1.4 + 20).astype(np.uint8)
    assert unexplained(plane, other) < 1
    assert unexplained(other, plane) < 1
    other[30:40, 30:40] = 30
    assert unexplained(plane, other) > 80
    assert unexplained(plane[:, :10], other[:, :10]) == 0, "too small to tell"


def assert_refused_before_colours(
    original: Image.Image, changed: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crop of the original is the same; one of the changed picture is refused by grey levels."""
    assert compare(prepare(stored(original)), prepare(stored(cropped(original, 0.02)))).same
    monkeypatch.setattr(comparison, "hue_and_light", None)
    found = compare(prepare(stored(original)), prepare(stored(cropped(changed, 0.02))))
    assert not found.same
    assert found.grey


def test_a_place_of_another_brightness_is_refused_before_colours(monkeypatch: pytest.MonkeyPatch):
    """A page and a crop of it with a dark box, which keeps most of the correlation."""
    original = page(1)
    changed = original.copy()
    ImageDraw.Draw(changed).rectangle((300, 300, 360, 360), fill=0)
    assert_refused_before_colours(original, changed, monkeypatch)


@pytest.mark.parametrize("kind", PICTURES)
def test_no_altered_copy_is_refused_by_brightness(kind: str, monkeypatch: pytest.MonkeyPatch):
    image = PICTURES[kind]()
    pairs = [(prepare(stored(image)), prepare(alter(image))) for alter in ALTERATIONS.values()]
    found = [compare(*pair) for pair in pairs]
    monkeypatch.setattr(locate, "_MOST_LEFT", float("inf"))
    assert [compare(*pair) for pair in pairs] == found


@pytest.fixture
def pair(tmp_path: Path):
    """A comparer of two pictures, and the views that it compared."""

    def made(first: Image.Image, second: Image.Image) -> PictureComparer:
        return PictureComparer(stored_job(tmp_path, [stored(first), stored(second)], ground=200))

    return made


BOTH = [PAIRINGS[0], PAIRINGS[3]]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each comparison whether it was one of contents."""
    calls: list[bool] = []
    verdict = comparer.verdict

    def counted(one: Prepared, other: Prepared):
        calls.append(one.rim is not None)
        return verdict(one, other)

    monkeypatch.setattr(comparer, "verdict", counted)
    return calls


def test_a_digit_on_one_frame_needs_no_second_view(pair, compared):
    first, second = (ImageOps.expand(t, 20, "white") for t in (table(), table({(4, 2): "2849"})))
    assert pair(first, second)._verdict(0, 1, BOTH)[1] == DIFFERENT
    assert compared == [False]


def test_a_bordered_photograph_is_compared_without_its_border(pair, compared):
    """Its whole views are refused; in a smooth one most cells may agree all the same."""
    first, second = (ImageOps.expand(photograph(), by, "black") for by in (6, 60))
    assert pair(first, second)._verdict(0, 1, BOTH)[1] == SAME
    assert compared == [False, True]


def test_a_digit_in_a_cropped_copy_is_refused_before_colours(monkeypatch: pytest.MonkeyPatch):
    """The pictures are registered, and a kernel is fitted at 512 pixels a side."""
    first, second = table(), table({(4, 2): "2349"})
    assert_refused_before_colours(first, second, monkeypatch)


@pytest.mark.parametrize("kind", PICTURES)
def test_no_altered_copy_is_refused_at_512_pixels(kind: str, monkeypatch: pytest.MonkeyPatch):
    image = PICTURES[kind]()
    pairs = [(prepare(stored(image)), prepare(alter(image))) for alter in ALTERATIONS.values()]
    found = [compare(*pair) for pair in pairs]
    monkeypatch.setattr(comparison, "APART_REDUCED", float("inf"))
    assert [compare(*pair) for pair in pairs] == found
