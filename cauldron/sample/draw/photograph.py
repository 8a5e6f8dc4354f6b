"""Photographs: a place in some light, with things in it, perhaps a board with lines of text.

The same photograph always has the same pixels: all chance comes from its `seed`. The look of
skies, places and things is in ``data/photograph.yaml``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from cauldron.sample.draw import ink
from cauldron.sample.draw.ink import BLACK, NAMED, WHITE, mix
from cauldron.sample.draw.texture import (
    Array,
    Textures,
    blend,
    clip,
    develop,
    shade,
    smooth_step,
    times,
)
from cauldron.sample.model import Facts, Rng, load, pick, sample

SKIES, WALLS, LANDS, PLACES, THINGS = (
    load("photograph")[key] for key in ("skies", "walls", "lands", "places", "things")
)
BEHIND = {**SKIES, **WALLS}
AIRBORNE: list[str] = load("photograph")["airborne"]
OUTDOORS = [name for name, place in PLACES.items() if "indoors" not in place]
SIZES = ((480, 360), (480, 320), (360, 480), (448, 336))
COLORS = ("red", "blue", "yellow", "orange", "purple", "pink")
NUMBERS = ("no", "one", "two", "three", "four", "five")
COLUMNS = (0.12, 0.26, 0.4, 0.54, 0.68, 0.82, 0.92)
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
        return str(THINGS[self.name].get("plural", f"{self.name}s"))

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
            sky is one of `WALLS`.
        horizon: part of the height that lies above the ground.
        board: lines on a board in the foreground, first the colour of the board.
    """

    place: str
    land: str
    sky: str
    things: tuple[Thing, ...] = ()
    size: tuple[int, int] = (480, 360)
    seed: int = 0
    horizon: float = 0.56
    board: tuple[str, ...] = ()

    @property
    def bright(self) -> float:
        return float(BEHIND[self.sky]["bright"])

    @property
    def setting(self) -> str:
        return f"{self.place} in front of {self.land}" if self.land else self.place

    @property
    def hour(self) -> str:
        return str(BEHIND[self.sky]["said"])


def any_photo(rng: Rng, place: str = "", size: tuple[int, int] | None = None) -> Photo:
    """A random photograph with one to three kinds of things, no two of one colour."""
    place = place or pick(rng, [*OUTDOORS, "a wooden table"])
    look, outdoors = PLACES[place], place in OUTDOORS
    horizon = float(rng.uniform(0.4, 0.66)) if outdoors else look["indoors"]
    names = sample(rng, look["things"], pick(rng, look.get("kinds", (1, 2))))
    if outdoors:
        names += sample(rng, AIRBORNE, int(rng.integers(2)))
    columns = sample(rng, look.get("columns", COLUMNS), 7)
    things = []
    for name, color in zip(names, sample(rng, COLORS, len(names)), strict=True):
        low, high = (0.16, horizon - 0.1) if name in AIRBORNE else (horizon + 0.1, 0.95)
        count = int(rng.integers(1, 6 - len(names)))
        spots = sorted((columns.pop(), float(rng.uniform(low, high))) for _ in range(count))
        color = THINGS[name].get("color", color)
        things.append(Thing(name, color, tuple(spots), float(rng.uniform(0.8, 1.15))))
    land = pick(rng, sorted(LANDS)) if outdoors else ""
    sky = pick(rng, sorted(SKIES) if outdoors else look.get("walls", sorted(WALLS)))
    seed = int(rng.integers(1 << 31))
    size = size or look.get("size") or pick(rng, SIZES)
    return Photo(place, land, sky, tuple(things), tuple(size), seed, horizon)


def draw(photo: Photo, textures: Textures) -> Image.Image:
    rng = np.random.default_rng(photo.seed)
    light = _sky(photo, textures, rng)
    if photo.land:
        light = _land(light, photo, textures, rng)
    light = _ground(light, photo, textures, rng)
    things = photo.things
    if backdrop := PLACES[photo.place].get("backdrop"):
        spot = (float(rng.uniform(0.44, 0.56)), float(rng.uniform(0.94, 1.06)))
        things = (Thing(backdrop, "grey", (spot,), float(rng.uniform(0.85, 1.1))), *things)
    for thing in things:
        light = _place(light, thing, photo, textures)
    if photo.board:
        _mount(light, photo.board, rng)
    return develop(light, textures, rng)


def _ground(light: Array, photo: Photo, textures: Textures, rng: Rng) -> Array:
    (width, height), place = photo.size, PLACES[photo.place]
    line = round(height * photo.horizon)
    deep = height - line
    near = np.linspace(0, 1, deep, dtype=np.float32)[:, None]
    fine = textures.window("relief", deep, width, rng, (place["tall"], 1))
    broad = textures.window("cloud", deep, width, rng, (1.2, 3))
    rough = 1 + place["contrast"] * ((0.4 + 0.6 * near) * fine + 0.6 * broad)
    ground = times(shade(place["color"]), (0.8 + 0.3 * near) * rough * photo.bright)
    joined: Array = np.concatenate([light[:line], ground])
    return joined


def _sky(photo: Photo, textures: Textures, rng: Rng) -> Array:
    width, height = photo.size
    look = BEHIND[photo.sky]
    top, low = shade(look["top"]), shade(look["low"])
    y = np.linspace(0, 1 / photo.horizon, height, dtype=np.float32)[:, None, None]
    light = np.broadcast_to(top + (low - top) * clip(y) ** 1.1, (height, width, 3))
    cloud = textures.window("cloud", height, width, rng, (0.8, 2.0))
    body = smooth_step(cloud, look["clouds"], look["clouds"] + 1.6)
    return blend(light, blend(low, shade(WHITE), 0.5) * (0.4 + 0.6 * look["bright"]), body * 0.9)


def _land(light: Array, photo: Photo, textures: Textures, rng: Rng) -> Array:
    """The sky above the horizon with three ridges, the farther ones paler."""
    (width, height), look, sky = photo.size, LANDS[photo.land], SKIES[photo.sky]
    line = round(height * photo.horizon)
    y, light = np.arange(line, dtype=np.float32)[:, None], light[:line]
    for near in (0.33, 0.67, 1.0):
        ridge = textures.window("cloud", 2, width, rng, (1, look["zoom"] * (0.7 + near)))[0]
        depth = y - line * (1 - look["peak"] * (1.05 - 0.62 * near) * (1 + 0.32 * ridge))
        relief = textures.window("relief", line, width, rng)
        color = times(shade(look["color"]), 1 + 0.24 * relief)
        color = blend(color * sky["bright"], shade(sky["low"]), 0.62 * (1 - near) + 0.06)
        light = blend(light, color, clip(depth + 0.5))
    return light


def _place(light: Array, thing: Thing, photo: Photo, textures: Textures) -> Array:
    """Every copy of a thing, lit like its surroundings."""
    (width, height), look = photo.size, THINGS[thing.name]
    w, h = (max(round(width * part * thing.scale), 6) for part in look["size"])
    large = Image.new("RGBA", (w * ZOOM, h * ZOOM))
    box = (0, 0, w * ZOOM - 1, h * ZOOM - 1)
    ink.draw_shape(ImageDraw.Draw(large), look["shapes"], box, NAMED[thing.color])
    sprite, layer = large.resize((w, h), Image.Resampling.BOX), Image.new("RGBA", photo.size)
    for x, y in thing.spots:
        layer.paste(sprite, (round(width * x - w / 2), round(height * y - h)), sprite)
    drawn = layer.getbbox()  # the rest stays as it is
    if drawn is None:
        return light
    left, top, right, bottom = drawn
    pixels: Array = np.asarray(layer.crop(drawn), np.float32) / 255
    grain = textures.window("relief", height, width, np.random.default_rng(photo.seed + 1))
    surface = (1 + 0.06 * grain[top:bottom, left:right]) * photo.bright**0.6
    inside = light[top:bottom, left:right]
    inside[...] = blend(inside, times(pixels[..., :3], surface), pixels[..., 3])
    return light


def _mount(light: Array, board: tuple[str, ...], rng: Rng) -> None:
    """Put up a board with lines of text; the first entry is its colour."""
    height, width, _ = light.shape
    w, h = round(width * 0.72), round(height * 0.4)
    x, y = round(width * rng.uniform(0.08, 0.2)), round(height * rng.uniform(0.12, 0.3))
    image, pen = ink.canvas(w, h, mix(NAMED[board[0]], BLACK, 0.3))
    pen.rectangle((5, 5, w - 6, h - 6), outline=WHITE, width=2)
    share = h / (len(board) - 0.6)
    for i, line in enumerate(board[1:]):
        size = min(share * 0.55, w * 0.88 / ink.width_of(line, 100) * 100)
        ink.write(pen, (w / 2, share * (i + 0.7)), line, size, WHITE, "mm", bold=True)
    light[y : y + h, x : x + w] = np.asarray(image, np.float32) / 255 * 0.95


def facts(photo: Photo, rng: Rng) -> Facts:
    """What can be said: about each thing, about the whole."""
    total, names = sum(thing.count for thing in photo.things), [t.name for t in photo.things]
    called = [thing.called() for thing in photo.things]
    whole = {
        **{key: PLACES[photo.place][key] for key in ("ground", "question", "answer")},
        "setting": photo.setting,
        "hour": photo.hour,
        "listed": " and ".join([*filter(None, [", ".join(called[:-1])]), *called[-1:]]),
        "behind": photo.land or photo.sky,
        "night": "yes" if photo.sky == "night" else "no",
        "absent": pick(rng, [name for name in sorted(THINGS) if name not in names]),
        "total": str(total),
    }
    return {"thing": [_about(thing, total) for thing in photo.things], "photo": [whole]}


def _about(thing: Thing, total: int) -> dict[str, str]:
    return {
        "name": thing.name,
        "plural": thing.plural,
        "count": str(thing.count),
        "rest": str(total - thing.count),
        "color": thing.color,
        "called": thing.called(),
        "left": "yes" if max(x for x, _ in thing.spots) < 0.5 else "no",
    }
