"""Colours, text and simple shapes: what all five archetypes draw with.

All text is in the one outline font that Pillow bundles; system fonts would make the pictures
differ by machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from PIL import Image, ImageColor, ImageDraw, ImageFont

from cauldron.sample.model import load

Color = tuple[int, int, int]
Point = tuple[float, float]
Box = tuple[float, float, float, float]
Draw = ImageDraw.ImageDraw

NAMED: dict[str, Color] = {name: tuple(color) for name, color in load("words")["colors"].items()}
BLACK: Color = (20, 20, 24)
WHITE: Color = (255, 255, 255)
GREY: Color = (110, 112, 118)


@lru_cache(maxsize=512)
def font(size: float) -> ImageFont.FreeTypeFont:
    """The outline font. Raises RuntimeError if Pillow was built without FreeType."""
    loaded = ImageFont.load_default(size)
    if not isinstance(loaded, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType; drawing the sample needs it")
    return loaded


@lru_cache(maxsize=65536)
def width_of(text: str, size: float) -> float:
    return font(size).getlength(text)


def write(
    draw: Draw,
    at: Point,
    text: str,
    size: float,
    fill: Color = BLACK,
    anchor: str = "la",
    bold: bool = False,
) -> Box:
    """Draw one line and return its box.

    Args:
        anchor: as in Pillow: ``la`` top left, ``mm`` centred, ``rs`` right end on the base line.
    """
    draw.text(at, text, fill, font(size), anchor, stroke_width=0.03 * size if bold else 0)
    long, high = width_of(text, size), sum(font(size).getmetrics())
    x = at[0] - {"l": 0.0, "m": 0.5, "r": 1.0}[anchor[0]] * long
    y = at[1] - {"a": 0.0, "m": 0.5, "s": 0.8}[anchor[1]] * high
    return x, y, x + long, y + high


def wrap(text: str, size: float, width: float) -> list[str]:
    """Break a text into lines of at most `width` pixels."""
    lines, line, used = [], "", 0.0
    for word in text.split():
        used += width_of(" ", size) + width_of(word, size)
        if line and used > width:
            lines.append(line)
            line, used = "", width_of(word, size)
        line += f" {word}" if line else word
    return [*lines, line]


def canvas(width: float, height: float, paper: Color = WHITE) -> tuple[Image.Image, Draw]:
    image = Image.new("RGB", (round(width), round(height)), paper)
    return image, ImageDraw.Draw(image)


def mix(first: Color, second: Color, part: float) -> Color:
    """`first` with `part` of it replaced by `second`."""
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(first, second, strict=True))
    return red, green, blue


def draw_shape(draw: Draw, parts: Sequence[str], box: Box, color: Color) -> None:
    """Draw a thing that is made of a few polygons, ovals and boxes.

    Args:
        parts: each is a kind (poly, line, oval or box), a tone and coordinates, which are
            parts of the box. The tone is ``main``, ``deep`` or ``pale`` (of `color`), or
            six hex digits.
    """
    x0, y0, x1, y1 = box
    tones = {"main": color, "deep": mix(color, BLACK, 0.35), "pale": mix(color, WHITE, 0.45)}
    for part in parts:
        kind, tone, *numbers = part.split()
        xs, ys = (map(float, numbers[i::2]) for i in (0, 1))
        points = [(x0 + (x1 - x0) * x, y0 + (y1 - y0) * y) for x, y in zip(xs, ys, strict=True)]
        fill = tones.get(tone) or ImageColor.getrgb(f"#{tone}")
        if kind == "poly":
            draw.polygon(points, fill=fill)
        elif kind == "line":
            draw.line(points, fill=fill, width=max(round((x1 - x0) * 0.03), 2))
        elif kind == "oval":
            draw.ellipse(points, fill=fill)
        else:
            draw.rectangle(points, fill=fill)
