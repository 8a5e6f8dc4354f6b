"""Chest radiographs, for VQA-RAD."""

from __future__ import annotations

import numpy as np
from PIL import Image

from cauldron.sample.model import Rng
from cauldron.sample.texture import Textures, clip, develop, smooth_step


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
