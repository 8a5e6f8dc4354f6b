"""What is settled with two pictures laid on each other as they are, and what is not."""

from __future__ import annotations

import pytest
from cauldron.transforms.matching.compare import comparison
from cauldron.transforms.matching.compare.comparison import compare
from cauldron.transforms.matching.compare.prepared import prepare
from cauldron.transforms.matching.compare.whole_frame import (
    WholeFrame,
    middle_frames,
    small_frames,
    whole_frames,
)
from PIL import Image, ImageDraw

from benchmarks.duplicates.labelled import drawn
from cauldron.sample.draw.texture import Textures
from tests.transforms.matching.compare.test_comparison import (
    ALTERATIONS,
    PICTURES,
    chart,
    cropped,
    page,
    receipt,
    resized,
    stored,
    table,
)


def laid(first: bytes, second: bytes) -> WholeFrame:
    one, other = sorted((prepare(first), prepare(second)), key=lambda p: -p.greys.size)
    return whole_frames(one, other)


def laid_reduced(first: bytes, second: bytes) -> WholeFrame:
    one, other = sorted((prepare(first), prepare(second)), key=lambda p: -p.greys.size)
    return middle_frames(one, other)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The dear steps that a comparison took."""
    made: list[str] = []
    for name in ("locate", "refine"):
        step = getattr(comparison, name)
        monkeypatch.setattr(
            comparison, name, lambda *a, step=step, name=name: (made.append(name), step(*a))[1]
        )
    return made


LOOK_ALIKES = {
    "one digit": (table(), table({(4, 2): "2849"})),
    "another word": (table(), table({(2, 0): "harbour"})),
    "another bar": (chart(), chart((120, 200, 110, 170))),
    "another page number": (page(1), page(2)),
    "another amount": (receipt(), receipt("34,600")),
}


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_look_alikes_on_one_frame_are_told_apart_without_registering(name: str, calls: list[str]):
    first, second = map(stored, LOOK_ALIKES[name])
    found = compare(prepare(first), prepare(second))
    assert not found.same
    assert found.score < 0.2
    assert calls == []


@pytest.mark.parametrize("kind", sorted({*PICTURES} - {"photograph"}))
def test_a_copy_that_lost_nothing_is_found_without_a_fit(kind: str, calls: list[str]):
    image = PICTURES[kind]()
    found = compare(prepare(stored(image)), prepare(stored(image, "WEBP", lossless=True)))
    assert found.same
    assert found.score == 1
    assert calls == []


@pytest.mark.parametrize("alteration", ALTERATIONS)
@pytest.mark.parametrize("kind", PICTURES)
def test_no_altered_copy_is_told_apart(kind: str, alteration: str):
    image = PICTURES[kind]()
    assert not laid_reduced(stored(image), ALTERATIONS[alteration](image)).apart


def test_thin_lines_of_a_scaled_copy_tell_nothing_apart():
    """Whether a line of one pixel falls between two depends on the filter that scaled it."""
    screen = drawn(301, "screenshot", 1, Textures(301)).base
    found = [
        laid_reduced(stored(screen), stored(resized(screen, 0.5, Image.Resampling[how])))
        for how in ("LANCZOS", "BICUBIC", "BILINEAR", "BOX")
    ]
    assert any(one.right for one in found)
    assert not any(one.apart for one in found)


@pytest.mark.parametrize("size", [12, 15, 24])
def test_one_changed_digit_in_a_scaled_copy_is_never_accepted_here(size: int):
    first, second = table({(4, 2): "2849"}, size), table({(4, 2): "2349"}, size)
    small = resized(second, 0.5, Image.Resampling.LANCZOS)
    assert not laid(stored(first), stored(small)).faithful
    for quality in (95, 80, 60, 30):
        found = laid(stored(first), stored(second, "JPEG", quality=quality))
        assert not found.faithful or found.largest > 40


def test_colours_are_compared_where_the_grey_levels_agree(calls: list[str]):
    first, second = chart(colours="#5a5a5a #aaaaaa"), chart(colours="#5a5a5a #8caafa")
    assert laid(stored(first), stored(second)).faithful
    assert not compare(prepare(stored(first)), prepare(stored(second))).same


def test_pictures_with_next_to_no_ink_tell_nothing_of_their_frame():
    blank, dot = (Image.new("L", (600, 800), 255) for _ in range(2))
    ImageDraw.Draw(dot).rectangle((300, 400, 306, 406), fill=0)
    assert not laid_reduced(stored(blank), stored(dot)).right


def test_a_large_difference_on_one_grid_is_seen_when_small(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(comparison, "middle_frames", None)
    one, other = (prepare(stored(picture)) for picture in LOOK_ALIKES["another bar"])
    assert small_frames(one, other).apart
    assert not compare(one, other).same


@pytest.mark.parametrize("kind", PICTURES)
def test_no_copy_is_told_apart_when_small(kind: str):
    image = PICTURES[kind]()
    original = prepare(stored(image))
    for name, alter in ALTERATIONS.items():
        pair = sorted([original, prepare(alter(image))], key=lambda p: -p.greys.size)
        assert not small_frames(*pair).apart, name


def test_pages_that_agree_nowhere_are_not_laid_on_each_other_again(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(comparison, "middle_frames", None)
    smaller = resized(page(1, text=2), 0.6, Image.Resampling.LANCZOS)
    one, other = prepare(stored(page(1))), prepare(stored(smaller))
    assert small_frames(one, other).unlike
    assert not compare(one, other).same


@pytest.mark.parametrize("share", [0.01, 0.02])
@pytest.mark.parametrize("kind", PICTURES)
def test_a_crop_scaled_back_to_its_size_is_not_told_apart_when_small(kind: str, share: float):
    image = PICTURES[kind]()
    back = cropped(image, share).resize(image.size, Image.Resampling.LANCZOS)
    assert not small_frames(prepare(stored(image)), prepare(stored(back))).apart
