"""Photographs: outdoor places with things in them, still lifes, flowers, a city at dusk, X-rays."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cauldron.sample.ink import NAMED, Color, pick, sample
from cauldron.sample.model import Rng
from cauldron.sample.scenery import SKIES, Place, any_place, paint_place
from cauldron.sample.solids import Solid, paint_solid
from cauldron.sample.sprites import SPRITES, Thing, place_thing
from cauldron.sample.texture import Array, Textures, blend, clip, develop, shade, smooth_step

SIZES = ((480, 360), (480, 320), (360, 480), (448, 336))
FRUIT: dict[str, tuple[str, Color]] = {
    "orange": ("orange", (236, 140, 40)),
    "apple": ("red", (190, 44, 40)),
    "lime": ("green", (104, 158, 52)),
    "plum": ("purple", (98, 50, 108)),
    "peach": ("pink", (236, 160, 130)),
}
AIRBORNE = ("bird", "balloon", "kite")


@dataclass(frozen=True)
class Scene:
    """A photograph and what can be said about it."""

    kind: str  # "outdoors", "still life", "flower" or "city"
    setting: str  # e.g. "a lake below snowy mountains"
    hour: str  # e.g. "at sunset"
    things: tuple[Thing, ...] = ()
    place: Place | None = None
    solids: tuple[Solid, ...] = ()
    size: tuple[int, int] = (480, 360)
    seed: int = 0
    detail: dict[str, str] = field(default_factory=dict)


SETTINGS = {
    "lake": "a calm lake",
    "meadow": "a green meadow",
    "beach": "a sandy beach",
    "snow": "a snow-covered field",
    "field": "a field of ripe wheat",
}
BEHIND = {
    "mountains": "snowy mountains",
    "hills": "green hills",
    "dunes": "low dunes",
    "forest": "a dark forest",
}
HOURS = {
    "clear": "on a sunny day",
    "cloudy": "under a partly cloudy sky",
    "overcast": "on an overcast day",
    "sunset": "at sunset",
    "dawn": "at dawn",
    "night": "at night",
}
FITTING = {
    "lake": ("boat",),
    "meadow": ("sheep", "house", "tree", "bench"),
    "beach": ("umbrella", "bench"),
    "snow": ("house", "car"),
    "field": ("tree", "house", "car"),
}
THING_COLORS = ("red", "blue", "yellow", "orange", "purple", "pink")


def any_outdoors(rng: Rng, things: int = -1) -> Scene:
    """A random outdoor scene with `things` kinds of objects, one or two by default."""
    place = any_place(rng)
    kinds = [pick(rng, FITTING[place.front])]
    if (things == 2) or (things < 0 and rng.integers(2)):
        kinds.append(pick(rng, AIRBORNE))
    placed = tuple(_place(rng, kind, place) for kind in kinds)
    setting = f"{SETTINGS[place.front]} in front of {BEHIND[place.land]}"
    return Scene(
        "outdoors", setting, HOURS[place.sky], placed, place, (), pick(rng, SIZES),
        int(rng.integers(1 << 31)),
    )


def _place(rng: Rng, kind: str, place: Place) -> Thing:
    count = int(rng.integers(1, 5))
    columns = sample(rng, [0.14, 0.32, 0.5, 0.68, 0.86], count)
    low = place.horizon
    spots = []
    for x in sorted(columns):
        if kind in AIRBORNE:
            y = float(rng.uniform(0.16, low - 0.14))
        else:
            start = 0.45 if place.front == "beach" else 0.12
            y = low + (1 - low) * float(rng.uniform(start, 0.8))
        spots.append((x + float(rng.uniform(-0.03, 0.03)), y))
    color = "none" if kind == "sheep" else pick(rng, THING_COLORS)
    color = "green" if kind == "tree" else color
    return Thing(kind, color, tuple(spots), float(rng.uniform(0.8, 1.15)))


def any_still_life(rng: Rng) -> Scene:
    fruit = sample(rng, sorted(FRUIT), int(rng.integers(1, 4)))
    solids: list[Solid] = []
    names: dict[str, str] = {}
    spots = sample(rng, [0.14, 0.3, 0.46, 0.62, 0.78, 0.9], 5)
    if rng.integers(2):
        color = pick(rng, ("blue", "yellow", "grey", "brown"))
        solids.append(Solid("cylinder", color, "rubber", "large", spots.pop(), 0.74, 0.085))
        names["cup"] = color
    for i, x in enumerate(spots[: int(rng.integers(2, 5))]):
        name = fruit[i % len(fruit)]
        radius = float(rng.uniform(0.055, 0.075))
        solids.append(Solid("sphere", name, "rubber", "small", x, 0.7 + 0.2 * (i % 3) / 2, radius))
    solids.sort(key=lambda solid: solid.y)
    wood = pick(rng, ("light", "dark"))
    wall = pick(rng, ("grey", "blue", "green", "yellow", "brown"))
    return Scene(
        "still life", f"a {wood} wooden table", "indoors", (), None, tuple(solids),
        pick(rng, SIZES[:2]), int(rng.integers(1 << 31)), {"wood": wood, "wall": wall, **names},
    )


def any_flower(rng: Rng) -> Scene:
    color = pick(rng, ("pink", "yellow", "orange", "purple", "red", "blue"))
    petals = int(rng.integers(5, 10))
    detail = {"color": color, "petals": str(petals)}
    return Scene(
        "flower", f"a {color} flower with {petals} petals", "in close-up",
        size=pick(rng, SIZES), seed=int(rng.integers(1 << 31)), detail=detail,
    )


def any_city(rng: Rng) -> Scene:
    hour = pick(rng, ("sunset", "night", "overcast", "clear"))
    place = Place(hour, "hills", "lake", 0.62)
    towers = int(rng.integers(5, 9))
    return Scene(
        "city", "a city skyline by the water", HOURS[hour], (), place, (),
        pick(rng, SIZES[:2]), int(rng.integers(1 << 31)), {"towers": str(towers)},
    )


def any_photo(rng: Rng) -> Scene:
    makers = (any_outdoors, any_outdoors, any_still_life, any_flower, any_city)
    return pick(rng, makers)(rng)


def draw_photo(scene: Scene, textures: Textures, grain: float = 0.018) -> Image.Image:
    """The same scene gives the same pixels: all chance comes from its `seed`."""
    rng = np.random.default_rng(scene.seed)
    if scene.kind == "outdoors":
        assert scene.place is not None
        light = paint_place(scene.place, scene.size, textures, rng)
        bright = SKIES[scene.place.sky][2] ** 0.6
        for thing in sorted(scene.things, key=lambda thing: thing.name not in AIRBORNE):
            place_thing(light, thing, bright, textures, np.random.default_rng(scene.seed + 1))
    else:
        painters = {"still life": _still_life, "flower": _flower, "city": _city}
        light = painters[scene.kind](scene, textures, rng)
    return develop(light, textures, rng, grain)


def _still_life(scene: Scene, textures: Textures, rng: Rng) -> Array:
    width, height = scene.size
    edge = round(height * 0.48)
    wall = blend(shade(NAMED[scene.detail["wall"]]), shade((235, 230, 222)), 0.62)
    fall = np.linspace(1.02, 0.6, width, dtype=np.float32)[None, :, None]
    soft = textures.window("smooth", height, width, rng, (2, 2))[..., None]
    light = (wall * fall * (1 + 0.06 * soft)).astype(np.float32)
    wood = shade((176, 128, 82) if scene.detail["wood"] == "light" else (92, 60, 40))
    fibre = textures.window("rough", height - edge, width, rng, (0.35, 9))
    broad = textures.window("cloud", height - edge, width, rng, (1, 6))
    near = np.linspace(0.72, 1.06, height - edge, dtype=np.float32)[:, None, None]
    table = wood * near * (1 + 0.13 * fibre[..., None] + 0.07 * broad[..., None])
    light[edge:] = table * fall
    light[edge : edge + 3] *= 0.7
    for solid in scene.solids:
        color = FRUIT[solid.color][1] if solid.color in FRUIT else None
        paint_solid(light, solid, textures, rng, color)
    return light


def _flower(scene: Scene, textures: Textures, rng: Rng) -> Array:
    width, height = scene.size
    light = _bokeh(width, height, textures, rng)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    cx, cy = width * rng.uniform(0.4, 0.6), height * rng.uniform(0.4, 0.55)
    size = min(width, height) * rng.uniform(0.3, 0.4)
    stem = clip(3.5 - np.abs(x - cx - 14 * np.sin((y - cy) / 60))) * (y > cy)
    light = blend(light, shade((70, 110, 50)), stem)
    reach = np.hypot(x - cx, (y - cy) * 1.06) / size
    angle = np.arctan2(y - cy, x - cx) + rng.uniform(0, 6.28)
    petals = int(scene.detail["petals"])
    lobe = np.abs(np.cos(angle * petals / 2))
    shape = 0.42 + 0.58 * lobe**0.55
    cover = clip((shape - reach) * size / 1.5)
    color = shade(NAMED[scene.detail["color"]])
    vein = textures.window("relief", height, width, rng)
    tone = (0.62 + 0.5 * reach) * (0.78 + 0.26 * lobe) + 0.05 * vein
    petal = color * tone[..., None] + 0.16 * (lobe * reach)[..., None]
    light = blend(light, clip(petal), cover)
    heart = clip((0.24 - reach) * size)
    dots = textures.window("grain", height, width, rng)
    middle = shade((214, 168, 46)) * (1.05 - 1.6 * reach + 0.16 * dots)[..., None]
    return blend(light, clip(middle), heart)


def _bokeh(width: int, height: int, textures: Textures, rng: Rng) -> Array:
    base = pick(rng, ((48, 84, 40), (70, 92, 60), (40, 66, 72), (88, 86, 58)))
    small = Image.new("RGB", (width // 4, height // 4), base)
    draw = ImageDraw.Draw(small)
    for _ in range(40):
        r = rng.uniform(3, 14)
        x, y = rng.uniform(0, width / 4), rng.uniform(0, height / 4)
        lift = float(rng.uniform(-0.4, 0.9))
        tone = tuple(int(min(max(c * (1 + lift), 0), 255)) for c in base)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tone)
    soft = small.filter(ImageFilter.GaussianBlur(3)).resize((width, height), Image.Resampling.BICUBIC)
    cloud = textures.window("smooth", height, width, rng, (2, 2))[..., None]
    return np.asarray(soft, np.float32) / 255 * (1 + 0.1 * cloud)


def _city(scene: Scene, textures: Textures, rng: Rng) -> Array:
    assert scene.place is not None
    width, height = scene.size
    waterline = round(height * scene.place.horizon)
    light = paint_place(scene.place, scene.size, textures, rng)
    bright = SKIES[scene.place.sky][2]
    dusk = bright < 0.7
    towers = Image.new("RGBA", (width, waterline), (0, 0, 0, 0))
    draw = ImageDraw.Draw(towers)
    count = int(scene.detail["towers"])
    for i in range(count):
        w = width / count * rng.uniform(0.5, 0.92)
        x = width * (i + 0.5) / count - w / 2
        top = waterline * rng.uniform(0.16, 0.62)
        tone = float(rng.uniform(0.3, 0.62)) * bright + 0.05
        wall = tuple(int(255 * tone * c) for c in (0.92, 0.96, 1.04))
        draw.rectangle((x, top, x + w, waterline), fill=(*wall, 255))
        draw.rectangle((x + w * 0.8, top, x + w, waterline), fill=(*(c * 3 // 4 for c in wall), 255))
        for wy in np.arange(top + 8, waterline - 8, 11):
            for wx in np.arange(x + 5, x + w - 8, 10):
                lit = dusk and rng.random() < 0.45
                pane = (250, 214, 130) if lit else tuple(c * 2 // 3 for c in wall)
                draw.rectangle((wx, wy, wx + 4, wy + 5), fill=(*pane, 255))
    sprite = np.asarray(towers, np.float32) / 255
    light[:waterline] = blend(light[:waterline], sprite[..., :3], sprite[..., 3])
    rows = height - waterline
    source = waterline - 1 - np.arange(rows)[:, None] * 0.98
    wave = textures.window("rough", rows, width, rng, (0.25, 1.6))
    near = np.linspace(0.1, 1, rows, dtype=np.float32)[:, None]
    index = np.clip(source + wave * 9 * near, 0, waterline - 1).astype(np.intp)
    mirrored = light[index, np.arange(width)[None, :]]
    light[waterline:] = blend(mirrored, light[waterline:], 0.35) * (1 + 0.1 * wave[..., None])
    return light


def things_in(scene: Scene) -> list[Thing]:
    """What a question may count: sprites outdoors, fruit and cups on a table."""
    if scene.kind != "still life":
        return [thing for thing in scene.things if thing.name in SPRITES]
    found: dict[str, list[tuple[float, float]]] = {}
    for solid in scene.solids:
        name = solid.color if solid.shape == "sphere" else "cup"
        found.setdefault(name, []).append((solid.x, solid.y))
    colors = {name: FRUIT[name][0] if name in FRUIT else scene.detail[name] for name in found}
    return [
        Thing(name, "none" if name == "orange" else colors[name], tuple(sorted(spots)))
        for name, spots in found.items()
    ]


def draw_xray(textures: Textures, rng: Rng, left_opaque: bool, enlarged: bool) -> Image.Image:
    """A chest radiograph, frontal view: ribs, lungs, heart, perhaps an opacity."""
    width, height = 380, 420
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    u, v = x / width - 0.5, y / height - 0.5
    body = smooth_step(0.5 - np.abs(u) - 0.06 * np.cos(v * 5), 0, 0.06)
    level = 0.62 * body + 0.05 * textures.window("cloud", height, width, rng)
    for side in (-1, 1):
        lung = 1 - np.hypot((u - side * 0.19) / 0.15, (v + 0.02) / 0.34)
        level -= 0.42 * smooth_step(lung, 0, 0.35)
        if left_opaque and side == 1:
            spot = np.exp(-(((u - 0.2) / 0.07) ** 2 + ((v - 0.12) / 0.08) ** 2))
            level += 0.4 * spot
    for rib in range(8):
        arc = v + 0.34 - rib * 0.085 - 0.28 * u * u + 0.05 * np.abs(u)
        level += 0.08 * np.exp(-((arc / 0.011) ** 2)) * (np.abs(u) < 0.36) * body
    level += 0.2 * np.exp(-((u / 0.035) ** 2)) * body
    heart = 1 - np.hypot((u - 0.05) / (0.2 if enlarged else 0.12), (v - 0.16) / 0.17)
    level += 0.36 * smooth_step(heart, 0, 0.3)
    level += 0.25 * smooth_step(v - 0.3 - 0.1 * u * u, 0, 0.06) * body
    light = np.repeat(clip(level.astype(np.float32))[..., None], 3, axis=2)
    return develop(light, textures, rng, 0.02).convert("L")
