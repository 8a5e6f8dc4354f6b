"""The same picture in other colours: a verdict of its own, and what it never may be given to."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from cauldron.transforms.matching.compare.colours import compare_colours
from cauldron.transforms.matching.compare.comparer import verdict
from cauldron.transforms.matching.compare.comparison import BAR
from cauldron.transforms.matching.compare.prepared import PALETTE, Prepared, prepare
from cauldron.transforms.matching.records import DIFFERENT, OTHER_COLOURS, SAME
from PIL import Image, ImageDraw, ImageEnhance

from tests.transforms.made_pictures import chart, encoded, photograph

Alteration = Callable[[Image.Image], Image.Image]

RECOLOURED: dict[str, Alteration] = {
    "grey": lambda image: image.convert("L"),
    "half as saturated": lambda image: ImageEnhance.Color(image).enhance(0.5),
    "more saturated": lambda image: ImageEnhance.Color(image).enhance(1.5),
}


def prepared(image: Image.Image, **options: object) -> Prepared:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG" if options else "PNG", **options)
    return prepare(buffer.getvalue())


def coloured_chart(*colours: str) -> Image.Image:
    image = Image.new("RGB", (480, 320), "white")
    draw = ImageDraw.Draw(image)
    for bar, height in enumerate((120, 240, 180, 90)):
        left = 40 + 100 * bar
        draw.rectangle((left, 300 - height, left + 60, 300), colours[bar % len(colours)], "black")
        draw.text((left, 302), f"bar {bar}", "black")
    for line in range(5):
        draw.line((30, 60 * line, 470, 60 * line), "black")
    return image


@pytest.mark.parametrize("how", RECOLOURED)
def test_other_colours_are_a_verdict_of_their_own(how):
    image = photograph(1, 640, 480)
    first, second = prepared(image), prepared(RECOLOURED[how](image), quality=90)
    found, same = verdict(first, second)
    assert same == OTHER_COLOURS
    assert BAR <= found.score <= 1
    assert verdict(second, first) == (found, same)


def test_a_copy_in_its_own_colours_stays_the_same():
    image = photograph(2, 640, 480)
    assert verdict(prepared(image), prepared(image, quality=85))[1] == SAME


def test_series_that_exchange_their_colours_are_different_pictures():
    # Of one brightness: their grey copies are equal.
    colours = "#c83232", "#2e7d32"
    first, second = prepared(coloured_chart(*colours)), prepared(coloured_chart(*colours[::-1]))
    assert verdict(first, second)[1] == DIFFERENT
    grey = prepared(coloured_chart(*colours).convert("L"))
    assert verdict(first, grey)[1] == OTHER_COLOURS


def line_chart(colour: str) -> Image.Image:
    image = Image.new("RGB", (600, 380), "white")
    draw = ImageDraw.Draw(image)
    draw.text((30, 20), "Rainfall in a town, in millimetres", "black")
    draw.rectangle((70, 60, 580, 300), "#f4f4ee")
    points = [(110, 110), (220, 270), (330, 90), (440, 200), (550, 130)]
    for number, (x, y) in enumerate(points):
        draw.line((70, 60 * (number + 1), 580, 60 * (number + 1)), "#d8d8d8")
        draw.text((x - 10, 310), str(2003 + 4 * number), "black")
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), colour)
    draw.line(points, colour, 3)
    return image


@pytest.mark.parametrize(("one", "other"), [("#37b0c8", "#2b9348"), ("#eb7daa", "#8241a0")])
def test_a_thin_line_in_another_colour_is_no_copy_that_was_scaled_and_compressed(one, other):
    small = line_chart(one).resize((300, 190))
    copy = prepared(small, quality=50)
    assert verdict(prepared(line_chart(one)), copy)[1] == SAME
    assert verdict(prepared(line_chart(other)), copy)[1] == DIFFERENT


@pytest.mark.parametrize("how", RECOLOURED)
def test_another_picture_in_other_colours_is_different(how):
    for one, other in (
        (photograph(3, 640, 480), photograph(4, 640, 480)),
        (chart(5).convert("RGB"), chart(6).convert("RGB")),
    ):
        assert verdict(prepared(one), prepared(RECOLOURED[how](other)))[1] == DIFFERENT


def test_a_photograph_with_a_palette_is_found_and_one_with_a_changed_object_is_not():
    image = photograph(1, 640, 480)
    few = image.quantize(256).convert("RGB")
    first, second = prepared(image), prepared(few)
    assert second.palette
    assert not first.palette
    assert verdict(first, second)[1] == OTHER_COLOURS
    changed = image.copy()
    ImageDraw.Draw(changed).ellipse((200, 150, 330, 280), fill=(20, 20, 20))
    assert verdict(first, prepared(changed.quantize(256).convert("RGB")))[1] == DIFFERENT


def test_a_blank_picture_is_no_copy_in_other_colours():
    white, red = (Image.new("RGB", (300, 200), colour) for colour in ("white", "#ff8080"))
    first, second = prepared(white), prepared(red)
    known, same = verdict(first, second)
    assert same == DIFFERENT
    assert compare_colours(first, second, known) is None


def test_colours_are_counted_and_grey_is_no_palette():
    ramp = np.arange(512, dtype=np.uint16).reshape(2, 256).repeat(100, axis=0)
    many = Image.fromarray(np.dstack([ramp >> 1, ramp & 255, ramp % 7]).astype(np.uint8))
    assert len(many.getcolors(1 << 20)) > PALETTE
    assert not prepared(many).palette
    assert not prepared(many.convert("L")).palette
    assert prepare(encoded(chart(1), "PNG")).palette == (chart(1).mode != "L")
