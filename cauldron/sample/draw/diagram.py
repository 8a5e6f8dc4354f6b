"""Diagrams: nodes, arrows and angles; flow charts, cycles, webs, figures, matrices, icons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw

from cauldron.sample.draw import ink
from cauldron.sample.draw.ink import BLACK, WHITE, Color, Point
from cauldron.sample.draw.photograph import THINGS
from cauldron.sample.model import Rng, sample

RED: Color = (200, 60, 40)


@dataclass(frozen=True)
class Node:
    """Something at a place.

    Attributes:
        shape: ``oval``, ``box``, ``diamond``, ``ring`` (an oval without filling), ``none``,
            a number of corners, or the name of a thing of the photographs.
        half: half its width and height.
    """

    label: str
    at: Point
    shape: str = "none"
    half: tuple[float, float] = (0, 0)
    fill: Color = WHITE
    text: float = 15
    ink: Color = BLACK


@dataclass(frozen=True)
class Edge:
    """A line between two nodes, by index; an arrow unless it is a plain line."""

    start: int
    end: int
    label: str = ""
    plain: bool = False


@dataclass(frozen=True)
class Angle:
    """An arc at node `at` from node `first` to node `second`."""

    at: int
    first: int
    second: int
    label: str


@dataclass(frozen=True)
class Diagram:
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()
    angles: tuple[Angle, ...] = ()
    title: str = ""
    size: tuple[int, int] = (520, 440)
    paper: Color = WHITE


def draw(diagram: Diagram) -> Image.Image:
    image, pen = ink.canvas(*diagram.size, diagram.paper)
    if diagram.title:
        at = (diagram.size[0] / 2, 24)
        ink.write(pen, at, diagram.title, 20, BLACK, "mm", ink.PLAIN.bold())
    for node in diagram.nodes:
        _shape(pen, node)
    for edge in diagram.edges:
        _edge(pen, diagram.nodes[edge.start], diagram.nodes[edge.end], edge)
    for angle in diagram.angles:
        _angle(pen, diagram.nodes, angle)
    for node in diagram.nodes:
        lines = ink.wrap(node.label, node.text, max(node.half[0] * 1.8, 200 - node.half[0] * 9))
        for i, line in enumerate(lines if node.label else ()):
            y = node.at[1] + (i - (len(lines) - 1) / 2) * node.text * 1.15
            ink.write(pen, (node.at[0], y), line, node.text, node.ink, "mm")
    return image


def _shape(pen: ImageDraw.ImageDraw, node: Node) -> None:
    (x, y), (w, h) = node.at, node.half
    box = (x - w, y - h, x + w, y + h)
    if node.shape == "none":
        return
    if node.shape in ("oval", "ring"):
        fill = node.fill if node.shape == "oval" else None
        pen.ellipse(box, fill=fill, outline=BLACK, width=2)
    elif node.shape == "box":
        pen.rectangle(box, fill=node.fill, outline=BLACK, width=2)
    elif node.shape == "diamond":
        corners = [(x, y - h), (x + w, y), (x, y + h), (x - w, y)]
        pen.polygon(corners, fill=node.fill, outline=BLACK, width=2)
    elif node.shape.isdigit():
        corners = polygon(int(node.shape), node.at, w)
        pen.polygon(corners, fill=node.fill, outline=BLACK, width=2)
    else:
        ink.draw_shape(pen, THINGS[node.shape]["shapes"], box, node.fill)


def polygon(sides: int, at: Point, reach: float) -> list[Point]:
    """The corners of a regular polygon, one of them on top; a square stands on its side."""
    turn = -math.pi / 4 if sides == 4 else -math.pi / 2
    angles = [turn + 2 * math.pi * k / sides for k in range(sides)]
    return [(at[0] + reach * math.cos(a), at[1] + reach * math.sin(a)) for a in angles]


def _edge(pen: ImageDraw.ImageDraw, start: Node, end: Node, edge: Edge) -> None:
    dx, dy = end.at[0] - start.at[0], end.at[1] - start.at[1]
    a, b = (_rim(node, sign * dx, sign * dy) for node, sign in ((start, 1), (end, -1)))
    if edge.plain:
        pen.line([a, b], fill=BLACK, width=2)
    else:
        ink.arrow(pen, a, b, (60, 60, 66))
    if edge.label:
        at = ((a[0] + b[0]) / 2 + abs(dy) * 0.14, (a[1] + b[1]) / 2 - abs(dx) * 0.1)
        ink.write(pen, at, edge.label, 13, BLACK, "mm")


def _rim(node: Node, dx: float, dy: float) -> Point:
    """Where a line from a node's middle leaves it, and a little farther."""
    w, h = node.half
    if node.shape == "ring" or not w:
        return node.at
    if node.shape in ("box", "none"):
        reach = min(w / abs(dx) if dx else math.inf, h / abs(dy) if dy else math.inf)
    elif node.shape == "diamond":
        reach = 1 / (abs(dx) / w + abs(dy) / h)
    else:
        reach = 1 / math.hypot(dx / w, dy / h)
    reach += 3 / math.hypot(dx, dy)
    return node.at[0] + dx * reach, node.at[1] + dy * reach


def _angle(pen: ImageDraw.ImageDraw, nodes: Sequence[Node], angle: Angle) -> None:
    x, y = nodes[angle.at].at
    first, second = (
        math.degrees(math.atan2(nodes[i].at[1] - y, nodes[i].at[0] - x))
        for i in (angle.first, angle.second)
    )
    if (second - first) % 360 > 180:
        first, second = second, first
    pen.arc((x - 24, y - 24, x + 24, y + 24), first, second, fill=RED, width=2)
    middle = math.radians(first + ((second - first) % 360) / 2)
    at = (x + 46 * math.cos(middle), y + 44 * math.sin(middle))
    ink.write(pen, at, angle.label, 16, BLACK, "mm")


def on_circle(names: Sequence[str], turn: float, fills: Sequence[Color]) -> tuple[Node, ...]:
    """Ovals on a circle; the first stands at an angle of `turn`, in radians from the right."""
    nodes = []
    for i, (name, fill) in enumerate(zip(names, fills, strict=True)):
        angle = turn + 2 * math.pi * i / len(names)
        at = (260 + 180 * math.cos(angle), 240 + 145 * math.sin(angle))
        nodes.append(Node(name, at, "oval", (62, 36), fill))
    return tuple(nodes)


def facts(diagram: Diagram, rng: Rng) -> list[dict[str, Any]]:
    """Where each arrow leads to, in random order, and nodes where it does not."""
    names = [node.label for node in diagram.nodes]
    arrows = {(edge.start, edge.end) for edge in diagram.edges}
    told = []
    for start, end in sample(rng, sorted(arrows), len(arrows)):
        wrong = [i for i in range(len(names)) if i != start and (start, i) not in arrows]
        others = [names[i] for i in wrong]
        told.append({"from": names[start], "to": names[end], "others": others})
    return told
