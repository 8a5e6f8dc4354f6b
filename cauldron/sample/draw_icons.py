"""Rows of icons to count, as in a first-grade exercise."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from cauldron.sample.ink import BLACK, NAMED, WHITE, Color, canvas

Draw = ImageDraw.ImageDraw


def draw_icons(kind: str, count: int, color: str) -> Image.Image:
    """`count` copies of one of `SHAPES` in rows of five."""
    rows = -(-count // 5)
    image, draw = canvas(60 + 5 * 88, 50 + rows * 88)
    for i in range(count):
        SHAPES[kind](draw, 74 + (i % 5) * 88, 70 + (i // 5) * 88, 32, NAMED[color])
    return image


def _star(draw: Draw, x: float, y: float, r: float, fill: Color) -> None:
    points = []
    for i in range(10):
        reach = r if i % 2 == 0 else r * 0.42
        angle = math.pi * i / 5 - math.pi / 2
        points.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    draw.polygon(points, fill=fill, outline=BLACK)


def _heart(draw: Draw, x: float, y: float, r: float, fill: Color) -> None:
    for side in (-1, 1):
        middle = x + side * r * 0.47
        draw.ellipse((middle - r / 2, y - r * 0.8, middle + r / 2, y + r * 0.2), fill=fill)
    tip = [(x - r * 0.93, y - r * 0.12), (x + r * 0.93, y - r * 0.12), (x, y + r)]
    draw.polygon(tip, fill=fill)


def _apple(draw: Draw, x: float, y: float, r: float, fill: Color) -> None:
    draw.ellipse((x - r * 0.8, y - r * 0.6, x + r * 0.15, y + r * 0.9), fill=fill)
    draw.ellipse((x - r * 0.15, y - r * 0.6, x + r * 0.8, y + r * 0.9), fill=fill)
    draw.line([(x, y - r * 0.5), (x + 4, y - r)], fill=(90, 60, 30), width=4)
    draw.ellipse((x + 4, y - r, x + r * 0.6, y - r * 0.65), fill=NAMED["green"])


def _fish(draw: Draw, x: float, y: float, r: float, fill: Color) -> None:
    draw.polygon([(x + r * 0.4, y), (x + r, y - r * 0.5), (x + r, y + r * 0.5)], fill=fill)
    draw.ellipse((x - r, y - r * 0.5, x + r * 0.6, y + r * 0.5), fill=fill, outline=BLACK)
    draw.ellipse((x - r * 0.7, y - r * 0.2, x - r * 0.5, y), fill=BLACK)


def _cup(draw: Draw, x: float, y: float, r: float, fill: Color) -> None:
    draw.ellipse((x + r * 0.3, y - r * 0.4, x + r, y + r * 0.4), outline=fill, width=6)
    body = (x - r * 0.7, y - r * 0.7, x + r * 0.6, y + r * 0.8)
    draw.rectangle(body, fill=fill, outline=BLACK)


def _moon(draw: Draw, x: float, y: float, r: float, fill: Color) -> None:
    draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
    draw.ellipse((x - r * 0.5, y - r * 1.05, x + r * 1.2, y + r * 0.8), fill=WHITE)


SHAPES = {
    "star": _star,
    "heart": _heart,
    "apple": _apple,
    "fish": _fish,
    "cup": _cup,
    "moon": _moon,
}
