"""Photographs: a place in some light, with things in it, perhaps a sign or a caption.

The same photograph always has the same pixels: all chance comes from its `seed`. The look of
skies, places and things is in ``data/photograph.yaml``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from cauldron.sample.data import load
from cauldron.sample.draw import ink
from cauldron.sample.draw.ink import BLACK, GREY, NAMED, WHITE, Color, mix
from cauldron.sample.draw.texture import Array, Textures, blend, clip, develop, shade, smooth_step
from cauldron.sample.model import Facts, Rng, pick, sample

SKIES, LANDS, PLACES, THINGS = (
    load("photograph")[key] for key in ("skies", "lands", "places", "things")
)
AIRBORNE: list[str] = load("photograph")["airborne"]
OUTDOORS = [name for name, place in PLACES.items() if not place.get("indoors")]
SIZES = ((480, 360), (480, 320), (360, 480), (448, 336))
COLORS = ("red", "blue", "yellow", "orange", "purple", "pink")
WALLS = ("grey", "blue", "green", "yellow", "brown")
NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
ZOOM = 3  # shapes are drawn larger and scaled down


@dataclass(frozen=True)
class Thing:
    """A kind of object in a picture. `spots` are the middles of its foot, as parts of the size."""

    name: str
    color: str
    spots: tuple[tuple[float, float], ...]
    scale: float = 1.0

    @property
    def count(self) -> int:
        return len(self.spots)

    @property
    def plural(self) -> str:
        irregular = {"sheep": "sheep", "bench": "benches", "peach": "peaches"}
        return irregular.get(self.name, self.name + "s")

    def called(self) -> str:
        """``a red boat``, ``three red boats``."""
        article = "an" if self.color[0] in "aeiou" else "a"
        if self.count == 1:
            return f"{article} {self.color} {self.name}"
        return f"{NUMBERS[self.count]} {self.color} {self.plural}"


@dataclass(frozen=True)
class Photo:
    """What a photograph shows.

    Attributes:
        place, land, sky: keys of `PLACES`, `LANDS` and `SKIES`. Indoors there is no land, and the
            sky is the colour of the wall.
        horizon: part of the height that lies above the ground.
        sign: lines on a board in the foreground, first the colour of the board.
        caption: capitals at the top and at the bottom.
    """

    place: str
    land: str
    sky: str
    things: tuple[Thing, ...] = ()
    size: tuple[int, int] = (480, 360)
    seed: int = 0
    horizon: float = 0.56
    grain: float = 0.018
    sign: tuple[str, ...] = ()
    caption: tuple[str, ...] = ()

    @property
    def bright(self) -> float:
        return float(SKIES[self.sky]["bright"]) if self.land else 0.95

    @property
    def setting(self) -> str:
        return f"{self.place} in front of {self.land}" if self.land else self.place

    @property
    def hour(self) -> str:
        return str(SKIES[self.sky]["said"]) if self.land else "indoors"


def any_photo(rng: Rng, place: str = "", size: tuple[int, int] | None = None) -> Photo:
    """A random photograph with one to three kinds of things."""
    place = place or pick(rng, [*OUTDOORS, "a wooden table"])
    outdoors = place in OUTDOORS
    horizon = float(rng.uniform(0.4, 0.66))
    names = sample(rng, PLACES[place]["things"], int(rng.integers(1, 3)) + 1 - outdoors)
    if outdoors:
        names += sample(rng, AIRBORNE, int(rng.integers(2)))
    columns = sample(rng, [0.12, 0.26, 0.4, 0.54, 0.68, 0.82, 0.92], 7)
    things = []
    for name in names:
        low, high = (0.16, horizon - 0.1) if name in AIRBORNE else (horizon + 0.1, 0.95)
        count = int(rng.integers(1, 6 - len(names)))
        spots = sorted((columns.pop(), float(rng.uniform(low, high))) for _ in range(count))
        color = THINGS[name].get("color") or pick(rng, COLORS)
        things.append(Thing(name, color, tuple(spots), float(rng.uniform(0.8, 1.15))))
    land = pick(rng, sorted(LANDS)) if outdoors else ""
    sky = pick(rng, sorted(SKIES)) if outdoors else pick(rng, WALLS)
    seed = int(rng.integers(1 << 31))
    return Photo(place, land, sky, tuple(things), size or pick(rng, SIZES), seed, horizon)


def any_solids(rng: Rng, seed: int) -> Photo:
    """A scene of CLEVR: up to 8 solids on a grey floor that do not touch, one spot each."""
    things: list[Thing] = []
    wanted = int(rng.integers(4, 9))
    colors = ("red", "blue", "green", "purple", "yellow", "brown", "grey", "cyan")
    for _ in range(300):
        x, y = float(rng.uniform(0.12, 0.88)), float(rng.uniform(0.5, 0.95))
        spots = [spot for thing in things for spot in thing.spots]
        if len(things) < wanted and all(np.hypot(x - u, (y - v) * 0.8) > 0.14 for u, v in spots):
            shape, scale = pick(rng, ("sphere", "cube", "cylinder")), pick(rng, (0.7, 1.2))
            things.append(Thing(shape, pick(rng, colors), ((x, y),), scale))
    things.sort(key=lambda thing: thing.spots[0][1])
    return Photo("a grey floor", "", "grey", tuple(things), (480, 320), seed, 0.42, 0.004)


def any_chest(rng: Rng) -> Photo:
    """A chest radiograph: perhaps an enlarged heart, perhaps an opacity of the left lung."""
    x, y, scale = (float(rng.uniform(*span)) for span in ((0.45, 0.55), (0.9, 1.1), (0.8, 1.05)))

    def part(name: str, dx: float, dy: float) -> Thing:
        return Thing(name, "grey", ((x + dx * scale, y + dy * scale),), scale)

    heart = part(pick(rng, ("small heart", "large heart")), float(rng.uniform(-0.02, 0.06)), -0.25)
    spot = part("opacity", float(rng.uniform(0.16, 0.26)), float(rng.uniform(-0.6, -0.3)))
    things = (part("chest", 0, 0), heart, *([spot] if rng.integers(2) else []))
    seed = int(rng.integers(1 << 31))
    return Photo("a dark room", "", "grey", things, (380, 420), seed, 0.001)


def draw(photo: Photo, textures: Textures) -> Image.Image:
    rng = np.random.default_rng(photo.seed)
    light = _backdrop(photo, textures, rng)
    for thing in sorted(photo.things, key=lambda thing: thing.name not in AIRBORNE):
        _place(light, thing, photo, textures)
    if photo.sign:
        _mount(light, photo.sign, textures, rng)
    image = develop(light, textures, rng, photo.grain)
    for text, y in zip(photo.caption, (26, image.height - 28), strict=False):
        size = min(30, int((image.width - 24) / ink.width_of(text.upper(), 100) * 100))
        at, pen = (image.width / 2, y), ImageDraw.Draw(image)
        font = ink.font(size)
        pen.text(at, text.upper(), WHITE, font, "mm", stroke_width=3, stroke_fill=BLACK)
    return image


def _backdrop(photo: Photo, textures: Textures, rng: Rng) -> Array:
    """Light of the place without its things, height x width x 3."""
    width, height = photo.size
    line, place = round(height * photo.horizon), PLACES[photo.place]
    deep = height - line
    light = _sky(photo, textures, rng)
    if photo.land:
        _land(light, photo, line, textures, rng)
    near = np.linspace(0, 1, deep, dtype=np.float32)[:, None]
    fine = textures.window("relief", deep, width, rng, (place["tall"], 1))
    broad = textures.window("cloud", deep, width, rng, (1.2, 3))
    rough = 1 + place["contrast"] * ((0.4 + 0.6 * near) * fine + 0.6 * broad)
    ground = shade(place["color"]) * ((0.8 + 0.3 * near) * rough * photo.bright)[..., None]
    if place.get("mirror"):
        waves = textures.window("rough", deep, width, rng, (0.25, 1.6))
        source = line - 1 - np.arange(deep)[:, None] * (line / deep) * 0.98 + waves * 12 * near
        index = np.clip(source, 0, line - 1).astype(np.intp)
        ground = blend(light[index, np.arange(width)[None, :]], ground, 0.42)
    light[line:] = ground
    return light


def _wall(color: Color) -> dict[str, Any]:
    """A wall is painted like a cloudless sky: lighter at its foot."""
    top, low = mix(color, BLACK, 0.15), mix(color, WHITE, 0.55)
    return {"top": top, "low": low, "bright": 0.95, "clouds": 3.0}


def _sky(photo: Photo, textures: Textures, rng: Rng) -> Array:
    width, height = photo.size
    look = SKIES.get(photo.sky) or _wall(NAMED[photo.sky])
    top, low = shade(look["top"]), shade(look["low"])
    y = np.linspace(0, 1 / photo.horizon, height, dtype=np.float32)[:, None, None]
    light = np.broadcast_to(top + (low - top) * clip(y) ** 1.1, (height, width, 3))
    cloud = textures.window("cloud", height, width, rng, (0.8, 2.0))
    body = smooth_step(cloud, look["clouds"], look["clouds"] + 1.6)
    light = blend(light, blend(low, shade(WHITE), 0.5) * (0.4 + 0.6 * look["bright"]), body * 0.9)
    if "sun" in look:
        cx, cy = width * rng.uniform(0.15, 0.85), height * photo.horizon * rng.uniform(0.2, 0.7)
        v, u = np.ogrid[0:height, 0:width]
        reach = np.hypot(u - cx, v - cy).astype(np.float32)
        light += shade(look["sun"]) * (0.4 * np.exp(-reach / (width * 0.15)))[..., None]
        light = blend(light, shade(look["sun"]), clip(width * 0.028 - reach + 0.5))
    return light.astype(np.float32)


def _land(light: Array, photo: Photo, line: int, textures: Textures, rng: Rng) -> None:
    """Three ridges or rows of towers, the farther ones paler."""
    width, look, sky = photo.size[0], LANDS[photo.land], SKIES[photo.sky]
    y = np.arange(line, dtype=np.float32)[:, None]
    for near in (0.33, 0.67, 1.0):
        ridge = textures.ridge(width, rng, look["zoom"] * (0.7 + near))
        if look.get("towers"):
            ridge = rng.uniform(-1.6, 1.6, width + 1)[np.cumsum(rng.random(width) < 0.025)]
        depth = y - line * (1 - look["peak"] * (1.05 - 0.62 * near) * (1 + 0.32 * ridge))
        relief = textures.window("relief", line, width, rng, (0.9, 1.1))
        color = shade(look["color"]) * (1 + 0.24 * relief[..., None])
        if look.get("towers"):
            pane = (y % 11 < 5) & (np.arange(width) % 9 < 5)[None, :] & (depth > 6)
            lit = (250, 214, 130) if sky["bright"] < 0.7 else (60, 66, 76)
            color = np.where(pane[..., None], shade(lit), color)
        if look.get("snow"):
            cap = smooth_step(line * look["peak"] * 0.33 - depth + relief * 9, -6, 10)
            color = blend(color, shade((242, 244, 250)) * (1 + 0.08 * relief[..., None]), cap)
        color = blend(color * sky["bright"], shade(sky["low"]), 0.62 * (1 - near) + 0.06)
        light[:line] = blend(light[:line], color, clip(depth + 0.5))


def _place(light: Array, thing: Thing, photo: Photo, textures: Textures) -> None:
    """Paste every copy of a thing, lit from the left like its surroundings."""
    height, width, _ = light.shape
    look, rng = THINGS[thing.name], np.random.default_rng(photo.seed + 1)
    w, h = (max(round(width * part * thing.scale), 6) for part in look["size"])
    large = Image.new("RGBA", (w * ZOOM, h * ZOOM), (0, 0, 0, 0))
    box, color = (0, 0, w * ZOOM - 1, h * ZOOM - 1), NAMED[thing.color]
    ink.draw_shape(ImageDraw.Draw(large), look["shapes"], box, color)
    sprite = np.asarray(large.resize((w, h), Image.Resampling.BOX), np.float32) / 255
    side = np.linspace(1.1, 0.74, w, dtype=np.float32)[None, :, None]
    surface = 1 + 0.05 * textures.window("relief", h, w, rng)[..., None]
    lit = sprite[..., :3] * side * surface * photo.bright**0.6
    for x, y in thing.spots:
        left, top = round(width * x - w / 2), round(height * y - h)
        if look.get("shadow"):
            long, deep = w * 7 // 6, max(h // 6, 4)
            dark = np.zeros((deep, long, 3), np.float32)
            _paste(light, left, top + h - deep // 2, dark, _disc(deep, long) * 0.5)
        _paste(light, left, top, lit, sprite[..., 3])


def _disc(height: int, width: int) -> Array:
    """An oval with a soft rim: the coverage of a shadow."""
    v, u = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    soft: Array = clip(2 * (1 - np.hypot(u, v))).astype(np.float32)
    return soft


def _paste(light: Array, left: int, top: int, color: Array, alpha: Array) -> None:
    height, width, _ = light.shape
    h, w = alpha.shape
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + w, width), min(top + h, height)
    if x0 < x1 and y0 < y1:
        part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
        light[y0:y1, x0:x1] = blend(light[y0:y1, x0:x1], color[part], alpha[part])


def _mount(light: Array, sign: tuple[str, ...], textures: Textures, rng: Rng) -> None:
    """A board with lines of text on two poles; the first entry of `sign` is its colour."""
    height, width, _ = light.shape
    w, h = round(width * 0.72), round(height * 0.4)
    x, y = round(width * rng.uniform(0.08, 0.2)), round(height * rng.uniform(0.12, 0.3))
    for pole in (x + w // 5, x + w * 4 // 5):
        light[y + h :, pole : pole + 10] = shade(GREY)
    board, pen = ink.canvas(w, h, mix(NAMED[sign[0]], BLACK, 0.3))
    pen.rectangle((5, 5, w - 6, h - 6), outline=WHITE, width=2)
    share = h / (len(sign) - 0.6)
    for i, line in enumerate(sign[1:]):
        large = min(share * 0.55, w * 0.88 / ink.width_of(line, 100) * 100)
        ink.write(pen, (w / 2, share * (i + 0.7)), line, large, WHITE, "mm", ink.PLAIN.bold())
    dirt = 1 + 0.05 * textures.window("cloud", h, w, rng)[..., None]
    light[y + 6 : y + h + 9, x + 5 : x + w + 8] *= 0.55
    light[y : y + h, x : x + w] = np.asarray(board, np.float32) / 255 * dirt * 0.95


def facts(photo: Photo, rng: Rng) -> Facts:
    """What can be said: about each thing, about the whole."""
    shown = [_about(thing) for thing in photo.things]
    names = {thing.name for thing in photo.things}
    absent = pick(rng, [n for n in ("boat", "sheep", "car", "kite", "bench") if n not in names])
    called = [fact["called"] for fact in shown]
    listed = " and ".join([", ".join(called[:-1]), called[-1]] if len(called) > 1 else called)
    where = f"by {photo.setting} {photo.hour}" if photo.land else f"on {photo.setting}"
    sides = [f"{fact['called'].capitalize()} {fact['is']} {fact['at']}." for fact in shown]
    whole = {
        **{key: PLACES[photo.place][key] for key in ("ground", "question", "answer")},
        "setting": photo.setting,
        "hour": photo.hour,
        "caption": f"{listed} {where}",
        "listed": listed,
        "sides": " ".join(sides),
        "behind": photo.land or f"a {photo.sky} wall",
        "night": "yes" if photo.sky == "night" else "no",
        "absent": absent,
    }
    return {"thing": shown, "photo": [whole]}


def _about(thing: Thing) -> dict[str, str]:
    xs = [x for x, _ in thing.spots]
    left, right = max(xs) < 0.44, min(xs) > 0.56
    return {
        "name": thing.name,
        "plural": thing.plural,
        "noun": thing.name if thing.count == 1 else thing.plural,
        "is": "is" if thing.count == 1 else "are",
        "count": str(thing.count),
        "color": thing.color,
        "called": thing.called(),
        "at": "on the left" if left else "on the right" if right else "near the middle",
        "left": "yes" if left else "no",
    }
