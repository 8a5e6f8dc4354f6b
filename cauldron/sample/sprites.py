"""Things that stand in a photograph: drawn four times too large, scaled down, shaded, pasted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cauldron.sample.ink import NAMED, Color, mix
from cauldron.sample.model import Rng
from cauldron.sample.texture import Array, Textures

ZOOM = 3
Draw = ImageDraw.ImageDraw
DARK: Color = (45, 40, 40)


@dataclass(frozen=True)
class Thing:
    """A kind of object in a picture. `spots` are centres of the foot, as parts of the size."""

    name: str
    color: str
    spots: tuple[tuple[float, float], ...]
    scale: float = 1.0

    @property
    def count(self) -> int:
        return len(self.spots)

    @property
    def plural(self) -> str:
        irregular = {"sheep": "sheep", "bench": "benches"}
        return irregular.get(self.name, self.name + "s")

    def called(self) -> str:
        """``a red boat``, ``three red boats``."""
        words = ("no", "one", "two", "three", "four", "five", "six", "seven")
        color = "" if self.color == "none" else self.color + " "
        if self.count == 1:
            article = "an" if (color or self.name)[0] in "aeiou" else "a"
            return f"{article} {color}{self.name}"
        return f"{words[self.count]} {color}{self.plural}"


def _boat(d: Draw, w: int, h: int, c: Color) -> None:
    d.polygon([(0, h * 0.74), (w, h * 0.74), (w * 0.82, h), (w * 0.16, h)], fill=c)
    d.line([(0, h * 0.76), (w, h * 0.76)], fill=mix(c, DARK, 0.5), width=ZOOM * 2)
    d.line([(w * 0.48, 0), (w * 0.48, h * 0.74)], fill=DARK, width=ZOOM * 2)
    d.polygon(
        [(w * 0.51, h * 0.04), (w * 0.51, h * 0.68), (w * 0.93, h * 0.68)], fill=(245, 243, 236)
    )
    d.polygon(
        [(w * 0.45, h * 0.14), (w * 0.45, h * 0.68), (w * 0.14, h * 0.68)], fill=(226, 222, 212)
    )


def _house(d: Draw, w: int, h: int, c: Color) -> None:
    d.rectangle((w * 0.1, h * 0.42, w * 0.9, h), fill=c)
    d.rectangle((w * 0.62, h * 0.42, w * 0.9, h), fill=mix(c, DARK, 0.18))
    d.polygon([(0, h * 0.44), (w * 0.5, 0), (w, h * 0.44)], fill=(112, 62, 48))
    d.rectangle((w * 0.7, h * 0.06, w * 0.79, h * 0.3), fill=(92, 56, 46))
    d.rectangle((w * 0.42, h * 0.66, w * 0.56, h), fill=(82, 56, 40))
    for x in (0.18, 0.68):
        d.rectangle((w * x, h * 0.54, w * (x + 0.14), h * 0.7), fill=(220, 232, 240), outline=DARK)


def _tree(d: Draw, w: int, h: int, c: Color) -> None:
    d.polygon(
        [(w * 0.44, h * 0.5), (w * 0.56, h * 0.5), (w * 0.6, h), (w * 0.4, h)], fill=(88, 64, 46)
    )
    rng = np.random.default_rng(w * 1000 + h)
    for i in range(42):
        angle, reach = rng.uniform(0, 6.28), rng.uniform(0, 0.32) ** 0.8
        x, y = w * (0.5 + reach * np.cos(angle)), h * (0.36 + reach * 0.95 * np.sin(angle))
        r = w * rng.uniform(0.07, 0.15)
        tone = mix(c, (20, 40, 20) if i % 3 else (200, 220, 130), rng.uniform(0, 0.35))
        d.ellipse((x - r, y - r, x + r, y + r), fill=tone)


def _sheep(d: Draw, w: int, h: int, c: Color) -> None:
    for x in (0.26, 0.38, 0.6, 0.7):
        d.rectangle((w * x, h * 0.62, w * (x + 0.06), h), fill=DARK)
    for x, y, r in ((0.3, 0.45, 0.2), (0.46, 0.38, 0.22), (0.62, 0.42, 0.21), (0.5, 0.52, 0.24)):
        d.ellipse(
            (w * (x - r), h * (y - r * 1.3), w * (x + r), h * (y + r * 1.3)), fill=(238, 234, 224)
        )
    d.ellipse((w * 0.74, h * 0.16, w, h * 0.5), fill=DARK)


def _balloon(d: Draw, w: int, h: int, c: Color) -> None:
    d.ellipse((0, 0, w, h * 0.74), fill=c)
    d.polygon(
        [(w * 0.1, h * 0.52), (w * 0.9, h * 0.52), (w * 0.6, h * 0.86), (w * 0.4, h * 0.86)], fill=c
    )
    for x in (0.22, 0.66):
        d.ellipse((w * x, h * 0.01, w * (x + 0.14), h * 0.73), fill=(246, 240, 222))
    d.rectangle((w * 0.41, h * 0.89, w * 0.59, h), fill=(112, 78, 46))


def _bird(d: Draw, w: int, h: int, c: Color) -> None:
    left = [(0, h * 0.2), (w * 0.3, h * 0.3), (w * 0.5, h * 0.75), (w * 0.24, h * 0.5)]
    d.polygon(left, fill=c)
    d.polygon([(w - x, y) for x, y in left], fill=mix(c, DARK, 0.3))
    d.ellipse((w * 0.4, h * 0.55, w * 0.6, h), fill=c)


def _umbrella(d: Draw, w: int, h: int, c: Color) -> None:
    d.line([(w * 0.5, h * 0.1), (w * 0.5, h)], fill=(120, 92, 66), width=ZOOM * 2)
    d.pieslice((0, 0, w, h * 0.9), 180, 360, fill=c)
    for x in (0.2, 0.58):
        d.pieslice((w * x, 0, w * (x + 0.22), h * 0.9), 180, 360, fill=(248, 244, 236))


def _car(d: Draw, w: int, h: int, c: Color) -> None:
    roof = [(w * 0.2, h * 0.46), (w * 0.34, 0), (w * 0.72, 0), (w * 0.86, h * 0.46)]
    d.polygon(roof, fill=mix(c, DARK, 0.15))
    d.polygon(
        [(w * 0.26, h * 0.42), (w * 0.37, h * 0.08), (w * 0.52, h * 0.08), (w * 0.52, h * 0.42)],
        fill=(176, 200, 214),
    )
    d.polygon(
        [(w * 0.55, h * 0.42), (w * 0.55, h * 0.08), (w * 0.7, h * 0.08), (w * 0.8, h * 0.42)],
        fill=(160, 186, 202),
    )
    d.rounded_rectangle((0, h * 0.4, w, h * 0.82), h * 0.16, fill=c)
    for x in (0.14, 0.68):
        d.ellipse((w * x, h * 0.62, w * x + h * 0.42, h * 1.0), fill=(26, 26, 28))
        d.ellipse((w * x + h * 0.12, h * 0.74, w * x + h * 0.3, h * 0.9), fill=(170, 172, 176))


def _bench(d: Draw, w: int, h: int, c: Color) -> None:
    for y in (0.0, 0.2, 0.46):
        d.rectangle((0, h * y, w, h * (y + 0.13)), fill=c)
    for x in (0.08, 0.86):
        d.rectangle((w * x, 0, w * (x + 0.06), h), fill=DARK)


def _kite(d: Draw, w: int, h: int, c: Color) -> None:
    d.polygon([(w * 0.5, 0), (w, h * 0.3), (w * 0.5, h * 0.7), (0, h * 0.3)], fill=c)
    d.polygon([(w * 0.5, 0), (w, h * 0.3), (w * 0.5, h * 0.3)], fill=mix(c, (255, 255, 255), 0.4))
    d.line([(w * 0.5, h * 0.7), (w * 0.62, h * 0.85), (w * 0.5, h)], fill=DARK, width=ZOOM)


# name: how to draw it, its size as parts of the picture's width, its shadow on the ground
SPRITES: dict[str, tuple[Callable[[Draw, int, int, Color], None], float, float, bool]] = {
    "boat": (_boat, 0.17, 0.17, False),
    "house": (_house, 0.17, 0.15, True),
    "tree": (_tree, 0.17, 0.22, True),
    "sheep": (_sheep, 0.12, 0.09, True),
    "balloon": (_balloon, 0.11, 0.15, False),
    "bird": (_bird, 0.07, 0.035, False),
    "umbrella": (_umbrella, 0.17, 0.16, True),
    "car": (_car, 0.22, 0.1, True),
    "bench": (_bench, 0.17, 0.09, True),
    "kite": (_kite, 0.07, 0.1, False),
}


def place_thing(light: Array, thing: Thing, bright: float, textures: Textures, rng: Rng) -> None:
    """Paste every copy of `thing` into `light`, lit like its surroundings."""
    height, width, _ = light.shape
    for spot_x, spot_y in thing.spots:
        draw_it, part_w, part_h, shadow = SPRITES[thing.name]
        w, h = (
            max(round(width * part_w * thing.scale), 6),
            max(round(width * part_h * thing.scale), 5),
        )
        large = Image.new("RGBA", (w * ZOOM, h * ZOOM), (0, 0, 0, 0))
        color = NAMED.get(thing.color, (240, 238, 232))
        draw_it(ImageDraw.Draw(large), w * ZOOM - 1, h * ZOOM - 1, color)
        sprite = np.asarray(large.resize((w, h), Image.Resampling.BOX), np.float32) / 255
        left, top = round(width * spot_x - w / 2), round(height * spot_y - h)
        if shadow:
            cast_shadow(light, left + w * 0.55, top + h, w, bright)
        side = np.linspace(1.1, 0.72, w, dtype=np.float32)[None, :, None]
        surface = 1 + 0.06 * textures.window("relief", h, w, rng)[..., None]
        paste_patch(light, left, top, sprite[..., :3] * side * surface * bright, sprite[..., 3])


def paste_patch(light: Array, left: int, top: int, color: Array, alpha: Array) -> None:
    height, width, _ = light.shape
    h, w = alpha.shape
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + w, width), min(top + h, height)
    if x0 >= x1 or y0 >= y1:
        return
    part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    patch = light[y0:y1, x0:x1]
    patch += (color[part] - patch) * alpha[part][..., None]


def cast_shadow(light: Array, cx: float, foot: float, w: int, bright: float) -> None:
    span, deep = round(w * 1.3), max(round(w * 0.26), 4)
    mask = Image.new("L", (span, deep), 0)
    ImageDraw.Draw(mask).ellipse((span * 0.1, deep * 0.2, span * 0.9, deep * 0.8), fill=150)
    soft = np.asarray(mask.filter(ImageFilter.GaussianBlur(deep * 0.14)), np.float32) / 255
    dark = np.zeros((deep, span, 3), np.float32)
    paste_patch(
        light, round(cx - span / 2), round(foot - deep * 0.55), dark, soft * (0.4 + 0.3 * bright)
    )
