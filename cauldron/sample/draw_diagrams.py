"""Textbook diagrams, flow charts, TikZ-like graphs and counting pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image, ImageDraw

from cauldron.sample.ink import (
    BLACK,
    NAMED,
    Color,
    Point,
    arrow,
    canvas,
    mix,
    pick,
    sample,
    wrap,
    write,
)
from cauldron.sample.model import Rng

Draw = ImageDraw.ImageDraw


@dataclass(frozen=True)
class Graph:
    """Labelled nodes and directed edges between them, by index."""

    title: str
    nodes: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    labels: tuple[str, ...] = ()


CYCLES: dict[str, tuple[str, ...]] = {
    "Life cycle of a butterfly": ("Egg", "Caterpillar", "Pupa", "Butterfly"),
    "Life cycle of a frog": ("Eggs", "Tadpole", "Froglet", "Adult frog"),
    "The water cycle": ("Evaporation", "Condensation", "Precipitation", "Collection"),
    "Life cycle of a bean": ("Seed", "Sprout", "Young plant", "Flower", "Pod"),
    "The rock cycle": ("Magma", "Igneous rock", "Sediment", "Sedimentary rock", "Metamorphic rock"),
    "Phases of the moon": ("New moon", "First quarter", "Full moon", "Last quarter"),
    "The cell cycle": ("G1 phase", "S phase", "G2 phase", "Mitosis"),
}
EATERS = (
    "grass",
    "grasshopper",
    "frog",
    "snake",
    "hawk",
    "mouse",
    "rabbit",
    "fox",
    "beetle",
    "shrew",
)


def draw_cycle(graph: Graph, rng: Rng) -> Image.Image:
    image, draw = canvas(520, 440)
    write(draw, (260, 24), graph.title, 20, anchor="mm", bold=True)
    base = NAMED[pick(rng, ("green", "blue", "orange", "purple", "brown", "cyan"))]
    count = len(graph.nodes)
    spots: list[Point] = []
    for i in range(count):
        angle = 2 * math.pi * i / count - math.pi / 2
        spots.append((260 + 165 * math.cos(angle), 240 + 140 * math.sin(angle)))
    for i, spot in enumerate(spots):
        _link(draw, spot, spots[(i + 1) % count], 62)
    for i, (spot, name) in enumerate(zip(spots, graph.nodes, strict=True)):
        _bubble(draw, spot, name, mix(base, (255, 255, 255), 0.35 + 0.4 * i / count), 58)
        letter = graph.labels[i] if graph.labels else ""
        if letter:
            write(draw, (spot[0], spot[1] + 44), letter, 17, (180, 40, 30), "mm", True)
    return image


def any_food_web(rng: Rng) -> Graph:
    """An edge runs from what is eaten to what eats it."""
    animals = sample(rng, EATERS[1:], 5)
    nodes = ("grass", *animals)
    edges = [(0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 5)]
    if rng.integers(2):
        edges.append((2, 3))
    return Graph("Food web", nodes, tuple(edges))


def draw_food_web(graph: Graph, rng: Rng) -> Image.Image:
    image, draw = canvas(540, 430, (250, 252, 246))
    write(draw, (270, 24), graph.title, 20, anchor="mm", bold=True)
    spots: list[Point] = [(270, 370), (130, 280), (410, 280), (130, 170), (410, 170), (270, 84)]
    for a, b in graph.edges:
        _link(draw, spots[a], spots[b], 48)
    for i, (spot, name) in enumerate(zip(spots, graph.nodes, strict=True)):
        tone = NAMED["green"] if i == 0 else NAMED[pick(rng, ("orange", "brown", "yellow", "cyan"))]
        _bubble(draw, spot, name, mix(tone, (255, 255, 255), 0.55), 44)
    return image


def _bubble(draw: Draw, at: Point, text: str, fill: Color, reach: float) -> None:
    x, y = at
    draw.ellipse(
        (x - reach, y - reach * 0.62, x + reach, y + reach * 0.62),
        fill=fill,
        outline=BLACK,
        width=2,
    )
    lines = wrap(text, 15, reach * 1.7)
    for i, line in enumerate(lines):
        write(draw, (x, y + (i - (len(lines) - 1) / 2) * 17), line, 15, BLACK, "mm")


def _link(draw: Draw, start: Point, end: Point, gap: float) -> None:
    dx, dy = end[0] - start[0], end[1] - start[1]
    reach = math.hypot(dx, dy)
    a = (start[0] + dx / reach * gap, start[1] + dy / reach * gap * 0.85)
    b = (end[0] - dx / reach * gap, end[1] - dy / reach * gap * 0.85)
    arrow(draw, a, b, (60, 60, 66))


@dataclass(frozen=True)
class Flow:
    """A flow chart: steps in order, one decision with a way back or a way out."""

    title: str
    steps: tuple[str, ...]
    question: str
    otherwise: str
    last: str


def draw_flow(flow: Flow) -> Image.Image:
    height = 90 + 74 * (len(flow.steps) + 3)
    image, draw = canvas(460, height)
    write(draw, (230, 22), flow.title, 18, anchor="mm", bold=True)
    y = 66.0
    names = ("Start", *flow.steps)
    for i, name in enumerate(names):
        box = (120, y - 20, 300, y + 20)
        if i == 0:
            draw.rounded_rectangle(box, 20, fill=(206, 232, 210), outline=BLACK, width=2)
        else:
            draw.rectangle(box, fill=(214, 226, 244), outline=BLACK, width=2)
        write(draw, (210, y), name, 15, BLACK, "mm")
        arrow(draw, (210, y + 21), (210, y + 54 if i < len(names) - 1 else y + 44))
        y += 74
    y += 10
    diamond = [(210, y - 40), (320, y), (210, y + 40), (100, y)]
    draw.polygon(diamond, fill=(250, 236, 200), outline=BLACK, width=2)
    write(draw, (210, y), flow.question, 14, BLACK, "mm")
    arrow(draw, (321, y), (354, y))
    write(draw, (338, y - 12), "No", 13, BLACK, "mm")
    draw.rectangle((356, y - 20, 452, y + 20), fill=(246, 216, 214), outline=BLACK, width=2)
    write(draw, (404, y), flow.otherwise, 13, BLACK, "mm")
    arrow(draw, (210, y + 41), (210, y + 66))
    write(draw, (230, y + 52), "Yes", 13, BLACK, "mm")
    draw.rounded_rectangle(
        (120, y + 68, 300, y + 106), 20, fill=(206, 232, 210), outline=BLACK, width=2
    )
    write(draw, (210, y + 87), flow.last, 15, BLACK, "mm")
    return image


def draw_tikz(graph: Graph, spots: list[tuple[int, int]]) -> Image.Image:
    """The picture that `tikz_of` describes: one unit is 70 pixels."""
    high = max(y for _, y in spots)
    image, draw = canvas(70 * max(x for x, _ in spots) + 100, 70 * high + 100)
    at = [(50.0 + 70 * x, 50.0 + 70 * (high - y)) for x, y in spots]
    for a, b in graph.edges:
        _link(draw, at[a], at[b], 24)
    for (x, y), name in zip(at, graph.nodes, strict=True):
        draw.ellipse((x - 21, y - 21, x + 21, y + 21), fill=(255, 255, 255), outline=BLACK, width=2)
        write(draw, (x, y), name, 18, BLACK, "mm")
    return image


def tikz_of(graph: Graph, spots: list[tuple[int, int]]) -> str:
    nodes = "\n".join(
        f"  \\node[draw, circle] (n{i}) at ({x}, {y}) {{${name}$}};"
        for i, (name, (x, y)) in enumerate(zip(graph.nodes, spots, strict=True))
    )
    edges = "\n".join(f"  \\draw[->, thick] (n{a}) -- (n{b});" for a, b in graph.edges)
    return (
        "\\documentclass[tikz]{standalone}\n\\begin{document}\n\\begin{tikzpicture}\n"
        f"{nodes}\n{edges}\n\\end{{tikzpicture}}\n\\end{{document}}"
    )


def draw_labelled(parts: list[tuple[str, Point]], subject: str) -> Image.Image:
    """A plant or a cell with its parts labelled; `parts` gives where each line should point."""
    image, draw = canvas(520, 420)
    write(draw, (260, 22), f"Parts of a {subject}", 20, anchor="mm", bold=True)
    (_plant if subject == "plant" else _cell)(draw)
    for i, (name, spot) in enumerate(sorted(parts, key=lambda part: part[1][1])):
        y = 80 + i * 72
        draw.line([spot, (430, y)], fill=(90, 90, 90), width=1)
        write(draw, (436, y - 8), name, 15)
    return image


def _plant(draw: Draw) -> None:
    draw.rectangle((60, 300, 400, 306), fill=(120, 84, 50))
    draw.line([(230, 110), (230, 300)], fill=NAMED["green"], width=9)
    for i in range(7):
        angle = math.pi * 2 * i / 7
        x, y = 230 + 32 * math.cos(angle), 98 + 32 * math.sin(angle)
        draw.ellipse((x - 20, y - 20, x + 20, y + 20), fill=NAMED["pink"], outline=BLACK)
    draw.ellipse((212, 80, 248, 116), fill=NAMED["yellow"], outline=BLACK)
    soil = (150, 110, 70)
    for side in (-1, 1):
        reach = ((0, 230), (50, 190), (92, 206), (50, 236))
        leaf = [(230 + side * dx, y) for dx, y in reach]
        draw.polygon(leaf, fill=NAMED["green"], outline=BLACK)
        root = [(230, 304), (230 + side * 40, 350), (230 + side * 52, 386)]
        draw.line(root, fill=soil, width=4)
    draw.line([(230, 304), (226, 396)], fill=soil, width=5)


def _cell(draw: Draw) -> None:
    draw.ellipse((70, 60, 410, 390), fill=(232, 244, 226), outline=(60, 110, 60), width=6)
    draw.ellipse((180, 150, 310, 270), fill=(206, 180, 226), outline=BLACK, width=2)
    draw.ellipse((226, 190, 264, 226), fill=(130, 80, 160))
    for x, y in ((110, 240), (330, 130), (300, 310)):
        draw.ellipse((x, y, x + 54, y + 26), fill=(240, 170, 110), outline=BLACK)
    draw.ellipse((140, 290, 220, 350), fill=(186, 216, 240), outline=BLACK)


PLANT: tuple[tuple[str, Point, str], ...] = (
    ("Flower", (256, 90), "It attracts insects and makes seeds."),
    ("Leaf", (300, 212), "It makes food from sunlight."),
    ("Stem", (232, 260), "It carries water and holds the plant up."),
    ("Root", (262, 352), "It takes up water from the soil."),
)
CELL: tuple[tuple[str, Point, str], ...] = (
    ("Membrane", (372, 120), "It lets substances in and out."),
    ("Nucleus", (290, 200), "It holds the genetic material."),
    ("Organelle", (340, 322), "It releases energy for the cell."),
    ("Vacuole", (200, 320), "It stores water and food."),
)
