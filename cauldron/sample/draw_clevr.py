"""CLEVR scenes: shaded solids on a grey ground, and everything a question may ask of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from cauldron.sample.ink import pick
from cauldron.sample.model import Rng
from cauldron.sample.solids import Solid, paint_solid
from cauldron.sample.texture import Textures, develop

COLORS = ("red", "blue", "green", "purple", "yellow", "brown", "grey", "cyan")
SHAPES = ("sphere", "cube", "cylinder")


def any_scene(rng: Rng) -> list[Solid]:
    """4 to 8 solids that do not touch, the farthest first."""
    solids: list[Solid] = []
    wanted = int(rng.integers(4, 9))
    for _ in range(200):
        if len(solids) == wanted:
            break
        size = pick(rng, ("small", "large"))
        y = float(rng.uniform(0.48, 0.93))
        radius = (0.038 if size == "small" else 0.07) * (0.55 + 0.6 * y)
        x = float(rng.uniform(0.12, 0.88))
        near = [abs(x - s.x) < (radius + s.radius) * 1.35 and abs(y - s.y) < 0.15 for s in solids]
        if any(near):
            continue
        shape, color = pick(rng, SHAPES), pick(rng, COLORS)
        material = pick(rng, ("metal", "rubber"))
        turn = float(rng.integers(0, 18) * 5)
        solids.append(Solid(shape, color, material, size, x, y, radius, turn))
    return sorted(solids, key=lambda solid: solid.y)


def draw_scene(solids: list[Solid], textures: Textures, rng: Rng) -> Image.Image:
    width, height = 480, 320
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    level = 0.47 + 0.2 * y - 0.1 * (x - 0.2) ** 2 + 0.12 * np.exp(-((y - 0.55) ** 2) / 0.05)
    light = np.repeat(level[..., None], 3, axis=2).astype(np.float32)
    for solid in solids:
        paint_solid(light, solid, textures, rng)
    return develop(light, textures, rng, grain=0)


def count(solids: list[Solid], **wanted: str) -> int:
    """How many solids have these properties, e.g. ``count(s, shape="cube", color="red")``."""
    return sum(all(getattr(s, key) == value for key, value in wanted.items()) for s in solids)


def without(solids: list[Solid], **unwanted: str) -> list[Solid]:
    return [
        replace(s)
        for s in solids
        if not all(getattr(s, key) == value for key, value in unwanted.items())
    ]
