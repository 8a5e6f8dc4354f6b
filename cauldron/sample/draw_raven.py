"""Raven's matrices: a 3 x 3 grid under two rules, the ninth cell missing, eight candidates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

from cauldron.sample.ink import BLACK, canvas, write
from cauldron.sample.model import Rng

SIDES = (3, 4, 5, 6, 0)  # 0: a circle
GREYS = (255, 205, 150, 90, 30)


@dataclass(frozen=True)
class Cell:
    """`count` shapes with `sides` corners in shade `grey`, both indices into the tables above."""

    sides: int
    grey: int
    count: int


@dataclass(frozen=True)
class Matrix:
    """`candidates[answer]` is `cells[8]`."""

    cells: tuple[Cell, ...]
    candidates: tuple[Cell, ...]
    answer: int


def any_matrix(rng: Rng) -> Matrix:
    """Along a row the shape is constant or steps on; the shade or the number steps too."""
    first_shape, shape_step = int(rng.integers(5)), int(rng.integers(2))
    rule = int(rng.integers(3))
    first_grey, first_count = int(rng.integers(3)), int(rng.integers(1, 3))
    cells = []
    for row in range(3):
        for column in range(3):
            sides = (first_shape + row + shape_step * column) % 5
            grey = first_grey + (column if rule in (0, 2) else 0)
            count = first_count + (column if rule in (1, 2) else 0)
            cells.append(Cell(sides, grey, count))
    right = cells[8]
    wrong = [
        replace(right, sides=(right.sides + 1) % 5),
        replace(right, sides=(right.sides + 3) % 5),
        replace(right, grey=(right.grey + 1) % 5),
        replace(right, grey=(right.grey + 3) % 5),
        replace(right, count=right.count % 4 + 1),
        replace(right, count=right.count % 4 + 1, grey=(right.grey + 2) % 5),
        replace(right, sides=(right.sides + 2) % 5, grey=(right.grey + 1) % 5),
    ]
    order = [int(i) for i in rng.permutation(8)]
    mixed = [([right, *wrong])[i] for i in order]
    return Matrix(tuple(cells), tuple(mixed), order.index(0))


def draw_matrix(matrix: Matrix) -> Image.Image:
    image, draw = canvas(480, 640)
    for i, cell in enumerate(matrix.cells):
        left, top = 75 + i % 3 * 110, 16 + i // 3 * 110
        draw.rectangle((left, top, left + 110, top + 110), outline=BLACK, width=2)
        if i < 8:
            _cell(draw, cell, left + 55, top + 55, 44)
        else:
            write(draw, (left + 55, top + 55), "?", 48, BLACK, "mm")
    for i, cell in enumerate(matrix.candidates):
        left, top = 20 + i % 4 * 112, 376 + i // 4 * 132
        draw.rectangle((left, top, left + 104, top + 104), outline=(90, 90, 90), width=2)
        _cell(draw, cell, left + 52, top + 52, 42)
        write(draw, (left + 52, top + 116), "ABCDEFGH"[i], 17, BLACK, "mm")
    return image


def _cell(draw: ImageDraw.ImageDraw, cell: Cell, cx: float, cy: float, reach: float) -> None:
    spots = {
        1: [(0.0, 0.0)],
        2: [(-0.5, 0.0), (0.5, 0.0)],
        3: [(-0.5, -0.5), (0.5, -0.5), (0.0, 0.5)],
        4: [(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)],
    }[cell.count]
    r = reach * (0.8 if cell.count == 1 else 0.42)
    tone = GREYS[cell.grey]
    for dx, dy in spots:
        x, y = cx + dx * reach, cy + dy * reach
        sides = SIDES[cell.sides]
        if sides == 0:
            draw.ellipse(
                (x - r, y - r, x + r, y + r), fill=(tone, tone, tone), outline=BLACK, width=2
            )
            continue
        turn = -math.pi / 2 if sides != 4 else -math.pi / 4
        points = [
            (
                x + r * math.cos(turn + 2 * math.pi * k / sides),
                y + r * math.sin(turn + 2 * math.pi * k / sides),
            )
            for k in range(sides)
        ]
        draw.polygon(points, fill=(tone, tone, tone), outline=BLACK, width=2)
