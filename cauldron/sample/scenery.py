"""Outdoor photographs: sky, land and foreground, in light that fits the hour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cauldron.sample.ink import Color, pick
from cauldron.sample.model import Rng
from cauldron.sample.texture import Array, Textures, blend, clip, shade, smooth_step

SKIES: dict[str, tuple[Color, Color, float]] = {  # top, horizon, brightness of the land
    "clear": ((70, 125, 200), (190, 215, 235), 1.0),
    "cloudy": ((95, 140, 195), (205, 220, 232), 0.95),
    "overcast": ((140, 148, 158), (196, 200, 205), 0.78),
    "sunset": ((72, 74, 130), (250, 168, 92), 0.62),
    "dawn": ((150, 160, 205), (250, 215, 200), 0.8),
    "night": ((10, 14, 38), (40, 52, 92), 0.36),
}
LANDS: dict[str, Color] = {
    "mountains": (98, 96, 98),
    "hills": (92, 122, 70),
    "dunes": (214, 176, 118),
    "forest": (44, 74, 48),
}
FRONTS: dict[str, Color] = {
    "lake": (52, 84, 108),
    "meadow": (96, 134, 58),
    "beach": (222, 202, 160),
    "snow": (236, 240, 246),
    "field": (196, 166, 84),
}


@dataclass(frozen=True)
class Place:
    """What an outdoor photograph shows apart from the things in it."""

    sky: str
    land: str
    front: str
    horizon: float  # part of the height that lies above the front


def any_place(rng: Rng) -> Place:
    land = pick(rng, sorted(LANDS))
    fronts = {"dunes": ("beach",), "forest": ("lake", "meadow", "snow")}
    front = pick(rng, fronts.get(land, ("lake", "meadow", "beach", "snow", "field")))
    sky = pick(rng, ("clear", "cloudy", "overcast", "sunset", "dawn", "clear", "cloudy", "night"))
    return Place(sky, land, front, float(rng.uniform(0.48, 0.66)))


def paint_place(place: Place, size: tuple[int, int], textures: Textures, rng: Rng) -> Array:
    """Light of the scene, height x width x 3."""
    width, height = size
    waterline = round(height * place.horizon)
    light = np.empty((height, width, 3), np.float32)
    light[:] = _sky(place, width, height, textures, rng)
    _land(light, place, waterline, textures, rng)
    _front(light, place, waterline, textures, rng)
    return light


def _sky(place: Place, width: int, height: int, textures: Textures, rng: Rng) -> Array:
    top, low, _ = SKIES[place.sky]
    y = np.linspace(0, 1 / place.horizon, height, dtype=np.float32)[:, None, None]
    sky = shade(top) + (shade(low) - shade(top)) * clip(y) ** 1.1
    sky = np.broadcast_to(sky, (height, width, 3)).copy()
    if place.sky == "night":
        stars = textures.window("grain", height, width, rng) > 3.3
        sky[stars] = 0.85
    else:
        amount = {"clear": 1.3, "cloudy": 0.1, "overcast": -0.9}.get(place.sky, 0.6)
        cloud = textures.window("cloud", height, width, rng, (0.8, 2.0))
        body = smooth_step(cloud, amount, amount + 1.6)
        lit = blend(shade(low), shade((255, 252, 246)), 0.25 if place.sky == "sunset" else 0.7)
        under = blend(lit, shade(top), 0.35)
        core = smooth_step(cloud, amount + 1.0, amount + 2.6)[..., None]
        sky = blend(sky, lit * (1 - core) + under * core, body * 0.9)
    if place.sky in ("sunset", "dawn", "night"):
        _sun(sky, place, rng)
    return sky


def _sun(sky: Array, place: Place, rng: Rng) -> None:
    height, width, _ = sky.shape
    night = place.sky == "night"
    cx = width * rng.uniform(0.15, 0.85)
    cy = height * place.horizon * (rng.uniform(0.15, 0.4) if night else rng.uniform(0.55, 0.8))
    y, x = np.ogrid[0:height, 0:width]
    reach = np.hypot(x - cx, y - cy).astype(np.float32)
    radius = width * 0.028
    glow = np.exp(-reach / (width * (0.05 if night else 0.2)))
    color = shade((235, 238, 250) if night else (255, 236, 190))
    sky += color * glow[..., None] * (0.25 if night else 0.45)
    sky[:] = blend(sky, color, clip(radius - reach + 0.5))


def _land(light: Array, place: Place, waterline: int, textures: Textures, rng: Rng) -> None:
    height, width, _ = light.shape
    _, haze, bright = SKIES[place.sky]
    peak = {"mountains": 0.62, "hills": 0.34, "dunes": 0.3, "forest": 0.3}[place.land]
    layers = 3
    y = np.arange(height, dtype=np.float32)[:, None]
    for layer in range(layers):
        near = (layer + 1) / layers
        zoom = {"mountains": 1.2, "forest": 0.5}.get(place.land, 3.0) * (0.7 + near)
        line = textures.ridge(width, rng, zoom) * (1.25 - 0.5 * near)
        if place.land == "forest":
            line = line * 0.4 + textures.ridge(width, rng, 0.12) * 0.35
        top = waterline * (1 - peak * (1.05 - 0.62 * near) * (1 + 0.32 * line))
        first = max(int(top.min()) - 1, 0)
        rows = slice(first, waterline)
        if first >= waterline:
            continue
        depth = y[rows] - top
        relief = textures.window("relief", waterline - first, width, rng, (0.9, 1.1))
        color = shade(LANDS[place.land]) * (1 + 0.24 * relief[..., None])
        if place.land == "mountains":
            cap = smooth_step(waterline * peak * 0.33 - depth + relief * 9, -6, 10)
            color = blend(color, shade((242, 244, 250)) * (1 + 0.08 * relief[..., None]), cap)
        color = blend(color * bright, shade(haze), 0.62 * (1 - near) + 0.06)
        light[rows] = blend(light[rows], color, clip(depth + 0.5))


def _front(light: Array, place: Place, waterline: int, textures: Textures, rng: Rng) -> None:
    height, width, _ = light.shape
    rows = height - waterline
    bright = SKIES[place.sky][2]
    near = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    if place.front == "lake":
        _water(light, waterline, textures, rng, shade(FRONTS["lake"]) * bright)
        return
    if place.front == "beach":
        _water(light, waterline, textures, rng, shade((60, 120, 140)) * bright)
        shore = 0.3 + 0.06 * textures.ridge(width, rng, 4)
        edge = clip((near - shore) * rows / 3)
    else:
        edge = np.ones((rows, width), np.float32)
    tall = {"meadow": 2.6, "field": 3.2}.get(place.front, 0.8)
    fine = textures.window("relief", rows, width, rng, (tall, 1))
    broad = textures.window("cloud", rows, width, rng, (1.2, 3))
    contrast = {"snow": 0.035, "beach": 0.06}.get(place.front, 0.2)
    color = shade(FRONTS[place.front]) * (0.8 + 0.3 * near[..., None])
    color = color * (1 + contrast * (0.4 + 0.6 * near)[..., None] * fine[..., None])
    color = color * (1 + contrast * 0.6 * broad[..., None]) * bright
    if place.front == "meadow":
        dots = textures.window("grain", rows, width, rng) > 3.0 - 0.6 * near
        color[dots] = shade(pick(rng, ((250, 220, 90), (245, 245, 250), (220, 90, 120)))) * bright
    light[waterline:] = blend(light[waterline:], color, edge)


def _water(light: Array, waterline: int, textures: Textures, rng: Rng, tint: Array) -> None:
    """Below the waterline: what is above, upside down, broken by waves that grow nearer."""
    height, width, _ = light.shape
    rows = height - waterline
    near = np.linspace(0.02, 1, rows, dtype=np.float32)[:, None]
    waves = textures.window("rough", rows, width, rng, (0.25, 1.6))
    source = waterline - 1 - np.arange(rows)[:, None] * (waterline / rows) * 0.98
    source = source + waves * 12 * near
    index = np.clip(source, 0, waterline - 1).astype(np.intp)
    mirrored = light[index, np.arange(width)[None, :]]
    glitter = 1 + 0.12 * waves[..., None] * (0.3 + near[..., None])
    light[waterline:] = blend(mirrored, tint, 0.42) * glitter
