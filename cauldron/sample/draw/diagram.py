"""Diagrams: nodes, arrows and angles; flow charts, cycles, webs, figures, matrices, icons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from cauldron.sample.draw.ink import (
    BLACK,
    WHITE,
    Box,
    Color,
    Draw,
    Face,
    Point,
    arrow,
    canvas,
    draw_shape,
    wrap,
    write,
)
from cauldron.sample.draw.photograph import THINGS
from cauldron.sample.model import Facts, Rng, sample

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
    image, ink = canvas(*diagram.size, diagram.paper)
    if diagram.title:
        at = (diagram.size[0] / 2, 24)
        write(ink, at, diagram.title, 20, BLACK, "mm", Face(weight=0.03))
    for node in diagram.nodes:
        _shape(ink, node)
    for edge in diagram.edges:
        _edge(ink, diagram.nodes[edge.start], diagram.nodes[edge.end], edge)
    for angle in diagram.angles:
        _angle(ink, diagram.nodes, angle)
    for node in diagram.nodes:
        lines = wrap(node.label, node.text, max(node.half[0] * 1.8, 200 - node.half[0] * 9))
        for i, line in enumerate(lines if node.label else ()):
            y = node.at[1] + (i - (len(lines) - 1) / 2) * node.text * 1.15
            write(ink, (node.at[0], y), line, node.text, node.ink, "mm")
    return image


def _shape(ink: Draw, node: Node) -> None:
    (x, y), (w, h) = node.at, node.half
    box: Box = (x - w, y - h, x + w, y + h)
    if node.shape == "none":
        return
    if node.shape in ("oval", "ring"):
        fill = node.fill if node.shape == "oval" else None
        ink.ellipse(box, fill=fill, outline=BLACK, width=2)
    elif node.shape == "box":
        ink.rectangle(box, fill=node.fill, outline=BLACK, width=2)
    elif node.shape == "diamond":
        corners = [(x, y - h), (x + w, y), (x, y + h), (x - w, y)]
        ink.polygon(corners, fill=node.fill, outline=BLACK, width=2)
    elif node.shape.isdigit():
        corners = polygon(int(node.shape), node.at, w)
        ink.polygon(corners, fill=node.fill, outline=BLACK, width=2)
    else:
        draw_shape(ink, THINGS[node.shape]["shapes"], box, node.fill)


def polygon(sides: int, at: Point, reach: float) -> list[Point]:
    """The corners of a regular polygon, one of them on top; a square stands on its side."""
    turn = -math.pi / 4 if sides == 4 else -math.pi / 2
    angles = [turn + 2 * math.pi * k / sides for k in range(sides)]
    return [(at[0] + reach * math.cos(a), at[1] + reach * math.sin(a)) for a in angles]


def _edge(ink: Draw, start: Node, end: Node, edge: Edge) -> None:
    dx, dy = end.at[0] - start.at[0], end.at[1] - start.at[1]
    a, b = (_rim(node, sign * dx, sign * dy) for node, sign in ((start, 1), (end, -1)))
    if edge.plain:
        ink.line([a, b], fill=BLACK, width=2)
    else:
        arrow(ink, a, b, (60, 60, 66))
    if edge.label:
        at = ((a[0] + b[0]) / 2 + abs(dy) * 0.14, (a[1] + b[1]) / 2 - abs(dx) * 0.1)
        write(ink, at, edge.label, 13, BLACK, "mm")


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


def _angle(ink: Draw, nodes: Sequence[Node], angle: Angle) -> None:
    x, y = nodes[angle.at].at
    first, second = (
        math.degrees(math.atan2(nodes[i].at[1] - y, nodes[i].at[0] - x))
        for i in (angle.first, angle.second)
    )
    if (second - first) % 360 > 180:
        first, second = second, first
    ink.arc((x - 24, y - 24, x + 24, y + 24), first, second, fill=RED, width=2)
    middle = math.radians(first + ((second - first) % 360) / 2)
    at = (x + 46 * math.cos(middle), y + 44 * math.sin(middle))
    write(ink, at, angle.label, 16, BLACK, "mm")


def on_circle(
    names: Sequence[str], middle: Point, reach: tuple[float, float], fills: Sequence[Color]
) -> tuple[Node, ...]:
    """Ovals on a circle, the first on top."""
    nodes = []
    for i, (name, fill) in enumerate(zip(names, fills, strict=True)):
        angle = 2 * math.pi * i / len(names) - math.pi / 2
        at = (middle[0] + reach[0] * math.cos(angle), middle[1] + reach[1] * math.sin(angle))
        nodes.append(Node(name, at, "oval", (62, 36), fill))
    return tuple(nodes)


def facts(diagram: Diagram, rng: Rng) -> Facts:
    """What can be said: about each arrow between two named nodes, in random order."""
    names = [node.label for node in diagram.nodes]
    arrows = [edge for edge in diagram.edges if not edge.plain and names[edge.start]]
    follows = {(edge.start, edge.end) for edge in arrows}
    told = []
    for edge in sample(rng, arrows, len(arrows)):
        others = [
            name
            for i, name in enumerate(names)
            if name and i != edge.end and (edge.start, i) not in follows and i != edge.start
        ]
        told.append({"from": names[edge.start], "to": names[edge.end], "others": others})
    return {"arrow": told, "diagram": [{"title": diagram.title, "nodes": ", ".join(names)}]}
