"""Copies with other levels: more contrast, few colours, a mark. Changed content is none of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from cauldron.transforms.matching.compare.prepared import prepare_pixels
from cauldron.transforms.matching.parts.altered import marked_copy, palette_copy, tone_copy
from cauldron.transforms.matching.parts.judge import Pixels, judge
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from tests.transforms.made_pictures import chart, decoded, encoded, page, photograph

PICTURES: dict[str, Callable[[], Image.Image]] = {
    "photograph": lambda: photograph(1, 640, 480),
    "page": lambda: page(2).convert("RGB"),
    "chart": lambda: chart(3).convert("RGB"),
}


def jpeg(image: Image.Image) -> Pixels:
    return np.asarray(decoded(encoded(image, "JPEG", quality=88)).convert("RGB"))


def marked(image: Image.Image, grey: int = 128, opaque: int = 110) -> Image.Image:
    mask = Image.new("L", image.size, 0)
    font = ImageFont.load_default(max(14, image.width // 12))
    for line in range(3):
        place = image.width * 0.1, image.height * (0.15 + 0.3 * line)
        ImageDraw.Draw(mask).text(place, "(c) example.org", fill=opaque, font=font)
    return Image.composite(Image.new("RGB", image.size, (grey,) * 3), image, mask)


@pytest.mark.parametrize(
    ("name", "grey", "opaque"),
    [
        ("photograph", 200, 140),
        ("page", 128, 110),
        ("page", 60, 120),
        ("page", 200, 140),
        ("chart", 128, 110),
        ("chart", 200, 140),
    ],
)
def test_a_picture_under_a_mark_is_found(name, grey, opaque):
    image = PICTURES[name]()
    ours, theirs = jpeg(marked(image, grey, opaque)), np.asarray(image)
    score = marked_copy(prepare_pixels(ours), prepare_pixels(theirs))
    assert score is not None
    assert 0.5 <= score <= 1
    judged = judge(ours, theirs)
    assert judged is not None
    assert name == "photograph" or judged.kind == "watermark"


def small_table(digit: int = 4) -> Image.Image:
    """Letters of a few pixels, most of them under no mark."""
    image = Image.new("RGB", (260, 220), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    for row in range(9):
        draw.text((14, 8 + 23 * row), ("Apples", "Pears", "Plums")[row % 3], (25, 25, 30), font)
        for column in range(2):
            amount = f"{row + 3}{digit if row == 3 else 7}{8 * row}"
            draw.text((110 + 90 * column, 8 + 23 * row), amount, (25, 25, 30), font)
    return image


def test_a_small_table_under_a_mark_is_found_and_another_digit_is_not():
    table = prepare_pixels(np.asarray(small_table()))
    assert marked_copy(prepare_pixels(jpeg(marked(small_table()))), table) is not None
    assert marked_copy(prepare_pixels(jpeg(marked(small_table(6)))), table) is None


def test_an_object_in_another_colour_is_no_mark():
    image = photograph(2, 480, 640)
    images = image.copy(), image.copy()
    for one, colour in zip(images, [(215, 190, 40), (215, 120, 160)], strict=True):
        draw = ImageDraw.Draw(one)
        draw.ellipse((55, 160, 97, 205), fill=colour)
        for left in (68, 80):
            draw.rectangle((left, 162, left + 4, 203), fill=(225, 225, 225))
    original, other = (prepare_pixels(np.asarray(one)) for one in images)
    assert marked_copy(prepare_pixels(jpeg(marked(images[0]))), original) is not None
    assert marked_copy(prepare_pixels(jpeg(marked(images[1]))), original) is None
    assert marked_copy(other, original) is None


def test_letters_that_hide_the_ink_are_no_mark():
    image = PICTURES["page"]()
    hidden = prepare_pixels(jpeg(marked(image, 150, 255)))
    assert marked_copy(hidden, prepare_pixels(np.asarray(image))) is None


def dull(seed: int) -> Image.Image:
    """A photograph about as grey as the mark."""
    return photograph(seed, 640, 480).point(lambda level: round(100 + (level - 128) * 0.5))


def test_a_photograph_about_as_grey_as_the_mark_is_seen_through_it_by_its_texture():
    image = dull(2)
    first, second = prepare_pixels(jpeg(marked(image))), prepare_pixels(np.asarray(image))
    score = marked_copy(first, second)
    assert score is not None
    assert score >= 0.5
    # Letters that hide what is below have another texture.
    mask = Image.new("L", image.size, 0)
    font = ImageFont.load_default(image.width // 12)
    for line in range(3):
        place = image.width * 0.1, image.height * (0.15 + 0.3 * line)
        ImageDraw.Draw(mask).text(place, "(c) example.org", fill=255, font=font)
    hidden = Image.composite(dull(9), image, mask)
    assert marked_copy(prepare_pixels(jpeg(hidden)), second) is None


@pytest.mark.parametrize("name", PICTURES)
def test_another_picture_under_a_mark_is_not_found(name):
    others = {"photograph": photograph(9, 640, 480), "page": page(9), "chart": chart(9)}
    other = others[name].convert("RGB")
    assert judge(jpeg(marked(other)), np.asarray(PICTURES[name]())) is None


def test_a_changed_word_is_found_under_a_mark():
    image = PICTURES["page"]()
    changed = image.copy()
    draw = ImageDraw.Draw(changed)
    draw.rectangle((200, 400, 300, 425), fill="white")
    draw.text((202, 403), "otherwise", "black", ImageFont.load_default(16))
    assert judge(jpeg(marked(changed)), np.asarray(image)) is None


def test_ink_that_was_added_is_no_mark():
    """A form that somebody filled in with a pencil: nothing is seen through the letters."""
    image = PICTURES["page"]()
    form = image.copy()
    draw = ImageDraw.Draw(form)
    for line in range(4):
        draw.rectangle((40, 90 + 190 * line, 580, 160 + 190 * line), fill="white")
    filled = form.copy()
    draw = ImageDraw.Draw(filled)
    for line in range(4):
        where = 60, 105 + 190 * line
        draw.text(where, "filled in by hand", (150, 150, 150), ImageFont.load_default(36))
    first, second = (prepare_pixels(jpeg(one)) for one in (filled, form))
    assert marked_copy(first, second) is None


@pytest.mark.parametrize("factor", [0.7, 1.3])
@pytest.mark.parametrize("name", PICTURES)
def test_more_or_less_contrast_is_explained(name, factor):
    image = PICTURES[name]()
    altered, pixels = jpeg(ImageEnhance.Contrast(image).enhance(factor)), np.asarray(image)
    first = prepare_pixels(altered)
    assert tone_copy(altered, pixels, first, prepare_pixels(pixels)) is not None
    other = {"photograph": photograph(8, 640, 480), "page": page(8), "chart": chart(8)}[name]
    pixels = np.asarray(other.convert("RGB"))
    assert tone_copy(altered, pixels, first, prepare_pixels(pixels)) is None


def smooth_table() -> Image.Image:
    """Words on a field whose colour changes from left to right: more than 256 colours."""
    ramp = np.linspace((190, 215, 250), (250, 205, 190), 480)[None].repeat(300, axis=0)
    image = Image.fromarray(np.rint(ramp).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for row in range(9):
        draw.text((20, 10 + 32 * row), f"Row {row}: 1{row}74 of 2{row}31", "black")
    return image


def test_few_colours_are_explained_and_another_digit_is_not():
    image = smooth_table()
    few, pixels = (np.asarray(one.convert("RGB")) for one in (image.quantize(16), image))
    assert palette_copy(few, pixels, prepare_pixels(few)) is not None
    changed = image.copy()
    draw = ImageDraw.Draw(changed)
    draw.rectangle((60, 138, 130, 152), fill=image.getpixel((95, 136)))
    draw.text((20, 138), "           8474 of 2431", "black")
    other = np.asarray(changed.quantize(16).convert("RGB"))
    assert palette_copy(other, pixels, prepare_pixels(other)) is None
    # Not few colours.
    many = np.asarray(photograph(1, 640, 480))
    assert palette_copy(many, many, prepare_pixels(many)) is None


@pytest.mark.parametrize("seed", [2, 4])
def test_a_palette_of_a_photograph_is_not_of_the_nearest_colours(seed):
    image = photograph(seed, 640, 480)
    few, pixels = (np.asarray(one.convert("RGB")) for one in (image.quantize(64), image))
    assert palette_copy(few, pixels, prepare_pixels(few)) is not None
    changed = image.copy()
    ImageDraw.Draw(changed).ellipse((200, 150, 260, 210), fill="#506070")
    other = np.asarray(changed.quantize(64).convert("RGB"))
    assert palette_copy(other, pixels, prepare_pixels(other)) is None
