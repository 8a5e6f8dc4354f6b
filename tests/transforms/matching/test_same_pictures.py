"""What counts as the same picture, on drawings: alterations do, another digit does not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from transforms.matching.compare import Comparison, compare, prepare


def table(changed: str | None = None, size: tuple[int, int] = (520, 360)) -> Image.Image:
    """A table of numbers; `changed` replaces the text of one cell in the middle."""
    image = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(16)
    for row in range(9):
        for column in range(5):
            text = f"{row * 137 + column * 41 + 1000}"
            if (row, column) == (4, 2) and changed is not None:
                text = changed
            draw.rectangle(
                (column * 100 + 8, row * 38 + 6, column * 100 + 108, row * 38 + 44), outline="black"
            )
            draw.text((column * 100 + 18, row * 38 + 14), text, fill="black", font=font)
    return image


def photograph(seed: int = 1) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((640, 480), Image.Resampling.BICUBIC), dtype=np.int16)
    grain = rng.integers(-12, 12, smooth.shape, dtype=np.int16)
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


def stored(image: Image.Image, kind: str = "PNG", **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def cropped(image: Image.Image, share: float) -> Image.Image:
    x, y = round(image.width * share), round(image.height * share)
    return image.crop((x, y, image.width - x, image.height - y))


def judged(first: bytes, second: bytes) -> Comparison:
    a, b = prepare(first), prepare(second)
    found = compare(a, b)
    assert compare(b, a) == found
    return found


ALTERED = {
    "jpeg 40": lambda image: stored(image, "JPEG", quality=40),
    "webp": lambda image: stored(image, "WEBP", quality=80),
    "half the size": lambda image: stored(
        image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
    ),
    "brighter": lambda image: stored(
        ImageEnhance.Brightness(image).enhance(1.1), "JPEG", quality=85
    ),
    "darker": lambda image: stored(ImageEnhance.Brightness(image).enhance(0.85)),
    "cropped": lambda image: stored(cropped(image, 0.02)),
}


@pytest.mark.parametrize("alteration", ALTERED)
@pytest.mark.parametrize("picture", [table, photograph])
def test_an_altered_copy_is_the_same_picture(picture, alteration):
    assert judged(stored(picture()), ALTERED[alteration](picture())).same


@pytest.mark.parametrize("alteration", ["jpeg 40", "webp", "half the size", "darker", "cropped"])
@pytest.mark.parametrize("cell", ["1636", "1930", "1680", ""])
def test_another_number_in_one_cell_is_another_picture(cell, alteration):
    assert table() != table(cell)
    assert not judged(stored(table()), ALTERED[alteration](table(cell))).same


def test_equal_pictures_score_one_whatever_holds_them():
    found = judged(stored(table()), stored(table().convert("L")))
    assert (found.score, found.same, found.drawing) == (1.0, True, True)
    assert not judged(stored(photograph()), stored(photograph())).drawing


def test_two_photographs_are_two():
    assert not judged(stored(photograph(1)), stored(photograph(2))).same


@pytest.mark.parametrize("quality", [None, 90, 50, 30])
@pytest.mark.parametrize("number", ["7", "12", "17"])
def test_blank_pages_are_one_and_a_page_number_makes_another(number, quality):
    """However faint compression makes it: no tone and no blur takes it for part of the paper."""
    blank, numbered, other = (Image.new("L", (600, 800), 255) for _ in range(3))
    for page, text in ((numbered, number), (other, "8")):
        ImageDraw.Draw(page).text((290, 770), text, fill=0, font=ImageFont.load_default(12))
    copy = stored(numbered, "JPEG", quality=quality) if quality else stored(numbered)
    assert judged(stored(blank), stored(blank)).same
    assert not judged(stored(blank), copy).same
    assert not judged(stored(other), copy).same


@pytest.mark.parametrize("sizes", [((1, 1), (1, 1)), ((3, 900), (3, 880)), ((1, 1), (800, 600))])
def test_strange_sizes_are_judged_and_break_nothing(sizes):
    first, second = (stored(Image.new("RGB", size, "grey")) for size in sizes)
    assert judged(first, second).same == (sizes[0] == sizes[1])
