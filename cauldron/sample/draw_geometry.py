"""Geometry figures with labelled points, angles and lengths, drawn true to scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image, ImageDraw

from cauldron.sample.ink import BLACK, Color, Point, canvas, write
from cauldron.sample.model import Rng

Draw = ImageDraw.ImageDraw
WIDTH, HEIGHT = 400, 320
INK: Color = (25, 25, 35)


@dataclass(frozen=True)
class Figure:
    """A figure and the problem it poses.

    Attributes:
        kind: ``triangle``, ``parallel``, ``circle``, ``rectangle`` or ``right``.
        given: the numbers that are printed, in the order the problem names them.
        answer: the number asked for.
    """

    kind: str
    given: tuple[int, ...]
    answer: int
    names: tuple[str, ...]


def any_figure(rng: Rng) -> Figure:
    kind = ("triangle", "parallel", "circle", "rectangle", "right")[int(rng.integers(5))]
    start = int(rng.integers(0, 18))
    names = tuple(chr(ord("A") + start + i) for i in range(6))
    if kind == "triangle":
        a, b = int(rng.integers(35, 80)), int(rng.integers(35, 80))
        return Figure(kind, (a, b), 180 - a - b, names)
    if kind == "parallel":
        a = int(rng.integers(40, 141))
        a = a + 7 if a == 90 else a
        return Figure(kind, (a,), 180 - a, names)
    if kind == "circle":
        a = int(rng.integers(25, 71))
        return Figure(kind, (2 * a,), a, names)
    if kind == "rectangle":
        a, b = int(rng.integers(6, 19)), int(rng.integers(3, 11))
        return Figure(kind, (a, b), 2 * (a + b), names)
    a, b, c = [
        (3, 4, 5),
        (5, 12, 13),
        (6, 8, 10),
        (8, 15, 17),
        (9, 12, 15),
        (20, 21, 29),
        (7, 24, 25),
    ][int(rng.integers(7))]
    return Figure(kind, (a, b), c, names)


def draw_figure(figure: Figure, rng: Rng) -> Image.Image:
    image, draw = canvas(WIDTH, HEIGHT)
    painters = {
        "triangle": _triangle,
        "parallel": _parallel,
        "circle": _circle,
        "rectangle": _rectangle,
        "right": _right,
    }
    painters[figure.kind](draw, figure, rng)
    return image


def _polygon(draw: Draw, points: list[Point], names: tuple[str, ...]) -> None:
    draw.line([*points, points[0], points[1]], fill=INK, width=2, joint="curve")
    cx = sum(p[0] for p in points) / len(points)
    cy = sum(p[1] for p in points) / len(points)
    for (x, y), name in zip(points, names, strict=False):
        reach = math.hypot(x - cx, y - cy)
        write(draw, (x + (x - cx) / reach * 18, y + (y - cy) / reach * 18), name, 20, INK, "mm")


def _angle(draw: Draw, at: Point, first: Point, second: Point, text: str) -> None:
    a = math.degrees(math.atan2(first[1] - at[1], first[0] - at[0]))
    b = math.degrees(math.atan2(second[1] - at[1], second[0] - at[0]))
    if (b - a) % 360 > 180:
        a, b = b, a
    draw.arc((at[0] - 24, at[1] - 24, at[0] + 24, at[1] + 24), a, b, fill=(200, 60, 40), width=2)
    middle = math.radians(a + ((b - a) % 360) / 2)
    write(
        draw, (at[0] + 48 * math.cos(middle), at[1] + 44 * math.sin(middle)), text, 16, BLACK, "mm"
    )


def _triangle(draw: Draw, figure: Figure, rng: Rng) -> None:
    a, b = (math.radians(value) for value in figure.given)
    left, right = (50.0, 262.0), (350.0, 262.0)
    reach = 300 * math.sin(b) / math.sin(math.pi - a - b)
    scale = min(1.0, 215 / (reach * math.sin(a)))
    mid = 200.0
    left, right = (mid - 150 * scale, 262.0), (mid + 150 * scale, 262.0)
    top = (left[0] + reach * scale * math.cos(a), 262 - reach * scale * math.sin(a))
    _polygon(draw, [left, right, top], figure.names)
    _angle(draw, left, right, top, f"{figure.given[0]}°")
    _angle(draw, right, left, top, f"{figure.given[1]}°")


def _parallel(draw: Draw, figure: Figure, rng: Rng) -> None:
    a, b, c, d, e, f = figure.names
    slope = math.radians(figure.given[0])
    step = 80 / math.tan(slope)
    upper, lower = (200 + step * 0.75, 100.0), (200 - step * 0.75, 220.0)
    for y, one, two in ((100, a, b), (220, c, d)):
        draw.line([(30, y), (370, y)], fill=INK, width=2)
        write(draw, (18, y), one, 19, INK, "mm")
        write(draw, (384, y), two, 19, INK, "mm")
    ends = [(upper[0] + step * 0.5, 20.0), (lower[0] - step * 0.5, 300.0)]
    draw.line(ends, fill=INK, width=2)
    write(draw, (ends[0][0] + 16, 20), e, 19, INK, "mm")
    write(draw, (ends[1][0] + 16, 298), f, 19, INK, "mm")
    _angle(draw, upper, (370, 100), ends[0], f"{figure.given[0]}°")
    _angle(draw, lower, (30, 220), upper, "x")


def _circle(draw: Draw, figure: Figure, rng: Rng) -> None:
    cx, cy, r = 200.0, 160.0, 118.0
    draw.ellipse((cx - r, cy - r, cx + r, cy + r), outline=INK, width=2)
    half = math.radians(figure.given[0] / 2)

    def rim(angle: float) -> Point:
        return cx + r * math.sin(angle), cy + r * math.cos(angle)

    a, b, c = rim(-half), rim(half), rim(math.pi + float(rng.uniform(-0.4, 0.4)))
    draw.line([a, (cx, cy), b], fill=INK, width=2)
    draw.line([a, c, b], fill=INK, width=2)
    draw.ellipse((cx - 3, cy - 3, cx + 3, cy + 3), fill=INK)
    write(draw, (cx + 14, cy - 14), "O", 18, INK, "mm")
    for name, (x, y) in zip(figure.names, (a, b, c), strict=False):
        write(draw, (cx + (x - cx) * 1.15, cy + (y - cy) * 1.15), name, 19, INK, "mm")
    _angle(draw, (cx, cy), a, b, f"{figure.given[0]}°")
    _angle(draw, c, a, b, "x")


def _rectangle(draw: Draw, figure: Figure, rng: Rng) -> None:
    long, short = figure.given
    scale = min(300 / long, 200 / short)
    w, h = long * scale / 2, short * scale / 2
    points = [(200 - w, 155 + h), (200 + w, 155 + h), (200 + w, 155 - h), (200 - w, 155 - h)]
    _polygon(draw, points, figure.names)
    write(draw, (200, 155 + h + 18), f"{long} cm", 17, BLACK, "mm")
    write(draw, (200 + w + 30, 155), f"{short} cm", 17, BLACK, "mm")


def _right(draw: Draw, figure: Figure, rng: Rng) -> None:
    a, b = figure.given
    scale = min(290 / b, 220 / a)
    w, h = b * scale, a * scale
    left = 200 - w / 2
    points = [(left, 270.0), (left + w, 270.0), (left, 270.0 - h)]
    _polygon(draw, points, figure.names)
    draw.rectangle((left, 256, left + 14, 270), outline=INK)
    write(draw, (left + w / 2, 288), str(b), 18, BLACK, "mm")
    write(draw, (left - 20, 270 - h / 2), str(a), 18, BLACK, "mm")
    write(draw, (left + w / 2 + 16, 258 - h / 2), "x", 18, (200, 60, 40), "mm")
