"""Small pictures for tests: a photograph, a page, a chart, from a seed."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageDraw


def photograph(seed: int, width: int = 320, height: int = 240) -> Image.Image:
    """Smooth shapes at several scales, and noise."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells in (3, 6, 12, 24, 48):
        grid = (random.random((cells, cells, 3)) * 255).astype(np.uint8)
        layer = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(layer, dtype=float) / cells**0.7
    total += random.normal(0, 1, total.shape)
    total = (total - total.min()) / (total.max() - total.min()) * 255
    return Image.fromarray(total.astype(np.uint8))


def page(seed: int, width: int = 620, height: int = 877) -> Image.Image:
    """Lines of text on white."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), "white")
    draw, y = ImageDraw.Draw(image), 40
    letters = list("abcdefghijklm  nopqrstuvwxyz,.")
    while y < height - 40:
        line = "".join(random.choice(letters, size=random.integers(10, 80)))
        draw.text((40, y), line, fill="black")
        y += int(random.integers(12, 24))
    return image


def chart(seed: int, width: int = 480, height: int = 360) -> Image.Image:
    """Coloured bars over labels."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), "white")
    draw, count = ImageDraw.Draw(image), int(random.integers(4, 12))
    step = (width - 60) // count
    for bar in range(count):
        top = height - 30 - float(random.random()) * (height - 60)
        colour = tuple(int(c) for c in random.integers(0, 255, 3))
        left = 40 + bar * step
        draw.rectangle((left, top, left + step * 0.7, height - 30), fill=colour)
        draw.text((left, height - 25), f"c{bar}", fill="black")
    draw.text((width // 3, 5), f"Chart {seed}", fill="black")
    return image


def encoded(image: Image.Image, name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
