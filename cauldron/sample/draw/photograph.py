"""Photographs: a place in some light, with things in it, perhaps a sign or a caption.

The same photograph always has the same pixels: all chance comes from its `seed`. The look of
skies, places and things is in ``data/photograph.yaml``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cauldron.sample.data import load
from cauldron.sample.draw.ink import (
    BLACK,
    GREY,
    NAMED,
    WHITE,
    Color,
    Face,
    font,
    mix,
    width_of,
    write,
)
from cauldron.sample.draw.solid import cast_shadow, paste, solid, sprite
from cauldron.sample.draw.texture import (
    Array,
    Textures,
    blend,
    clip,
    develop,
    shade,
    smooth_step,
)
from cauldron.sample.model import Facts, Rng, pick, sample

_DATA = load("photograph")
SKIES, LANDS, PLACES, THINGS = (_DATA[key] for key in ("skies", "lands", "places", "things"))
AIRBORNE: list[str] = _DATA["airborne"]
SIZES = ((480, 360), (480, 320), (360, 480), (448, 336))
COLORS = ("red", "blue", "yellow", "orange", "purple", "pink")
WALLS = ("grey", "blue", "green", "yellow", "brown")
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")


@dataclass(frozen=True)
class Thing:
    """A kind of object in a picture. `spots` are the middles of its foot, as parts of the size."""

    name: str
    color: str
    spots: tuple[tuple[float, float], ...]
    scale: float = 1.0
    metal: bool = False

    @property
    def count(self) -> int:
        return len(self.spots)

    @property
    def plural(self) -> str:
        irregular = {"sheep": "sheep", "bench": "benches", "peach": "peaches", "fish": "fish"}
        return irregular.get(self.name, self.name + "s")

    @property
    def noun(self) -> str:
        return self.name if self.count == 1 else self.plural

    def called(self) -> str:
        """``a red boat``, ``three red boats``."""
        article = "an" if self.color[0] in "aeiou" else "a"
        number = article if self.count == 1 else NUMBERS[self.count]
        return f"{number} {self.color} {self.noun}"


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
    def indoors(self) -> bool:
        return not self.land

    @property
    def setting(self) -> str:
        return self.place if self.indoors else f"{self.place} in front of {self.land}"

    @property
    def hour(self) -> str:
        said: str = "indoors" if self.indoors else SKIES[self.sky]["said"]
        return said


def any_photo(
    rng: Rng, place: str = "", kinds: int = 0, size: tuple[int, int] | None = None
) -> Photo:
    """A random photograph with `kinds` kinds of things, one to three by default."""
    place = place or pick(rng, [name for name in PLACES if name != "a grey floor"])
    indoors = PLACES[place].get("indoors", False)
    land = "" if indoors else pick(rng, sorted(LANDS))
    sky = pick(rng, WALLS) if indoors else pick(rng, sorted(SKIES))
    horizon = float(rng.uniform(0.4, 0.66))
    fitting = sample(rng, PLACES[place]["things"], kinds or int(rng.integers(1 + indoors, 3 + indoors)))
    if not indoors and (not kinds or len(fitting) < kinds):
        fitting += sample(rng, AIRBORNE, max(kinds - len(fitting), int(rng.integers(2))))
    columns = sample(rng, [0.12, 0.26, 0.4, 0.54, 0.68, 0.82, 0.92], 7)
    things = []
    for name in fitting:
        count = int(rng.integers(1, 6 - len(fitting)))
        spots = tuple(_spot(rng, columns.pop(), name, horizon) for _ in range(count))
        color = THINGS[name].get("color") or pick(rng, COLORS)
        things.append(Thing(name, color, tuple(sorted(spots)), float(rng.uniform(0.8, 1.15))))
    size = size or pick(rng, SIZES)
    return Photo(place, land, sky, tuple(things), size, int(rng.integers(1 << 31)), horizon)


def _spot(rng: Rng, x: float, name: str, horizon: float) -> tuple[float, float]:
    if name in AIRBORNE:
        return x, float(rng.uniform(0.16, horizon - 0.1))
    return x + float(rng.uniform(-0.02, 0.02)), horizon + (1 - horizon) * float(
        rng.uniform(0.25, 0.9)
    )


def any_solids(rng: Rng, seed: int) -> Photo:
    """A scene of CLEVR: 4 to 8 solids on a grey floor that do not touch, one spot each."""
    things: list[Thing] = []
    wanted = int(rng.integers(4, 9))
    colors = ("red", "blue", "green", "purple", "yellow", "brown", "grey", "cyan")
    for _ in range(300):
        x, y = float(rng.uniform(0.12, 0.88)), float(rng.uniform(0.5, 0.95))
        near = [s for t in things for s in t.spots if np.hypot(s[0] - x, (s[1] - y) * 0.8) < 0.14]
        if not near and len(things) < wanted:
            shape, scale = pick(rng, ("sphere", "cube", "cylinder")), pick(rng, (0.7, 1.2))
            metal = bool(rng.integers(2))
            things.append(Thing(shape, pick(rng, colors), ((x, y),), scale, metal))
    things.sort(key=lambda thing: thing.spots[0][1])
    return Photo("a grey floor", "", "grey", tuple(things), (480, 320), seed, 0.42, 0)


def draw(photo: Photo, textures: Textures) -> Image.Image:
    rng = np.random.default_rng(photo.seed)
    light = backdrop(photo, textures, rng)
    for thing in sorted(photo.things, key=lambda thing: thing.name not in AIRBORNE):
        place_thing(light, thing, photo, textures)
    if photo.sign:
        _mount(light, photo.sign, textures, rng)
    image = develop(light, textures, rng, photo.grain)
    if photo.caption:
        _caption(image, photo.caption)
    return image


def backdrop(photo: Photo, textures: Textures, rng: Rng) -> Array:
    """Light of the place without its things, height x width x 3."""
    width, height = photo.size
    line = round(height * photo.horizon)
    light = _wall(photo, textures, rng) if photo.indoors else _sky(photo, textures, rng)
    if photo.land:
        _land(light, photo, line, textures, rng)
    place, bright = PLACES[photo.place], _bright(photo)
    near = np.linspace(0, 1, height - line, dtype=np.float32)[:, None]
    fine = textures.window("relief", height - line, width, rng, (place["tall"], 1))
    broad = textures.window("cloud", height - line, width, rng, (0.5 if photo.indoors else 1.2, 3))
    rough = place["contrast"] * ((0.4 + 0.6 * near) * fine + 0.6 * broad)
    ground = shade(place["color"]) * ((0.8 + 0.3 * near) * (1 + rough) * bright)[..., None]
    if place.get("mirror"):
        waves = textures.window("rough", height - line, width, rng, (0.25, 1.6))
        source = line - 1 - np.arange(height - line)[:, None] * (line / (height - line)) * 0.98
        index = np.clip(source + waves * 12 * near, 0, line - 1).astype(np.intp)
        ground = blend(light[index, np.arange(width)[None, :]], ground, 0.42)
    light[line:] = ground
    return light


def _bright(photo: Photo) -> float:
    return 0.95 if photo.indoors else float(SKIES[photo.sky]["bright"])


def _wall(photo: Photo, textures: Textures, rng: Rng) -> Array:
    width, height = photo.size
    fall = np.linspace(1.0, 0.62, width, dtype=np.float32)[None, :, None]
    soft = textures.window("smooth", height, width, rng, (2, 2))[..., None]
    light: Array = shade(mix(NAMED[photo.sky], WHITE, 0.45)) * fall * (1 + 0.06 * soft)
    return light.astype(np.float32)


def _sky(photo: Photo, textures: Textures, rng: Rng) -> Array:
    width, height = photo.size
    look = SKIES[photo.sky]
    top, low = shade(look["top"]), shade(look["low"])
    y = np.linspace(0, 1 / photo.horizon, height, dtype=np.float32)[:, None, None]
    light = np.broadcast_to(top + (low - top) * clip(y) ** 1.1, (height, width, 3)).copy()
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
    height, width, _ = light.shape
    look, sky = LANDS[photo.land], SKIES[photo.sky]
    y = np.arange(line, dtype=np.float32)[:, None]
    for near in (0.33, 0.67, 1.0):
        ridge = textures.ridge(width, rng, look["zoom"] * (0.7 + near))
        if look.get("towers"):
            steps = np.cumsum(rng.random(width) < 0.025)
            ridge = rng.uniform(-1.6, 1.6, width + 1)[steps].astype(np.float32)
        top = line * (1 - look["peak"] * (1.05 - 0.62 * near) * (1 + 0.32 * ridge))
        depth = y - top
        relief = textures.window("relief", line, width, rng, (0.9, 1.1))
        color = shade(look["color"]) * (1 + 0.24 * relief[..., None])
        if look.get("towers"):
            pane = (y % 11 < 5) & (np.arange(width) % 9 < 5)[None, :] & (depth > 6)
            color = shade(look["color"]) * (0.7 + 0.15 * np.cos(steps * 2.4))[None, :, None]
            lit = (250, 214, 130) if sky["bright"] < 0.7 else (60, 66, 76)
            color = np.where(pane[..., None], shade(lit), color)
        if look.get("snow"):
            cap = smooth_step(line * look["peak"] * 0.33 - depth + relief * 9, -6, 10)
            color = blend(color, shade((242, 244, 250)) * (1 + 0.08 * relief[..., None]), cap)
        color = blend(color * sky["bright"], shade(sky["low"]), 0.62 * (1 - near) + 0.06)
        light[:line] = blend(light[:line], color, clip(depth + 0.5))


def place_thing(light: Array, thing: Thing, photo: Photo, textures: Textures) -> None:
    """Paste every copy of a thing, lit like its surroundings."""
    height, width, _ = light.shape
    look, rng = THINGS[thing.name], np.random.default_rng(photo.seed + 1)
    w, h = (max(round(width * part * thing.scale), 6) for part in look["size"])
    if "solid" in look:
        color, cover = solid(look["solid"], (w, h), NAMED[thing.color], thing.metal)
    else:
        color, cover = sprite(look["shapes"], (w, h), NAMED[thing.color])
    surface = 1 + 0.05 * textures.window("relief", h, w, rng)[..., None]
    lit = color * surface * _bright(photo) ** 0.6
    for x, y in thing.spots:
        left, top = round(width * x - w / 2), round(height * y - h)
        if look.get("shadow"):
            cast_shadow(light, left + w * 0.55, top + h, w)
        paste(light, left, top, lit, cover)


def _mount(light: Array, sign: tuple[str, ...], textures: Textures, rng: Rng) -> None:
    """A board with lines of text on two poles; the first entry of `sign` is its colour."""
    height, width, _ = light.shape
    w, h = round(width * 0.72), round(height * 0.4)
    x, y = round(width * rng.uniform(0.08, 0.2)), round(height * rng.uniform(0.12, 0.3))
    for pole in (x + w // 5, x + w * 4 // 5):
        light[y + h :, pole : pole + 10] = shade(GREY)
    board = Image.new("RGB", (w, h), mix(NAMED[sign[0]], BLACK, 0.3))
    draw_on = ImageDraw.Draw(board)
    draw_on.rectangle((5, 5, w - 6, h - 6), outline=WHITE, width=2)
    share = h / (len(sign) - 0.6)
    for i, line in enumerate(sign[1:]):
        large = min(share * (0.6 if i == 0 else 0.5), w * 0.88 / width_of(line, 100) * 100)
        at = (w / 2, share * (i + 0.7))
        write(draw_on, at, line, int(large), WHITE, "mm", Face(weight=0.03))
    dirt = 1 + 0.05 * textures.window("cloud", h, w, rng)[..., None]
    light[y + 6 : y + h + 9, x + 5 : x + w + 8] *= 0.55
    light[y : y + h, x : x + w] = np.asarray(board, np.float32) / 255 * dirt * 0.95


def _caption(image: Image.Image, caption: tuple[str, ...]) -> None:
    """White capitals with a black outline, as memes have them."""
    draw_on = ImageDraw.Draw(image)
    for text, y in zip(caption, (26, image.height - 28), strict=True):
        size = min(30.0, (image.width - 24) / width_of(text.upper(), 100) * 100)
        at = (image.width / 2, y)
        draw_on.text(
            at, text.upper(), WHITE, font(int(size)), "mm", stroke_width=3, stroke_fill=BLACK
        )


def radiograph(textures: Textures, seed: int, opaque: bool, enlarged: bool) -> Image.Image:
    """A frontal chest radiograph: lungs, ribs, spine and heart, perhaps an opacity."""
    width, height = 380, 420
    image = Image.new("L", (width, height), 20)
    ink = ImageDraw.Draw(image)
    ink.rounded_rectangle((20, 10, 360, 440), 90, fill=150)
    for x in (110, 270):
        ink.ellipse((x - 62, 50, x + 62, 340), fill=50)
    for rib in range(8):
        for x in (20, 190):
            ink.arc((x, 40 + rib * 36, x + 170, 130 + rib * 36), 190, 350, fill=92, width=6)
    ink.rectangle((180, 20, 200, 420), fill=190)
    half = 95 if enlarged else 55
    ink.ellipse((205 - half, 190, 205 + half, 330), fill=200)
    if opaque:
        ink.ellipse((255, 210, 315, 290), fill=170)
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(5)), np.float32) / 255
    rng = np.random.default_rng(seed)
    turned = Image.fromarray(soft).rotate(float(rng.uniform(-4, 4)), Image.Resampling.BICUBIC)
    cloud = 0.07 * textures.window("cloud", height, width, rng)
    light = np.repeat((np.asarray(turned) + cloud)[..., None], 3, axis=2)
    return develop(light, textures, rng, 0.02).convert("L")


def facts(photo: Photo, rng: Rng) -> Facts:
    """What can be said: about each thing, about the place, about the whole."""
    shown = [_about(thing) for thing in photo.things]
    names = {thing.name for thing in photo.things}
    absent = pick(rng, [n for n in ("boat", "sheep", "car", "kite", "bench") if n not in names])
    seen = [thing.called() for thing in photo.things]
    listed = " and ".join([", ".join(seen[:-1]), seen[-1]] if len(seen) > 1 else seen)
    where = "on" if photo.indoors else "by"
    caption = f"{listed} {where} {photo.setting}"
    sides = " ".join(f"{fact['called'].capitalize()} {fact['is']} {fact['at']}." for fact in shown)
    whole = {
        "setting": photo.setting,
        "hour": photo.hour,
        "caption": caption if photo.indoors else f"{caption} {photo.hour}",
        "listed": listed,
        "sides": sides,
        "ground": PLACES[photo.place]["ground"],
        "question": PLACES[photo.place]["question"],
        "answer": PLACES[photo.place]["answer"],
        "behind": photo.land or f"a {photo.sky} wall",
        "night": "yes" if photo.sky == "night" else "no",
        "where": "indoors" if photo.indoors else "outdoors",
        "absent": absent,
        "yes": "yes",
        "no": "no",
    }
    return {"thing": shown, "photo": [whole]}


def _about(thing: Thing) -> dict[str, str]:
    xs = [x for x, _ in thing.spots]
    left, right = max(xs) < 0.44, min(xs) > 0.56
    return {
        "name": thing.name,
        "plural": thing.plural,
        "noun": thing.noun,
        "count": str(thing.count),
        "color": thing.color,
        "called": thing.called(),
        "is": "is" if thing.count == 1 else "are",
        "at": "on the left" if left else "on the right" if right else "near the middle",
        "left": "yes" if left else "no",
        "yes": "yes",
    }
