"""Shaded spheres, cubes and cylinders: CLEVR's objects, and the fruit and cups of still lifes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from cauldron.sample.ink import NAMED, Color
from cauldron.sample.model import Rng
from cauldron.sample.sprites import cast_shadow, paste_patch
from cauldron.sample.texture import Array, Textures, clip, shade

LIGHT = np.array([-0.45, -0.62, 0.64], np.float32)


@dataclass(frozen=True)
class Solid:
    """Centre of the foot as parts of the picture's size, radius as part of its width."""

    shape: str  # "sphere", "cube" or "cylinder"
    color: str
    material: str  # "metal" or "rubber"
    size: str  # "small" or "large"
    x: float
    y: float
    radius: float
    turn: float = 0.0

    def called(self) -> str:
        return f"{self.size} {self.color} {self.material} {self.shape}"


@lru_cache(maxsize=128)
def _sphere(radius: int) -> tuple[Array, Array, Array]:
    """(diffuse, highlight, coverage) of a ball."""
    span = np.linspace(-1, 1, 2 * radius + 1, dtype=np.float32)
    x, y = span[None, :], span[:, None]
    square = x * x + y * y
    z = np.sqrt(clip(1 - square))
    facing = x * LIGHT[0] + y * LIGHT[1] + z * LIGHT[2]
    half = (2 * facing * z - LIGHT[2]).astype(np.float32)
    cover = clip((1 - np.sqrt(square)) * radius + 0.5)
    return clip(facing).astype(np.float32), clip(half), cover


@lru_cache(maxsize=128)
def _cylinder(radius: int) -> tuple[Array, Array, Array]:
    height = round(radius * 2.1)
    lid = round(radius * 0.36)
    x = np.linspace(-1, 1, 2 * radius + 1, dtype=np.float32)[None, :]
    y = np.arange(height, dtype=np.float32)[:, None]
    z = np.sqrt(clip(1 - x * x))
    facing = clip(x * LIGHT[0] * 1.2 + z * 0.75) + 0 * y
    half = clip(2 * (x * LIGHT[0] * 1.2 + z * 0.75) * z - 0.75) * 0.8 + 0 * y
    rim = lid * (1 - np.sqrt(clip(1 - x * x)))
    cover = clip(y - rim + 0.5) * clip(height - 1 - y - rim + 0.5)
    top = (x * x + ((y - lid) / lid) ** 2) < 1
    facing = np.where(top, np.float32(0.86), facing)
    half = np.where(top, np.float32(0.2), half)
    return facing.astype(np.float32), half.astype(np.float32), cover.astype(np.float32)


@lru_cache(maxsize=256)
def _cube(radius: int, degrees: int) -> tuple[Array, Array, Array]:
    zoom, half = 3, radius * 0.86
    span, tilt = 2 * round(radius * 1.35) + 1, 0.42
    corners: list[tuple[float, float]] = []
    for corner in range(4):
        angle = math.radians(degrees + 90 * corner)
        corners.append((math.cos(angle) * half * 1.414, math.sin(angle) * half * 1.414))
    faces = Image.new("L", (span * zoom, span * zoom), 0)
    draw = ImageDraw.Draw(faces)
    up = half * 1.8

    def seen(point: tuple[float, float], lift: float) -> tuple[float, float]:
        x = span / 2 + point[0]
        y = span * 0.66 + point[1] * tilt - lift * math.cos(tilt) + radius * 0.12
        return x * zoom, y * zoom

    for i, first in enumerate(corners):
        second = corners[(i + 1) % 4]
        normal = ((first[0] + second[0]) / half / 2, (first[1] + second[1]) / half / 2)
        if normal[1] <= 0:
            continue
        tone = 0.34 + 0.34 * max(-normal[0], 0) + 0.2 * normal[1]
        quad = [seen(first, 0), seen(second, 0), seen(second, up), seen(first, up)]
        draw.polygon(quad, fill=round(255 * tone))
    draw.polygon([seen(point, up) for point in corners], fill=round(255 * 0.95))
    mask = faces.point(lambda value: 255 if value else 0)
    small = np.asarray(faces.resize((span, span), Image.Resampling.BOX), np.float32) / 255
    cover = np.asarray(mask.resize((span, span), Image.Resampling.BOX), np.float32) / 255
    tone_map = small / np.maximum(cover, 0.05)
    y = np.linspace(1, 0.82, span, dtype=np.float32)[:, None]
    return (tone_map * y).astype(np.float32), (0.25 * tone_map**3).astype(np.float32), cover


def paint_solid(
    light: Array, solid: Solid, textures: Textures, rng: Rng, color: Color | None = None
) -> None:
    """Put one solid and its shadow into a scene lit from the upper left."""
    height, width, _ = light.shape
    radius = max(round(solid.radius * width), 5)
    if solid.shape == "sphere":
        diffuse, highlight, cover = _sphere(radius)
    elif solid.shape == "cylinder":
        diffuse, highlight, cover = _cylinder(radius)
    else:
        diffuse, highlight, cover = _cube(radius, round(solid.turn))
    h, w = cover.shape
    foot, middle = round(height * solid.y), round(width * solid.x)
    cast_shadow(light, middle + radius * 0.45, foot - radius * 0.12, round(radius * 2.2), 0.9)
    base = shade(color or NAMED[solid.color])
    metal = solid.material == "metal"
    body = base * (0.2 + (0.62 if metal else 0.82) * diffuse)[..., None]
    if metal:
        band = np.sin(np.linspace(0, 5.2, h, dtype=np.float32))[:, None, None]
        body = body + base * 0.22 * band + (highlight**8 * 0.75 + highlight**60)[..., None]
    else:
        body = body + (highlight**12 * 0.16)[..., None]
        body = body * (1 + 0.015 * textures.window("relief", h, w, rng)[..., None])
    paste_patch(light, middle - w // 2, foot - h + round(radius * 0.12), clip(body), cover)
