"""Text in the wild: shop fronts, road signs, bottles and book spines, photographed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cauldron.sample.ink import NAMED, Color, font, mix, pick, width_of, write
from cauldron.sample.model import Rng
from cauldron.sample.scenery import any_place, paint_place
from cauldron.sample.texture import Array, Textures, blend, clip, develop, shade
from cauldron.sample.words import FIRMS, LAST, TOWNS, words_of


@dataclass(frozen=True)
class Sign:
    """What is written where. `lines` from the top."""

    kind: str  # "shop", "road", "bottle" or "spines"
    lines: tuple[str, ...]
    color: str


def any_sign(rng: Rng) -> Sign:
    lines: tuple[str, ...]
    kind = pick(rng, ("shop", "road", "bottle", "spines"))
    color = pick(rng, ("red", "blue", "green", "purple", "brown"))
    if kind == "shop":
        trade = pick(rng, ("Bakery", "Hardware", "Cafe", "Books", "Florist", "Barber", "Tailor"))
        lines = (f"{pick(rng, LAST)}'s {trade}", f"since {int(rng.integers(1890, 2015))}")
    elif kind == "road":
        first, second = (pick(rng, TOWNS) for _ in range(2))
        lines = (
            f"{first}  {int(rng.integers(2, 90))} km",
            f"{second}  {int(rng.integers(90, 300))} km",
        )
        color = pick(rng, ("green", "blue"))
    elif kind == "bottle":
        drink = pick(rng, ("Cider", "Lemonade", "Olive Oil", "Ginger Ale", "Syrup"))
        lines = (
            pick(rng, FIRMS).split()[0],
            drink,
            f"{pick(rng, ('250', '330', '500', '750'))} ml",
        )
    else:
        lines = tuple(f"{pick(rng, LAST)}: {pick(rng, TITLES)}" for _ in range(5))
    return Sign(kind, lines, color)


TITLES = words_of(
    "The Long Winter|A House of Salt|Rivers and Roads|The Last Orchard|Night Trains|"
    "Paper Boats|The Clock Maker|North of Here|Small Gardens|The Glass Bridge"
)


def draw_sign(sign: Sign, textures: Textures, rng: Rng) -> Image.Image:
    painters = {"shop": _shop, "road": _road, "bottle": _bottle, "spines": _spines}
    return develop(painters[sign.kind](sign, textures, rng), textures, rng)


def _panel(lines: tuple[str, ...], size: tuple[int, int], paper: Color, ink: Color) -> Image.Image:
    panel = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(panel)
    draw.rectangle((5, 5, size[0] - 6, size[1] - 6), outline=ink, width=2)
    share = size[1] / (len(lines) + 0.5)
    for i, line in enumerate(lines):
        large = min(share * (0.72 if i == 0 else 0.5), size[0] * 0.88 / (width_of(line, 100) / 100))
        write(draw, (size[0] / 2, share * (i + 0.75)), line, int(large), ink, "mm", i == 0)
    return panel


def _stick(light: Array, panel: Image.Image, at: tuple[int, int], tex: Textures, rng: Rng) -> None:
    """Mount a panel on a surface: soft shadow behind, dirt and light on top."""
    w, h = panel.size
    x, y = at
    light[y + 6 : y + h + 9, x + 5 : x + w + 8] *= 0.55
    face = np.asarray(panel.filter(ImageFilter.GaussianBlur(0.6)), np.float32) / 255
    dirt = 1 + 0.05 * tex.window("cloud", h, w, rng)[..., None]
    fall = np.linspace(1.06, 0.88, h, dtype=np.float32)[:, None, None]
    light[y : y + h, x : x + w] = face * dirt * fall * 0.95


def _bricks(width: int, height: int, tex: Textures, rng: Rng) -> Array:
    rows = np.arange(height)[:, None] // 14
    y = np.arange(height)[:, None] % 14
    x = (np.arange(width)[None, :] + (rows % 2) * 22) % 44
    mortar = (y < 2) | (x < 2)
    tone = tex.window("grain", height // 14 + 1, width // 22 + 3, rng) * 0.08
    index = (np.arange(width)[None, :] + (rows % 2) * 22) // 44
    body = shade(pick(rng, ((150, 76, 58), (172, 128, 96), (120, 104, 98))))
    face = body * (1 + tone[rows, index])[..., None]
    light = np.where(mortar[..., None], shade((176, 168, 158)), face).astype(np.float32)
    relief = tex.window("relief", height, width, rng)[..., None]
    return (
        light
        * (1 + 0.11 * relief)
        * np.linspace(0.92, 0.75, width)[None, :, None].astype(np.float32)
    )


def _shop(sign: Sign, tex: Textures, rng: Rng) -> Array:
    width, height = 480, 360
    light = _bricks(width, height, tex, rng)
    for x0, x1 in ((40, 210), (270, 440)):
        light[170:345, x0 - 6 : x1 + 6] = shade((70, 52, 40))
        glass = paint_place(any_place(rng), (x1 - x0, 168), tex, rng) * 0.42
        light[174:342, x0:x1] = glass + 0.06
    ink: Color = (250, 244, 226)
    panel = _panel(sign.lines, (420, 104), mix(NAMED[sign.color], (20, 20, 20), 0.25), ink)
    _stick(light, panel, (30, 40), tex, rng)
    return light


def _road(sign: Sign, tex: Textures, rng: Rng) -> Array:
    width, height = 480, 360
    light = paint_place(any_place(rng), (width, height), tex, rng)
    light = light * 0.85 + 0.06
    for x in (150, 322):
        pole = slice(x, x + 10)
        light[120:330, pole] = (shade((150, 152, 156)) * np.linspace(1.1, 0.6, 10)[:, None])[None]
    panel = _panel(sign.lines, (330, 132), mix(NAMED[sign.color], (0, 40, 0), 0.3), (250, 250, 250))
    _stick(light, panel, (76, 60), tex, rng)
    return light


def _bottle(sign: Sign, tex: Textures, rng: Rng) -> Array:
    width, height = 360, 480
    light = np.empty((height, width, 3), np.float32)
    light[:] = shade((205, 198, 186)) * np.linspace(1.05, 0.7, width)[None, :, None]
    light *= 1 + 0.05 * tex.window("smooth", height, width, rng, (2, 2))[..., None]
    fibre = tex.window("rough", 110, width, rng, (0.4, 8))[..., None]
    light[370:] = shade((140, 98, 64)) * (1 + 0.14 * fibre)
    y = np.arange(height, dtype=np.float32)[:, None]
    x = np.arange(width, dtype=np.float32)[None, :] - width / 2
    half = 30 + 58 / (1 + np.exp(-(y - 140) / 12))
    cover = clip(half - np.abs(x)) * (y > 30) * (y < 432)
    across = clip(1 - (x / half) ** 2) ** 0.5
    glass = (
        shade(NAMED[sign.color])
        * (0.2 + 0.5 * across + 0.25 * np.exp(-((x / half + 0.5) ** 2) / 0.01))[..., None]
    )
    light = blend(light, glass.astype(np.float32), cover.astype(np.float32))
    label = _panel(sign.lines, (172, 170), (244, 238, 220), (60, 40, 30))
    face = (
        np.asarray(label, np.float32)
        / 255
        * (0.5 + 0.5 * across[0:1, 94:266, None] + 0 * y[:170, :, None])
    )
    light[210:380, 94:266] = (
        np.asarray(face, np.float32)
        * (0.55 + 0.45 * np.sqrt(clip(1 - (x[:, 94:266] / 90) ** 2)))[..., None]
    )
    return light


def _spines(sign: Sign, tex: Textures, rng: Rng) -> Array:
    width, height = 480, 360
    image = Image.new("RGB", (width, height), (58, 42, 32))
    draw = ImageDraw.Draw(image)
    y = 330.0
    colors = list(NAMED)
    for line in reversed(sign.lines):
        thick = float(rng.integers(46, 58))
        x0, x1 = 40 + rng.uniform(-14, 14), 440 + rng.uniform(-14, 14)
        tone = mix(NAMED[pick(rng, colors)], (40, 36, 34), 0.35)
        draw.rounded_rectangle((x0, y - thick, x1, y), 5, fill=tone)
        draw.line(
            [(x0 + 4, y - thick + 4), (x1 - 4, y - thick + 4)], fill=mix(tone, (255, 255, 255), 0.3)
        )
        draw.text(
            ((x0 + x1) / 2, y - thick / 2), line, fill=(246, 238, 214), font=font(22), anchor="mm"
        )
        y -= thick + 2
    draw.rectangle((0, 331, width, height), fill=(128, 92, 60))
    light = np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)), np.float32) / 255
    cloth = tex.window("relief", height, width, rng)[..., None]
    fall = np.linspace(1.12, 0.7, width, dtype=np.float32)[None, :, None]
    return light * fall * (1 + 0.07 * cloth)
