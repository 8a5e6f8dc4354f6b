"""Diagrams: nodes and the lines between them; cycles, webs, graphs, figures, matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from cauldron.sample.draw import ink
from cauldron.sample.draw.ink import BLACK, WHITE, Color, Point
from cauldron.sample.model import Facts, Rng, sample


@dataclass(frozen=True)
class Node:
    """Something at a place.

    Attributes:
        shape: ``oval``, ``box``, a number of corners, or ``none``.
        half: half its width and height.
    """

    label: str
    at: Point
    shape: str = "none"
    half: tuple[float, float] = (0, 0)
    fill: Color = WHITE
    text: float = 15


@dataclass(frozen=True)
class Edge:
    """A line between two nodes, by index; an arrow unless it is a plain line."""

    start: int
    end: int
    plain: bool = False


@dataclass(frozen=True)
class Diagram:
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()
    title: str = ""
    size: tuple[int, int] = (520, 440)


def draw(diagram: Diagram) -> Image.Image:
    image, pen = ink.canvas(*diagram.size)
    ink.write(pen, (diagram.size[0] / 2, 24), diagram.title, 20, BLACK, "mm", bold=True)
    for edge in diagram.edges:
        start, end = diagram.nodes[edge.start], diagram.nodes[edge.end]
        if edge.plain:
            pen.line([start.at, end.at], fill=BLACK, width=2)
        else:
            _arrow(pen, _rim(start, end), _rim(end, start))
    for node in diagram.nodes:
        _shape(pen, node)
        lines = ink.wrap(node.label, node.text, node.half[0] * 1.8 or 200)
        for i, line in enumerate(lines):
            y = node.at[1] + (i - (len(lines) - 1) / 2) * node.text * 1.15
            ink.write(pen, (node.at[0], y), line, node.text, BLACK, "mm")
    return image


def _arrow(pen: ImageDraw.ImageDraw, start: Point, tip: Point) -> None:
    pen.line([start, tip], fill=BLACK, width=2)
    turn = math.degrees(math.atan2(start[1] - tip[1], tip[0] - start[0])) - 90
    pen.regular_polygon((*tip, 6), 3, turn, BLACK)


def _shape(pen: ImageDraw.ImageDraw, node: Node) -> None:
    (x, y), (w, h) = node.at, node.half
    box = (x - w, y - h, x + w, y + h)
    if node.shape == "oval":
        pen.ellipse(box, fill=node.fill, outline=BLACK, width=2)
    elif node.shape == "box":
        pen.rectangle(box, fill=node.fill, outline=BLACK, width=2)
    elif node.shape != "none":
        corners = polygon(int(node.shape), node.at, w)
        pen.polygon(corners, fill=node.fill, outline=BLACK, width=2)


def polygon(sides: int, at: Point, reach: float) -> list[Point]:
    """The corners of a regular polygon, one of them on top; a square stands on its side."""
    return on_circle(sides, at, (reach, reach), -math.pi / (4 if sides == 4 else 2))


def on_circle(count: int, at: Point, half: Point, turn: float) -> list[Point]:
    """Points on an oval, from an angle of `turn` on, in radians from the right."""
    angles = [turn + 2 * math.pi * k / count for k in range(count)]
    return [(at[0] + half[0] * math.cos(a), at[1] + half[1] * math.sin(a)) for a in angles]


def _rim(node: Node, other: Node) -> Point:
    """Where a line to another node leaves an oval, and a little farther."""
    (x, y), (w, h) = node.at, node.half
    dx, dy = other.at[0] - x, other.at[1] - y
    reach = 1 / math.hypot(dx / w, dy / h) + 3 / math.hypot(dx, dy)
    return x + dx * reach, y + dy * reach


def facts(names: Sequence[str], arrows: Sequence[tuple[int, int]], kind: str, rng: Rng) -> Facts:
    """Where each arrow leads to, in random order, and nodes where it does not."""
    told = []
    for start, end in sample(rng, arrows, len(arrows)):
        wrong = [i for i in range(len(names)) if i != start and (start, i) not in arrows]
        others = [names[i] for i in wrong]
        told.append({"from": names[start], "to": names[end], "others": others})
    said = ", ".join(f"{names[start]} -> {names[end]}" for start, end in arrows)
    return {kind: told, "arrows": [{"all": said}]}
