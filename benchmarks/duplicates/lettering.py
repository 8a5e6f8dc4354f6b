"""Type for drawn pages: one outline font made into many faces, and one bitmap font.

Pillow bundles Aileron and a 6 x 11 bitmap; system fonts would make the set differ by machine.
Stretch, slant, weight and fractional sizes give letters whose pixels differ as those of different
fonts do: a matcher tuned on them cannot learn one raster.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cauldron.sample.model import Rng

Fill = tuple[int, int, int] | int
Point = tuple[float, float]
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
        return Face(self.stretch, self.slant, self.weight + 0.035, self.fixed)


def any_face(rng: Rng, fixed: float = 0.0) -> Face:
    """A random face; the bitmap one with probability `fixed`."""
    stretch = float(rng.uniform(0.82, 1.2))
    slant = float(rng.uniform(0.12, 0.24)) if rng.random() < 0.12 else 0.0
    weight = float(rng.uniform(0, 0.02))
    return Face(stretch, slant, weight, bool(rng.random() < fixed))


@lru_cache(maxsize=512)
def _font(size: float) -> ImageFont.FreeTypeFont:
    loaded = ImageFont.load_default(size)
    if not isinstance(loaded, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType; drawing needs it")
    return loaded


@lru_cache(maxsize=8192)
def _mask(text: str, size: float, face: Face) -> Image.Image:
    """A line of text as a mask, with room for its slant."""
    plain = _bitmap(text, size) if face.fixed else _outline(text, size, face.weight)
    width, height = max(round(plain.width * face.stretch), 1), plain.height
    stretched = plain.resize((width, height), Image.Resampling.BICUBIC)
    if not face.slant:
        return stretched
    lean = face.slant * height
    shear = (1, face.slant, -lean, 0, 1, 0)
    size_leaning = (width + round(lean), height)
    return stretched.transform(
        size_leaning, Image.Transform.AFFINE, shear, Image.Resampling.BICUBIC
    )


def _outline(text: str, size: float, weight: float) -> Image.Image:
    font = _font(size)
    ascent, descent = font.getmetrics()
    mask = Image.new("L", (round(font.getlength(text)) + 3, ascent + descent + 2), 0)
    ImageDraw.Draw(mask).text((1, 0), text, fill=255, font=font, stroke_width=weight * size)
    return mask


def _bitmap(text: str, size: float) -> Image.Image:
    font = ImageFont.load_default_imagefont()
    left, top, right, bottom = font.getbbox(text)
    mask = Image.new("L", (max(round(right - left), 1), max(round(bottom - top), 1)), 0)
    ImageDraw.Draw(mask).text((0, 0), text, fill=255, font=font)
    scale = size * 1.15 / BITMAP_HEIGHT
    scaled = (max(round(mask.width * scale), 1), max(round(mask.height * scale), 1))
    return mask.resize(scaled, Image.Resampling.BICUBIC)


def width_of(text: str, size: float, face: Face) -> float:
    if not text:
        return 0.0
    if face.fixed:
        return len(text) * 6 * size * 1.15 / BITMAP_HEIGHT * face.stretch
    return _font(size).getlength(text) * face.stretch


def write(
    draw: ImageDraw.ImageDraw,
    at: Point,
    text: str,
    size: float,
    face: Face,
    fill: Fill,
    anchor: str = "l",
) -> None:
    """Draw one line, its top at y; `anchor` is l, m or r."""
    if not text.strip():
        return
    mask = _mask(text, size, face)
    x = at[0] - {"l": 0.0, "m": 0.5, "r": 1.0}[anchor] * width_of(text, size, face)
    draw.bitmap((round(x), round(at[1])), mask, fill=fill)


def wrap(text: str, size: float, face: Face, width: float) -> list[str]:
    """Break a text into lines of at most `width` pixels."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if line and width_of(longer, size, face) > width:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line] if line else lines


def paragraph(
    draw: ImageDraw.ImageDraw,
    at: Point,
    text: str,
    size: float,
    face: Face,
    fill: Fill,
    width: float,
    leading: float,
) -> float:
    """Draw wrapped text; returns the y below it."""
    x, y = at
    for line in wrap(text, size, face, width):
        write(draw, (x, y), line, size, face, fill)
        y += size * leading
    return y


def grown(image: Image.Image, across: float, down: float) -> Image.Image:
    """A picture resampled by two factors: edges fall between pixels, as plotting programs draw."""
    size = (max(round(image.width * across), 1), max(round(image.height * down), 1))
    return image.resize(size, Image.Resampling.BICUBIC)


def other_digit(text: str, rng: Rng) -> str:
    """`text` with one of its digits changed, never the first of a number to zero."""
    places = [i for i, letter in enumerate(text) if letter.isdigit()]
    if not places:
        raise ValueError(f"no digit in {text!r}")
    at = places[int(rng.integers(len(places)))]
    leads = at == 0 or not text[at - 1].isdigit()
    wanted = [d for d in ("123456789" if leads else "0123456789") if d != text[at]]
    return text[:at] + wanted[int(rng.integers(len(wanted)))] + text[at + 1 :]


def visible_difference(first: Image.Image, second: Image.Image) -> int:
    """How many pixels differ by 48 of 255 or more in a channel; all of them if the sizes differ."""
    if first.size != second.size:
        return max(first.width * first.height, second.width * second.height)
    a, b = (np.asarray(image.convert("RGB"), np.int16) for image in (first, second))
    return int((np.abs(a - b).max(axis=2) >= 48).sum())
