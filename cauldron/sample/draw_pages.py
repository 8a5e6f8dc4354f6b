"""Printed matter: letters, forms, reports, book covers, infographics, rendered words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from cauldron.sample.ink import (
    BLACK,
    NAMED,
    Color,
    canvas,
    font,
    mix,
    paragraph,
    pick,
    width_of,
    wrap,
    write,
)
from cauldron.sample.model import Rng
from cauldron.sample.texture import Array, Textures

GREY: Color = (110, 110, 110)
TYPE = 25  # ink of a typewriter on a grey page


@dataclass(frozen=True)
class Page:
    """One sheet. `fields` are label-value pairs set out as in a form; `table` has a header row."""

    heading: str
    paragraphs: tuple[str, ...]
    letterhead: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    signature: str = ""
    number: str = ""


def draw_page(page: Page, width: int = 850) -> Image.Image:
    """An A4 sheet in 8-bit grey, as documents are scanned and rendered."""
    height = round(width * 1.414)
    image = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(image)
    size = round(width / 52)
    left, inner = width * 0.11, width * 0.78
    y = _page_head(draw, page, left, inner, height * 0.06, size)
    for text in page.paragraphs:
        y = paragraph(draw, (left, y), text, size, inner, TYPE, 1.5) + size * 0.8
    y = _page_table(draw, page, left, inner, y, size)
    if page.signature:
        write(draw, (left, y + size), "Sincerely,", size, TYPE)
        write(draw, (left, y + size * 4.4), page.signature, size, TYPE, bold=True)
    if page.number:
        write(draw, (width / 2, height * 0.965), page.number, size, 70, "mm")
    return image


def _page_head(
    draw: ImageDraw.ImageDraw, page: Page, left: float, inner: float, y: float, size: int
) -> float:
    if page.letterhead:
        write(draw, (left, y), page.letterhead, round(size * 1.5), TYPE, bold=True)
        y += size * 2.4
        draw.line([(left, y), (left + inner, y)], fill=60, width=2)
        y += size * 1.6
    y = paragraph(draw, (left, y), page.heading, round(size * 1.35), inner, TYPE, 1.4, True)
    y += size * 0.8
    for label, value in page.fields:
        write(draw, (left, y), f"{label}:", size, TYPE, bold=True)
        write(draw, (left + inner * 0.34, y), value, size, TYPE)
        under = y + size * 1.35
        draw.line([(left + inner * 0.33, under), (left + inner, under)], fill=150)
        y += size * 2.1
    return y + (size * 0.6 if page.fields else 0)


def _page_table(
    draw: ImageDraw.ImageDraw, page: Page, left: float, inner: float, y: float, size: int
) -> float:
    for i, row in enumerate(page.table):
        if i == 0:
            draw.rectangle((left, y, left + inner, y + size * 1.9), fill=222)
        for j, cell in enumerate(row):
            x = left + inner * j / len(row)
            write(draw, (x + 6, y + size * 0.35), cell, size, TYPE, bold=i == 0)
            draw.line([(x, y), (x, y + size * 1.9)], fill=90)
        box = (left, y, left + inner, y + size * 1.9)
        draw.rectangle(box, outline=90)
        y += size * 1.9
    return y + size


def scan(page: Image.Image, textures: Textures, rng: Rng) -> Image.Image:
    """A page through an old scanner: slightly turned, uneven paper, dust."""
    turned = page.rotate(float(rng.uniform(-0.7, 0.7)), Image.Resampling.BILINEAR, fillcolor=250)
    pixels: Array = np.asarray(turned, np.float32)
    height, width = pixels.shape
    paper = textures.window("smooth", height, width, rng, (3, 3)) * 3 + 240
    dust = textures.window("grain", height, width, rng, (1.3, 1.3)) > 4.0
    pixels = pixels / 255 * paper
    pixels[dust] *= 0.5
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class Cover:
    """A book's front."""

    title: str
    author: str
    genre: str
    publisher: str
    year: int


def draw_cover(cover: Cover, rng: Rng) -> Image.Image:
    width, height = 330, 500
    base = NAMED[pick(rng, sorted(NAMED))]
    dark = mix(base, (10, 10, 20), 0.55)
    image, draw = canvas(width, height, mix(base, (255, 255, 255), 0.15))
    style = int(rng.integers(3))
    if style == 0:
        for _ in range(9):
            r = float(rng.uniform(20, 110))
            x, y = rng.uniform(0, width), rng.uniform(height * 0.42, height)
            draw.ellipse((x - r, y - r, x + r, y + r), fill=mix(base, dark, float(rng.random())))
    elif style == 1:
        for i in range(12):
            y = height * 0.45 + i * 26
            wave = [(x, y + 12 * np.sin(x / 40 + i)) for x in range(0, width + 10, 10)]
            draw.polygon([*wave, (width, height), (0, height)], fill=mix(base, dark, i / 12))
    else:
        draw.rectangle((0, height * 0.5, width, height), fill=dark)
        draw.ellipse((width * 0.3, height * 0.38, width * 0.7, height * 0.64), fill=(245, 225, 170))
    draw.rectangle((0, 24, width, 190), fill=mix(base, (255, 255, 255), 0.86))
    paragraph(draw, (20, 36), cover.title, 30, width - 40, dark, 1.25, True)
    write(draw, (20, 160), cover.genre.upper(), 13, GREY)
    write(draw, (width / 2, height - 60), cover.author, 20, (255, 255, 255), "mm", True)
    write(
        draw,
        (width / 2, height - 28),
        f"{cover.publisher} · {cover.year}",
        12,
        (240, 240, 240),
        "mm",
    )
    return image


@dataclass(frozen=True)
class Infographic:
    """`facts` are (big figure, what it is); `bars` are (label, percent)."""

    title: str
    facts: tuple[tuple[str, str], ...]
    bars: tuple[tuple[str, int], ...]
    source: str


def draw_infographic(info: Infographic, rng: Rng) -> Image.Image:
    names = sorted(NAMED)
    base = NAMED[names[int(rng.integers(len(names)))]]
    width, height = 520, 190 + 108 * -(-len(info.facts) // 2) + 40 * len(info.bars)
    image, draw = canvas(width, height, mix(base, (255, 255, 255), 0.88))
    draw.rectangle((0, 0, width, 104), fill=base)
    paragraph(draw, (24, 20), info.title, 28, width - 48, (255, 255, 255), 1.2, True)
    y = 124
    for i, (figure, what) in enumerate(info.facts):
        x = 24 + (i % 2) * 240
        draw.rounded_rectangle((x, y, x + 228, y + 96), 12, fill=(255, 255, 255))
        draw.ellipse((x + 10, y + 24, x + 56, y + 70), fill=mix(base, (255, 255, 255), 0.5))
        _icon(draw, (x + 33, y + 47), i + int(rng.integers(4)), base)
        write(draw, (x + 68, y + 12), figure, 28, base, bold=True)
        paragraph(draw, (x + 68, y + 48), what, 14, 156, GREY, 1.25)
        y += 108 if i % 2 else 0
    y += 14 + (108 if len(info.facts) % 2 else 0)
    for label, percent in info.bars:
        write(draw, (24, y), label, 16, BLACK)
        draw.rounded_rectangle((190, y, 440, y + 22), 10, fill=(255, 255, 255))
        draw.rounded_rectangle((190, y, 190 + max(250 * percent / 100, 20), y + 22), 10, fill=base)
        write(draw, (452, y + 2), f"{percent}%", 16, base, bold=True)
        y += 40
    write(draw, (24, height - 30), f"Source: {info.source}", 13, GREY)
    return image


def _icon(draw: ImageDraw.ImageDraw, at: tuple[float, float], kind: int, color: Color) -> None:
    x, y = at
    if kind % 4 == 0:
        draw.ellipse((x - 7, y - 14, x + 7, y), fill=color)
        draw.pieslice((x - 14, y, x + 14, y + 26), 180, 360, fill=color)
    elif kind % 4 == 1:
        draw.polygon([(x, y - 14), (x + 14, y), (x - 14, y)], fill=color)
        draw.rectangle((x - 9, y, x + 9, y + 12), fill=color)
    elif kind % 4 == 2:
        for i, tall in enumerate((8, 16, 24)):
            draw.rectangle((x - 13 + i * 10, y + 12 - tall, x - 6 + i * 10, y + 12), fill=color)
    else:
        draw.ellipse((x - 13, y - 13, x + 13, y + 13), outline=color, width=4)
        draw.line([(x, y - 8), (x, y), (x + 6, y + 4)], fill=color, width=3)


def draw_words(text: str, textures: Textures, rng: Rng) -> Image.Image:
    """Words rendered over a coloured, textured, unevenly lit surface, as RenderedText has them."""
    size = 480
    paper = pick(
        rng, ((236, 222, 196), (200, 214, 226), (58, 66, 84), (150, 60, 54), (224, 226, 214))
    )
    ink: Color = (30, 28, 34) if sum(paper) > 380 else (246, 240, 226)
    image, draw = canvas(size, size, paper)
    large = int(rng.integers(22, 34))
    lines = wrap(text, large, size - 80)
    y = size / 2 - len(lines) * large * 0.7
    for line in lines:
        write(draw, (size / 2, y), line, large, ink, "ma")
        y += large * 1.4
    turned = image.rotate(float(rng.uniform(-9, 9)), Image.Resampling.BICUBIC, fillcolor=paper)
    surface = np.asarray(turned, np.float32)
    relief = textures.window("relief", size, size, rng)[..., None]
    fall = np.linspace(1.08, 0.72, size, dtype=np.float32)[None, :, None]
    lit = surface * fall * (1 + 0.05 * relief)
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))


def draw_meme(photo: Image.Image, top: str, bottom: str) -> Image.Image:
    """A photograph with a caption in white capitals, outlined in black."""
    image = photo.copy()
    draw = ImageDraw.Draw(image)
    for text, end in ((top, "top"), (bottom, "bottom")):
        size = 30
        while size > 12 and width_of(text.upper(), size) > image.width - 24:
            size -= 1
        y = 26 if end == "top" else image.height - 28
        draw.text(
            (image.width / 2, y),
            text.upper(),
            fill=(255, 255, 255),
            font=font(size),
            anchor="mm",
            stroke_width=3,
            stroke_fill=(0, 0, 0),
        )
    return image
