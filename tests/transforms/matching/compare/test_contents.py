"""Pictures that are the same but for a border: compared without it, at full strictness."""

from __future__ import annotations

import io

import numpy as np
import pytest
from cauldron.transforms.matching.compare import rims
from cauldron.transforms.matching.compare.comparer import comparable, verdict
from cauldron.transforms.matching.compare.prepared import prepare, prepare_views
from cauldron.transforms.matching.compare.rims import without_rim
from cauldron.transforms.matching.records import DIFFERENT, PICTURE, SAME, Limits
from cauldron.transforms.matching.views import CONTENT, WHOLE, views_to_compare
from PIL import Image, ImageDraw, ImageOps

LIMITS = Limits(8, 56, 51)


def table(changed: str = "1,204") -> Image.Image:
    image = Image.new("RGB", (420, 300), "white")
    draw = ImageDraw.Draw(image)
    for row in range(9):
        for column in range(4):
            text = changed if (row, column) == (4, 2) else f"{row * 137 + column * 911:,}"
            draw.text((14 + column * 100, 12 + row * 32), text, fill=(20, 20, 20))
        draw.line((8, 34 + row * 32, 412, 34 + row * 32), fill=(90, 90, 90))
    return image


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("colour", ["white", "black", (200, 30, 30)])
def test_a_border_is_no_difference_and_a_digit_is(colour):
    whole = prepare(png(table()))
    own = prepare_views(png(table()), True)[1]
    for changed, wanted in (("1,204", SAME), ("1,284", DIFFERENT)):
        bordered = ImageOps.expand(table(changed), 30, colour)
        _, content = prepare_views(png(bordered), True)
        assert content is not None
        assert own is not None
        one = own if colour == "white" else whole
        assert verdict(one, content)[1] == wanted
        assert verdict(content, one)[1] == wanted


def test_the_content_of_a_drawing_is_one():
    solid = Image.fromarray(np.random.default_rng(1).integers(0, 255, (200, 300), dtype=np.uint8))
    _, content = prepare_views(png(ImageOps.expand(solid, 40, 255)), True)
    assert content is not None
    assert content.drawing
    assert content.size == (300, 200)
    assert content.rim == ((255, 255, 255), True)


def test_what_differs_in_colour_alone_is_no_rim():
    pixels = np.full((200, 300, 3), 200, np.uint8)
    pixels[40:160, 60:240] = np.random.default_rng(2).integers(0, 100, (120, 180, 3))
    found = without_rim(pixels)
    assert found is not None
    assert found[0].shape == (120, 180, 3)
    pixels[2, 2] = (212, 195, 190)
    pixels[:2, :2] = 200
    assert without_rim(pixels)[0].shape == (158, 238, 3)  # type: ignore[index]


def test_bars_of_two_colours_at_one_side_are_a_difference():
    picture = Image.fromarray(np.random.default_rng(3).integers(0, 255, (200, 300, 3), np.uint8))

    def content(border, colour):
        found = prepare_views(png(ImageOps.expand(picture, border, colour)), False)[1]
        assert found is not None
        return found

    top, around = (0, 30, 0, 0), (30, 30, 30, 30)
    assert not comparable(content(top, (20, 20, 200)), content(top, (200, 20, 20)))
    assert comparable(content(top, (20, 20, 200)), content(top, (30, 20, 190)))
    assert comparable(content(around, (20, 20, 200)), content(around, (200, 20, 20)))


def pictures(*hashes: tuple[int, int | None], margins: tuple[int, int] = (10, 10)) -> np.ndarray:
    """Of 200 x 200 pixels: hash of the whole, and of the content, which has a margin."""
    records = np.zeros(len(hashes), dtype=PICTURE)
    records["width"] = records["height"] = 200
    for record, (whole, content), margin in zip(records, hashes, margins, strict=True):
        record["phash"], record["phash256"] = whole, [whole, 0, 0, 0]
        if content is not None:
            record["content_phash"], record["content_phash256"] = content, [content, 0, 0, 0]
            record["content_left"] = record["content_top"] = margin
            record["content_width"] = record["content_height"] = 200 - 2 * margin
    return records


FAR = (1 << 40) - 1


@pytest.mark.parametrize(
    ("first", "second", "margins", "views"),
    [
        ((0, None), (1, None), (0, 0), [(WHOLE, WHOLE)]),
        ((0, None), (FAR, None), (0, 0), [(WHOLE, WHOLE)]),
        ((0, None), (FAR, 1), (0, 20), [(WHOLE, CONTENT)]),
        ((FAR, 7), (0, 7), (10, 30), [(CONTENT, CONTENT)]),
        ((0, 7), (0, 7), (10, 10), [(WHOLE, WHOLE)]),
        ((0, 7), (0, 7), (10, 30), [(WHOLE, WHOLE), (CONTENT, CONTENT)]),
        ((0, 7), (0xFF, 7), (10, 30), [(WHOLE, WHOLE), (CONTENT, CONTENT)]),
    ],
)
def test_views_whose_hashes_are_near_are_compared(first, second, margins, views):
    both = pictures(first, second, margins=margins)
    assert views_to_compare(both[:1], both[1:], LIMITS) == [views]


def test_bounds_are_those_of_every_pixel_that_is_off() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        height, width, channels = *rng.integers(1, 40, 2), rng.choice([1, 3])
        pixels = np.full((height, width, channels), rng.integers(0, 256), np.uint8)
        for _ in range(rng.integers(0, 4)):
            pixels[rng.integers(height), rng.integers(width)] = rng.integers(0, 256, channels)
        colour = pixels[0, 0].astype(np.int32)
        rows, columns = np.nonzero((np.abs(pixels - colour) > 8).any(axis=2))
        expected = (0, 0, 0, 0)
        if len(rows):
            expected = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert rims._bounds(pixels, colour, 8) == expected
