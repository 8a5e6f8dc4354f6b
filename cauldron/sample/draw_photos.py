"""Paints the photographs that `scenes` describes: light on surfaces, pixel by pixel."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cauldron.sample.ink import NAMED, pick
from cauldron.sample.model import Rng
from cauldron.sample.scenery import SKIES, paint_place
from cauldron.sample.scenes import AIRBORNE, FRUIT, Scene
from cauldron.sample.solids import paint_solid
from cauldron.sample.sprites import place_thing
from cauldron.sample.texture import Array, Textures, blend, clip, develop, shade


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
    soft = small.filter(ImageFilter.GaussianBlur(3)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    cloud = textures.window("smooth", height, width, rng, (2, 2))[..., None]
    return np.asarray(soft, np.float32) / 255 * (1 + 0.1 * cloud)


def _city(scene: Scene, textures: Textures, rng: Rng) -> Array:
    assert scene.place is not None
    width, height = scene.size
    waterline = round(height * scene.place.horizon)
    light = paint_place(scene.place, scene.size, textures, rng)
    bright = SKIES[scene.place.sky][2]
    sprite = _towers(int(scene.detail["towers"]), (width, waterline), bright, rng)
    light[:waterline] = blend(light[:waterline], sprite[..., :3], sprite[..., 3])
    rows = height - waterline
    source = waterline - 1 - np.arange(rows)[:, None] * 0.98
    wave = textures.window("rough", rows, width, rng, (0.25, 1.6))
    near = np.linspace(0.1, 1, rows, dtype=np.float32)[:, None]
    index = np.clip(source + wave * 9 * near, 0, waterline - 1).astype(np.intp)
    mirrored = light[index, np.arange(width)[None, :]]
    light[waterline:] = blend(mirrored, light[waterline:], 0.35) * (1 + 0.1 * wave[..., None])
    return light


def _towers(count: int, size: tuple[int, int], bright: float, rng: Rng) -> Array:
    """Buildings side by side on transparent ground, windows lit at dusk."""
    width, foot = size
    image = Image.new("RGBA", size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    for i in range(count):
        w = width / count * rng.uniform(0.5, 0.92)
        x = width * (i + 0.5) / count - w / 2
        top = foot * rng.uniform(0.16, 0.62)
        tone = float(rng.uniform(0.3, 0.62)) * bright + 0.05
        wall = tuple(int(255 * tone * c) for c in (0.92, 0.96, 1.04))
        dark = tuple(c * 3 // 4 for c in wall)
        draw.rectangle((x, top, x + w, foot), fill=(*wall, 255))
        draw.rectangle((x + w * 0.8, top, x + w, foot), fill=(*dark, 255))
        for wy in np.arange(top + 8, foot - 8, 11):
            for wx in np.arange(x + 5, x + w - 8, 10):
                lit = bright < 0.7 and rng.random() < 0.45
                pane = (250, 214, 130) if lit else tuple(c * 2 // 3 for c in wall)
                draw.rectangle((wx, wy, wx + 4, wy + 5), fill=(*pane, 255))
    return np.asarray(image, np.float32) / 255
