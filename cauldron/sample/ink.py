"""Ink and paper: the few primitives that every drawing here is made of."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cauldron.sample.model import Picture, Rng

Color = tuple[int, int, int]
Point = tuple[float, float]
T = TypeVar("T")

NAMED: dict[str, Color] = {
    "red": (205, 45, 45),
    "blue": (50, 95, 200),
    "green": (50, 150, 70),
    "orange": (240, 140, 30),
    "purple": (130, 70, 160),
    "yellow": (240, 205, 50),
    "brown": (125, 80, 50),
    "pink": (235, 130, 170),
    "grey": (130, 130, 135),
    "cyan": (60, 180, 200),
}
BLACK: Color = (20, 20, 24)
WHITE: Color = (255, 255, 255)


@lru_cache(maxsize=256)
def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's built-in scalable font. Raises RuntimeError where Pillow lacks FreeType."""
    loaded = ImageFont.load_default(size)
    if not isinstance(loaded, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType; drawing the sample needs it")
    return loaded


@lru_cache(maxsize=65536)
def width_of(text: str, size: int) -> float:
    return font(size).getlength(text)


def canvas(
    width: int, height: int, paper: Color = WHITE
) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (width, height), paper)
    return image, ImageDraw.Draw(image)


@lru_cache(maxsize=16384)
def _stamp(word: str, size: int, bold: bool) -> Image.Image:
    """A word as a mask, 2 pixels of room on its left: FreeType takes 10 us a letter, this none."""
    ascent, descent = font(size).getmetrics()
    mask = Image.new("L", (round(width_of(word, size)) + 8, ascent + descent + 2), 0)
    stroke = max(size / 40, 0.4) if bold else 0
    ImageDraw.Draw(mask).text((2, 0), word, fill=255, font=font(size), stroke_width=stroke)
    return mask


def write(
    draw: ImageDraw.ImageDraw,
    at: Point,
    text: str,
    size: int,
    fill: Color | int = BLACK,
    anchor: str = "la",
    bold: bool = False,
) -> None:
    """Draw one line. `anchor` as in Pillow: ``la`` top left, ``mm`` centred, ``rs`` right on y."""
    x, y = at
    ascent, descent = font(size).getmetrics()
    x -= {"l": 0.0, "m": 0.5, "r": 1.0}[anchor[0]] * width_of(text, size)
    y -= {"a": 0.0, "m": 0.5 * (ascent + descent), "s": 1.0 * ascent}[anchor[1]]
    space = width_of(" ", size)
    for word in text.split(" "):
        if word:
            draw.bitmap((round(x) - 2, round(y)), _stamp(word, size, bold), fill=fill)
        x += width_of(word, size) + space


def wrap(text: str, size: int, width: float) -> list[str]:
    """Break a text into lines of at most `width` pixels."""
    lines: list[str] = []
    space = width_of(" ", size)
    for paragraph in text.split("\n"):
        line: list[str] = []
        used = 0.0
        for word in paragraph.split():
            length = width_of(word, size)
            if line and used + space + length > width:
                lines.append(" ".join(line))
                line, used = [], 0.0
            used += length + (space if line else 0)
            line.append(word)
        lines.append(" ".join(line))
    return lines


def paragraph(
    draw: ImageDraw.ImageDraw,
    at: Point,
    text: str,
    size: int,
    width: float,
    fill: Color | int = BLACK,
    leading: float = 1.4,
    bold: bool = False,
) -> float:
    """Draw wrapped text; returns the y below it."""
    x, y = at
    for line in wrap(text, size, width):
        write(draw, (x, y), line, size, fill, bold=bold)
        y += size * leading
    return y


def arrow(
    draw: ImageDraw.ImageDraw, start: Point, end: Point, fill: Color = BLACK, width: int = 2
) -> None:
    draw.line([start, end], fill=fill, width=width)
    step = np.array(end) - np.array(start)
    step = step / max(float(np.hypot(*step)), 1e-6)
    side = np.array([-step[1], step[0]])
    tip = np.array(end)
    head = 5 + 2 * width
    corners = [tip, tip - step * head + side * head / 2, tip - step * head - side * head / 2]
    draw.polygon([(float(p[0]), float(p[1])) for p in corners], fill=fill)


def mix(first: Color, second: Color, part: float) -> Color:
    """`first` with `part` of it replaced by `second`."""
    mixed = [round(a + (b - a) * part) for a, b in zip(first, second, strict=True)]
    return (mixed[0], mixed[1], mixed[2])


def pick(rng: Rng, values: Sequence[T]) -> T:
    return values[int(rng.integers(len(values)))]


def sample(rng: Rng, values: Sequence[T], count: int) -> list[T]:
    """`count` different values, in random order."""
    return [values[int(i)] for i in rng.permutation(len(values))[:count]]


def png(image: Image.Image, path: str | None = None) -> Picture:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=2)
    return Picture(buffer.getvalue(), path)


def jpeg(image: Image.Image, quality: int = 88, path: str | None = None) -> Picture:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Picture(buffer.getvalue(), path)


def opened(picture: Picture) -> Image.Image:
    assert picture.data is not None
    image = Image.open(io.BytesIO(picture.data))
    image.load()
    return image
