"""The labelled set: the same every time, altered copies are copies, look-alikes are not."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import pytest
from PIL import Image

from benchmarks.duplicates.alterations import ALTERATIONS, GROUPS, opened
from benchmarks.duplicates.drawn import VISIBLE, Drawn
from benchmarks.duplicates.labelled import CLASSES, Labelled, drawn, labelled
from benchmarks.duplicates.lettering import other_digit, visible_difference
from cauldron.sample.draw.ink import BLACK, canvas, width_of, wrap, write
from cauldron.sample.draw.texture import Textures

SEED = 7
# Smallest and largest sides of a base picture.
SIDES = {
    "photograph": (427, 1024),
    "chart": (300, 920),
    "table": (80, 1000),
    "document": (595, 1754),
    "receipt": (400, 1700),
    "screenshot": (360, 1440),
}


@pytest.fixture(scope="module")
def pictures() -> list[Labelled]:
    return list(labelled(SEED, 1))


@lru_cache
def textures() -> Textures:
    return Textures(SEED)


@lru_cache
def family(class_name: str, number: int) -> Drawn:
    return drawn(SEED, class_name, number, textures())


def _digest(pictures: list[Labelled]) -> str:
    return hashlib.sha256(b"".join(p.data for p in pictures)).hexdigest()


def test_the_same_seed_gives_the_same_bytes(pictures):
    again = list(labelled(SEED, 1))
    assert [p.name for p in again] == [p.name for p in pictures]
    assert _digest(again) == _digest(pictures)


def test_a_family_depends_neither_on_other_families_nor_on_other_classes(pictures):
    alone = list(labelled(SEED, 1, ["table"]))
    more = [p for p in labelled(SEED, 2, ["table"]) if p.family == 0]
    within = [p for p in pictures if p.class_name == "table"]
    assert _digest(alone) == _digest(more) == _digest(within)


@pytest.mark.parametrize("class_name", CLASSES)
def test_another_seed_or_family_gives_other_pictures(class_name):
    other_seed = drawn(SEED + 1, class_name, 0, textures())
    found = (family(class_name, 0), family(class_name, 1), other_seed)
    assert len({item.base.tobytes() for item in found}) == 3


def test_every_class_has_a_base_every_alteration_and_look_alikes(pictures):
    for class_name in CLASSES:
        variants = [p.variant for p in pictures if p.class_name == class_name]
        assert variants[: 1 + len(ALTERATIONS)] == ["base", *ALTERATIONS]
        negatives = variants[1 + len(ALTERATIONS) :]
        assert len(negatives) >= 3
        assert all(name.startswith("negative:") for name in negatives)
        assert len(set(variants)) == len(variants)


def test_a_few_copies_of_a_family_are_among_all_of_them():
    few = list(labelled(SEED, 2, ["table"], copies=2))
    every = {(p.name, p.data) for p in labelled(SEED, 2, ["table"])}
    copies = [p.variant for p in few if p.variant in ALTERATIONS]
    assert len(copies) == 4
    assert {(p.name, p.data) for p in few} < every
    assert copies[:2] != copies[2:]


def test_pictures_alone_are_bases_of_further_families():
    alone = list(labelled(SEED, 1, ["table"], copies=0, alone=2))[-2:]
    bases = [p for p in labelled(SEED, 3, ["table"], copies=0) if p.variant == "base"]
    assert alone == bases[1:]


def test_altered_copies_keep_the_content_and_negatives_have_one_of_their_own(pictures):
    for class_name in CLASSES:
        family = [p for p in pictures if p.class_name == class_name]
        content = family[0].content
        assert all((p.content == content) != (":" in p.variant) for p in family)
        others = [p.content for p in family if p.content != content]
        assert len(set(others)) == len(others)
    assert len({_base(pictures, c).content for c in CLASSES}) == len(CLASSES)


def test_altered_copies_differ_in_bytes_but_look_like_their_base(pictures):
    for class_name in CLASSES:
        base = _base(pictures, class_name)
        for picture in pictures:
            if picture.content == base.content and picture is not base:
                assert picture.data != base.data, picture.name
                first, second = _aligned(opened(base.data), picture)
                # 20 % brighter, pale panels are as white as the paper: 0.8 on charts.
                assert np.corrcoef(_small(first), _small(second))[0, 1] > 0.7, picture.name


@pytest.mark.parametrize("class_name", CLASSES)
def test_every_negative_visibly_differs_from_its_base(class_name):
    for found in (family(class_name, 0), family(class_name, 1)):
        for kind, picture in found.negatives.items():
            assert picture.size == found.base.size, kind
            assert visible_difference(found.base, picture) >= VISIBLE, kind


@pytest.mark.parametrize("class_name", CLASSES)
def test_sizes_are_those_of_real_data(class_name):
    low, high = SIDES[class_name]
    sizes = [family(class_name, number).base.size for number in range(2)]
    assert all(low <= side <= high for size in sizes for side in size)


def test_alterations_do_what_their_names_say(pictures):
    for class_name in ("photograph", "table"):
        family = {p.variant: opened(p.data) for p in pictures if p.class_name == class_name}
        width, height = family["base"].size
        assert family["resize 50"].size == (round(width / 2), round(height / 2))
        assert family["resize 80, jpeg 75"].size == (round(width * 0.8), round(height * 0.8))
        for percent in (1, 2, 5):
            cut = 2 * round(width * percent / 100)
            assert width - family[f"crop {percent}"].width == cut
        wider = family["border"].width - width
        assert 2 <= wider <= 2 * round(0.08 * max(width, height))
        assert family["border"].height - height == wider
        assert _mean(family["darker 20"]) < _mean(family["darker 10"]) < _mean(family["base"])
        assert _mean(family["base"]) <= _mean(family["brighter 10"])
        formats = {name: image.format for name, image in family.items()}
        assert formats["to webp"] == "WEBP"
        assert formats["jpeg 30"] == "JPEG"
        assert formats["to png or jpeg"] != formats["base"]
        assert all(
            family[name].size == (width, height)
            for name in ("jpeg 30", "to webp", "noise", "brighter 20", "darker 10")
        )


def test_every_alteration_is_reported_in_one_group():
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(ALTERATIONS)


def test_a_negative_without_a_visible_change_is_refused():
    base = Image.new("RGB", (40, 40), "white")
    found = Drawn(base)
    found.add("one digit", base.copy)
    with pytest.raises(RuntimeError, match="no visible change for 'one digit'"):
        _ = found.negatives


def test_a_negative_is_drawn_again_until_its_change_is_visible():
    base = Image.new("RGB", (40, 40), "white")
    tries = iter([base.copy(), Image.new("RGB", (40, 40), "black")])
    found = Drawn(base)
    found.add("other", lambda: next(tries))
    assert found.negatives["other"].getpixel((0, 0)) == (0, 0, 0)


@pytest.mark.parametrize("text", ["7", "$1,204.50", "18 Mar 1999", "-10.0%"])
def test_one_digit_is_changed_to_another_and_nothing_else(text):
    rng = np.random.default_rng(0)
    for _ in range(50):
        changed = other_digit(text, rng)
        places = [i for i, (a, b) in enumerate(zip(text, changed, strict=True)) if a != b]
        assert len(places) == 1
        assert changed[places[0]].isdigit()


def test_no_digit_cannot_be_changed():
    with pytest.raises(ValueError, match="no digit"):
        other_digit("March", np.random.default_rng(0))


def test_text_is_as_wide_as_told_in_every_size():
    rng = np.random.default_rng(4)
    for bold in (False, True) * 6:
        size = float(rng.uniform(10, 24))
        image, draw = canvas(600, 60)
        write(draw, (20, 20), "Hamburgefonts 123", size, BLACK, bold=bold)
        dark = np.flatnonzero((np.asarray(image.convert("L")) < 128).any(axis=0))
        assert abs((dark[-1] - 20) - width_of("Hamburgefonts 123", size)) < 8


def test_wrapped_lines_fit_and_lose_no_word():
    text = "one two three four five six seven eight nine ten"
    lines = wrap(text, 14, 90)
    assert " ".join(lines) == text
    assert len(lines) > 2
    assert all(width_of(line, 14) <= 90 for line in lines)


def _base(pictures: list[Labelled], class_name: str) -> Labelled:
    return next(p for p in pictures if p.class_name == class_name)


def _aligned(base: Image.Image, picture: Labelled) -> tuple[Image.Image, Image.Image]:
    """Base and copy without what a crop or a border took away or added."""
    image = opened(picture.data)
    if picture.variant.startswith("crop"):
        return base.crop(_inner(base.size, image.size)), image
    if picture.variant == "border":
        return base, image.crop(_inner(image.size, base.size))
    return base, image


def _inner(outer: tuple[int, int], inner: tuple[int, int]) -> tuple[int, int, int, int]:
    dx, dy = (outer[0] - inner[0]) // 2, (outer[1] - inner[1]) // 2
    return dx, dy, dx + inner[0], dy + inner[1]


def _small(image: Image.Image) -> np.ndarray:
    small = image.convert("L").resize((32, 32), Image.Resampling.BOX)
    return np.asarray(small, np.float64).ravel()


def _mean(image: Image.Image) -> float:
    return float(np.asarray(image.convert("L"), np.float64).mean())
