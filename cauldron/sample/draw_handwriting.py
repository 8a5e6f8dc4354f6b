"""A line of handwriting: slanted, uneven, connected letters in ink on paper."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cauldron.sample.ink import font, pick, wrap
from cauldron.sample.model import Rng
from cauldron.sample.texture import Textures


@lru_cache(maxsize=4096)
def _glyph(letter: str, size: int, turn: int) -> Image.Image:
    """One letter, thin, slanted and turned by `turn` degrees."""
    box = round(size * 1.9)
    glyph = Image.new("L", (box, box), 0)
    ImageDraw.Draw(glyph).text(
        (box * 0.3, box * 0.68), letter, fill=255, font=font(size), anchor="ls"
    )
    slant = 0.28 + turn * 0.012
    return glyph.transform(
        glyph.size,
        Image.Transform.AFFINE,
        (1, slant, -slant * box * 0.68, 0, 1, 0),
        Image.Resampling.BILINEAR,
    )


def draw_handwriting(text: str, textures: Textures, rng: Rng) -> Image.Image:
    size = int(rng.integers(30, 37))
    lines = wrap(text, size, 600)
    width, step = 700, round(size * 1.75)
    height = step * len(lines) + 50
    ink = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(ink)
    for row, line in enumerate(lines):
        x, base = 26.0 + float(rng.uniform(-6, 10)), row * step + step * 0.85 + 16
        drift = float(rng.uniform(-0.012, 0.012))
        last: tuple[float, float] | None = None
        for letter in line:
            y = (
                base
                + (x - 26) * drift
                + math.sin(x / 70 + row) * 2.2
                + float(rng.uniform(-1.2, 1.2))
            )
            if letter == " ":
                x, last = x + size * 0.38, None
                continue
            glyph = _glyph(letter, size + int(rng.integers(-2, 3)), int(rng.integers(-6, 7)))
            corner = (round(x - glyph.width * 0.3), round(y - glyph.height * 0.68))
            ink.paste(255, corner, glyph)
            if last and letter.islower():
                middle = ((last[0] + x) / 2, y + 1.5)
                draw.line([last, middle, (x + 2, y - 3)], fill=225, width=2, joint="curve")
            x += font(size).getlength(letter) * 0.93
            last = (x - size * 0.07, y - 3) if letter.isalpha() else None
    return _on_paper(ink, textures, rng)


def _on_paper(ink: Image.Image, textures: Textures, rng: Rng) -> Image.Image:
    width, height = ink.size
    stroke = np.asarray(ink.filter(ImageFilter.GaussianBlur(0.8)), np.float32) / 255
    pressure = 0.85 + 0.12 * textures.window("cloud", height, width, rng)
    paper = 240 + 3 * textures.window("smooth", height, width, rng)
    dark = float(pick(rng, (40.0, 60.0, 80.0)))
    cover = np.clip(stroke * 1.25, 0, 1) * pressure
    return Image.fromarray(np.clip(paper + (dark - paper) * cover, 0, 255).astype(np.uint8))
