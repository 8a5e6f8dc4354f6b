"""Colours, typefaces and simple shapes: what all five archetypes draw with.

Pillow bundles one outline font and one bitmap font. Stretch, slant, weight and fractional sizes
make many faces of them; system fonts would make the pictures differ by machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from cauldron.sample.data import load
from cauldron.sample.model import Rng

Color = tuple[int, int, int]
Fill = Color | int
Point = tuple[float, float]
Box = tuple[float, float, float, float]
Draw = ImageDraw.ImageDraw

NAMED: dict[str, Color] = {name: tuple(color) for name, color in load("words")["colors"].items()}
BLACK: Color = (20, 20, 24)
WHITE: Color = (255, 255, 255)
GREY: Color = (110, 112, 118)
BITMAP_HEIGHT = 11


@dataclass(frozen=True)
class Face:
    """A typeface.

    Attributes:
        stretch: width of letters against the font's own.
        slant: how far a letter leans, as part of its height.
        weight: stroke added around letters, as part of the size.
        fixed: the bitmap font, all letters equally wide, as tills and terminals print.
    """

    stretch: float = 1.0
    slant: float = 0.0
    weight: float = 0.0
    fixed: bool = False

    def bold(self) -> Face:
        return replace(self, weight=self.weight + 0.03)


PLAIN = Face()


def any_face(rng: Rng, fixed: float = 0.0) -> Face:
    """A random face; the bitmap one with probability `fixed`."""
    stretch = float(rng.uniform(0.82, 1.2))
    slant = float(rng.uniform(0.12, 0.24)) if rng.random() < 0.12 else 0.0
    weight = float(rng.uniform(0, 0.02))
    return Face(stretch, slant, weight, bool(rng.random() < fixed))


@lru_cache(maxsize=512)
def font(size: float) -> ImageFont.FreeTypeFont:
    """The outline font. Raises RuntimeError if Pillow was built without FreeType."""
    loaded = ImageFont.load_default(size)
    if not isinstance(loaded, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType; drawing the sample needs it")
    return loaded


@lru_cache(maxsize=65536)
def width_of(text: str, size: float, face: Face = PLAIN) -> float:
    plain = len(text) * 6 * _zoom(size) if face.fixed else font(size).getlength(text)
    return plain * face.stretch


def _zoom(size: float) -> float:
    return size * 1.15 / BITMAP_HEIGHT


def _metrics(size: float, face: Face) -> tuple[float, float]:
    """Pixels above and below the base line."""
    return (size * 0.95, size * 0.2) if face.fixed else font(size).getmetrics()


@lru_cache(maxsize=16384)
def _stamp(word: str, size: float, face: Face) -> Image.Image:
    """A word as a mask with 2 pixels of room on its left; cached, as FreeType is slow."""
    if face.fixed:
        mask = Image.new("L", (6 * len(word) + 1, 13), 0)
        ImageDraw.Draw(mask).text((0, 0), word, fill=255, font=ImageFont.load_default_imagefont())
        width, height = round(mask.width * _zoom(size)), round(mask.height * _zoom(size))
    else:
        width, height = round(font(size).getlength(word)) + 8, sum(font(size).getmetrics()) + 2
        mask = Image.new("L", (width, height), 0)
        stroke = face.weight * size
        ImageDraw.Draw(mask).text((2, 0), word, fill=255, font=font(size), stroke_width=stroke)
    stretched = (max(round(width * face.stretch), 1), max(height, 1))
    if stretched != mask.size:
        mask = mask.resize(stretched, Image.Resampling.BICUBIC)
    if not face.slant:
        return mask
    lean = face.slant * height
    return mask.transform(
        (mask.width + round(lean), height),
        Image.Transform.AFFINE,
        (1, face.slant, -lean, 0, 1, 0),
        Image.Resampling.BICUBIC,
    )


def write(
    draw: Draw,
    at: Point,
    text: str,
    size: float,
    fill: Fill = BLACK,
    anchor: str = "la",
    face: Face = PLAIN,
) -> Box:
    """Draw one line and return its box.

    Args:
        anchor: as in Pillow: ``la`` top left, ``mm`` centred, ``rs`` right end on the base line.
    """
    x, y = at
    above, below = _metrics(size, face)
    long = width_of(text, size, face)
    x -= {"l": 0.0, "m": 0.5, "r": 1.0}[anchor[0]] * long
    y -= {"a": 0.0, "m": 0.5 * (above + below), "s": 1.0 * above}[anchor[1]]
    box = (x, y, x + long, y + above + below)
    space = width_of(" ", size, face)
    for word in text.split(" "):
        if word:
            left = round(x) if face.fixed else round(x - 2 * face.stretch)
            draw.bitmap((left, round(y)), _stamp(word, size, face), fill=fill)
        x += width_of(word, size, face) + space
    return box


def wrap(text: str, size: float, width: float, face: Face = PLAIN) -> list[str]:
    """Break a text into lines of at most `width` pixels."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if line and width_of(longer, size, face) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines


def canvas(width: float, height: float, paper: Color = WHITE) -> tuple[Image.Image, Draw]:
    image = Image.new("RGB", (round(width), round(height)), paper)
    return image, ImageDraw.Draw(image)


def arrow(draw: Draw, start: Point, end: Point, fill: Color = BLACK, width: int = 2) -> None:
    draw.line([start, end], fill=fill, width=width)
    step = np.array(end) - np.array(start)
    step = step / max(float(np.hypot(*step)), 1e-6)
    side = np.array([-step[1], step[0]])
    head = 5 + 2 * width
    tip = np.array(end)
    corners = [tip, tip - step * head + side * head / 2, tip - step * head - side * head / 2]
    draw.polygon([(float(x), float(y)) for x, y in corners], fill=fill)


def mix(first: Color, second: Color, part: float) -> Color:
    """`first` with `part` of it replaced by `second`."""
    mixed = [round(a + (b - a) * part) for a, b in zip(first, second, strict=True)]
    return (mixed[0], mixed[1], mixed[2])


def draw_shape(draw: Draw, parts: Sequence[str], box: Box, color: Color) -> None:
    """Draw a thing that is made of a few polygons, ovals and boxes.

    Args:
        parts: each is a kind (poly, line, oval, box or arch), a tone and coordinates, which are
            parts of the box. The tone is ``main``, ``deep`` or ``pale`` (of `color`), or
            six hex digits.
    """
    x0, y0, x1, y1 = box
    tones = {"main": color, "deep": mix(color, BLACK, 0.35), "pale": mix(color, WHITE, 0.45)}
    for part in parts:
        kind, tone, *numbers = part.split()
        at = [float(number) for number in numbers]
        points = [
            (x0 + (x1 - x0) * x, y0 + (y1 - y0) * y) for x, y in zip(at[::2], at[1::2], strict=True)
        ]
        fill = tones.get(tone) or ImageColor.getrgb(f"#{tone}")
        if kind == "poly":
            draw.polygon(points, fill=fill)
        elif kind == "line":
            draw.line(points, fill=fill, width=max(round((x1 - x0) * 0.03), 2))
        elif kind == "oval":
            draw.ellipse(points, fill=fill)
        elif kind == "box":
            draw.rectangle(points, fill=fill)
        else:
            draw.pieslice(points, 180, 360, fill=fill)
