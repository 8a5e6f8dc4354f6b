"""Choropleth maps of a country of made-up provinces, as MapQA has them of real ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from cauldron.sample.ink import Color, mix, write
from cauldron.sample.model import Rng

SHADES: tuple[tuple[Color, Color], ...] = (
    ((230, 240, 250), (20, 70, 150)),
    ((245, 235, 215), (160, 60, 20)),
    ((235, 245, 225), (20, 110, 60)),
    ((245, 232, 245), (110, 30, 120)),
)


@dataclass(frozen=True)
class Country:
    """`level[i]` is the class of province `i`, an index into `ranges`."""

    title: str
    provinces: tuple[str, ...]
    level: tuple[int, ...]
    ranges: tuple[str, ...]


def draw_map(country: Country, rng: Rng) -> Image.Image:
    """Provinces are the cells of random sites in a coordinate field bent by a few waves."""
    width, height = 560, 380
    y, x = np.mgrid[0:height:2, 0:width:2].astype(np.float32)
    phase = rng.uniform(0, 6.28, 8)
    bent_x = x + 9 * np.sin(y / 23 + phase[0]) + 5 * np.sin(y / 9 + phase[1])
    bent_y = y + 9 * np.sin(x / 27 + phase[2]) + 5 * np.sin(x / 10 + phase[3])
    sites = _sites(rng, len(country.provinces), width, height)
    distance = [(bent_x - sx) ** 2 + (bent_y - sy) ** 2 for sx, sy in sites]
    cell = np.argmin(np.stack(distance), axis=0)
    coast = 1 + 0.1 * np.sin(np.arctan2(y - height / 2, x - width / 2) * 5 + phase[4])
    reach = ((x - width / 2) / (width * 0.47)) ** 2 + ((y - height / 2) / (height * 0.46)) ** 2
    land = reach < coast
    pale, deep = SHADES[int(rng.integers(len(SHADES)))]
    steps = max(len(country.ranges) - 1, 1)
    table = np.array([mix(pale, deep, level / steps) for level in country.level], np.uint8)
    pixels = np.where(land[..., None], table[cell], np.uint8(255)).astype(np.uint8)
    edge = np.zeros_like(land)
    key = np.where(land, cell, -1)
    edge[1:] |= key[1:] != key[:-1]
    edge[:, 1:] |= key[:, 1:] != key[:, :-1]
    pixels[edge] = (70, 70, 75)
    shape = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    image = Image.new("RGB", (width + 150, height + 50), (255, 255, 255))
    image.paste(shape, (0, 44))
    _labels(ImageDraw.Draw(image), country, sites, land, (pale, deep), width)
    return image


def _sites(rng: Rng, count: int, width: int, height: int) -> list[tuple[float, float]]:
    """Sites on a jittered grid inside the coast, so that no province is a sliver."""
    columns = 4
    rows = -(-count // columns)
    spots = []
    for i in range(count):
        u = (i % columns + 0.5 + rng.uniform(-0.22, 0.22)) / columns
        v = (i // columns + 0.5 + rng.uniform(-0.2, 0.2)) / rows
        spots.append((width * (0.12 + 0.76 * u), height * (0.1 + 0.8 * v)))
    return spots


def _labels(
    draw: ImageDraw.ImageDraw,
    country: Country,
    sites: list[tuple[float, float]],
    land: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    shades: tuple[Color, Color],
    width: int,
) -> None:
    write(draw, (16, 14), country.title, 18, bold=True)
    steps = max(len(country.ranges) - 1, 1)
    for name, level, (x, y) in zip(country.provinces, country.level, sites, strict=True):
        dark = level / steps > 0.55
        write(draw, (x, y + 44), name, 12, (255, 255, 255) if dark else (30, 30, 30), "mm")
    for i, text in enumerate(country.ranges):
        top = 150 + i * 28
        box = (width + 8, top, width + 28, top + 20)
        draw.rectangle(box, fill=mix(*shades, i / steps), outline=(70, 70, 75))
        write(draw, (width + 36, top + 2), text, 13)
