"""Things as light and coverage: flat shapes, shaded solids and the shadows that they cast."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cauldron.sample.draw.ink import Color, draw_shape
from cauldron.sample.draw.texture import Array, clip, shade

ZOOM = 3  # shapes are drawn larger and scaled down
LIGHT = (-0.45, -0.62, 0.64)  # towards the light: upper left, in front


def sprite(shapes: list[str], size: tuple[int, int], color: Color) -> tuple[Array, Array]:
    w, h = size
    large = Image.new("RGBA", (w * ZOOM, h * ZOOM), (0, 0, 0, 0))
    draw_shape(ImageDraw.Draw(large), shapes, (0, 0, w * ZOOM - 1, h * ZOOM - 1), color)
    small = np.asarray(large.resize(size, Image.Resampling.BOX), np.float32) / 255
    side = np.linspace(1.1, 0.74, w, dtype=np.float32)[None, :, None]
    return small[..., :3] * side, small[..., 3]


def solid(shape: str, size: tuple[int, int], color: Color, metal: bool) -> tuple[Array, Array]:
    """A shaded sphere, cylinder or cube, and its coverage."""
    w, h = size
    u = np.linspace(-1, 1, w, dtype=np.float32)[None, :] + np.zeros((h, 1), np.float32)
    v = np.linspace(-1, 1, h, dtype=np.float32)[:, None] + np.zeros((1, w), np.float32)
    if shape == "sphere":
        inside = 1 - np.hypot(u, v)
        nx, ny, nz = u, v, np.sqrt(clip(1 - u * u - v * v))
    elif shape == "cylinder":
        rim = 0.3 * np.sqrt(clip(1 - u * u))
        lid = np.hypot(u, (v + 0.7) / 0.3) < 1
        inside = np.minimum(v + 0.7 + rim, 0.7 + rim - v)
        nx, nz = np.where(lid, 0, u), np.where(lid, 0.2, np.sqrt(clip(1 - u * u)))
        ny = np.where(lid, -1.0, 0.1)
    else:
        slope = 0.5 * np.abs(u)
        lid, inside = v < -slope, 1 - slope - np.abs(v)
        nx = np.where(lid, 0, np.where(u < 0, -0.75, 0.75))
        ny, nz = np.where(lid, -1.0, 0.1), np.where(lid, 0.2, 0.6)
    facing = clip(nx * LIGHT[0] + ny * LIGHT[1] + nz * LIGHT[2])
    gloss = (facing**10 * (0.75 if metal else 0.12))[..., None]
    body = shade(color) * (0.22 + (0.65 if metal else 0.85) * facing)[..., None] + gloss
    return clip(body).astype(np.float32), clip(inside * w / 2 + 0.5).astype(np.float32)


def paste(light: Array, left: int, top: int, color: Array, alpha: Array) -> None:
    height, width, _ = light.shape
    h, w = alpha.shape
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + w, width), min(top + h, height)
    if x0 < x1 and y0 < y1:
        part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
        patch = light[y0:y1, x0:x1]
        patch += (color[part] - patch) * alpha[part][..., None]


def cast_shadow(light: Array, cx: float, foot: float, w: int) -> None:
    span, deep = round(w * 1.3), max(round(w * 0.26), 4)
    mask = Image.new("L", (span, deep), 0)
    ImageDraw.Draw(mask).ellipse((span * 0.1, deep * 0.2, span * 0.9, deep * 0.8), fill=150)
    soft = np.asarray(mask.filter(ImageFilter.GaussianBlur(deep * 0.14)), np.float32) / 255
    black = np.zeros((deep, span, 3), np.float32)
    paste(light, round(cx - span / 2), round(foot - deep * 0.55), black, soft * 0.65)
