"""One diagram of a row with what can be said about it."""

from __future__ import annotations

import math
from string import ascii_uppercase
from typing import Any

import numpy as np

from cauldron.sample.draw import diagram
from cauldron.sample.draw.diagram import Diagram, Edge, Node, on_circle
from cauldron.sample.draw.ink import NAMED, WHITE, Point, mix
from cauldron.sample.model import Facts, Rng, pick, png, sample
from cauldron.sample.studio import Shown, Studio
from cauldron.sample.words import WORDS

Options = dict[str, Any]
FILLS = ("green", "blue", "orange", "purple", "brown", "cyan", "red", "pink")


def _shown(drawn: Diagram, facts: Facts, path: str | None = None) -> Shown:
    return Shown([png(diagram.draw(drawn), path)], facts)


def cycle(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    title = pick(rng, sorted(WORDS["cycles"]))
    stages = WORDS["cycles"][title]
    edges = [(k, (k + 1) % len(stages)) for k in range(len(stages))]
    return _arrows(stages, edges, title, "follows", rng)


def web(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """A food web: an arrow runs from what is eaten to what eats it."""
    names = ["grass", *sample(rng, WORDS["eaters"], 5)]
    edges = [(0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 5)] + [(2, 3)] * int(rng.integers(2))
    return _arrows(names, edges, "Food web", "eats", rng)


def flow(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    steps = ["Start", *sample(rng, WORDS["steps"], int(rng.integers(3, 6))), "Done"]
    edges = [(k, k + 1) for k in range(len(steps) - 1)]
    return _arrows(steps, edges, f"{pick(rng, WORDS['firms'])}, order {i + 1}", "follows", rng)


def _arrows(
    names: list[str], edges: list[tuple[int, int]], title: str, kind: str, rng: Rng
) -> Shown:
    """Nodes on an oval."""
    spots = on_circle(len(names), (260, 240), (180, 145), float(rng.uniform(0, 6.28)))
    base = NAMED[pick(rng, FILLS)]
    nodes = [
        Node(name, at, "oval", (62, 36), mix(base, WHITE, 0.35 + 0.4 * k / len(names)))
        for k, (name, at) in enumerate(zip(names, spots, strict=True))
    ]
    drawn = Diagram(tuple(nodes), tuple(Edge(a, b) for a, b in edges), title)
    facts = diagram.facts(names, edges, kind, rng)
    facts["arrows"][0]["title"] = title
    return _shown(drawn, facts)


def graph(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """A directed graph and the TikZ code that draws it; on a circle no three nodes are in line."""
    count, letter = int(rng.integers(4, 8)), pick(rng, ("x", "v", "a", "s"))
    spots = on_circle(count, (200, 200), (140, 140), float(rng.uniform(0, 6.28)))
    pairs = sample(rng, [(a, b) for a in range(count) for b in range(a + 1, count)], count)
    nodes = [Node(f"{letter}{k}", at, "oval", (21, 21), text=18) for k, at in enumerate(spots)]
    lines = ["\\documentclass[tikz]{standalone}", "\\begin{document}", "\\begin{tikzpicture}"]
    for k, (x, y) in enumerate(spots):
        at = f"({x / 70:.1f}, {5 - y / 70:.1f})"
        lines.append(f"  \\node[draw, circle] (n{k}) at {at} {{${letter}_{k}$}};")
    lines += [f"  \\draw[->, thick] (n{a}) -- (n{b});" for a, b in pairs]
    code = "\n".join([*lines, "\\end{tikzpicture}", "\\end{document}"])
    drawn = Diagram(tuple(nodes), tuple(Edge(a, b) for a, b in pairs), size=(400, 400))
    return _shown(drawn, {"graph": [{"code": code}]})


def icons(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """Shapes to count, in rows of five."""
    shape, plural = pick(rng, list(WORDS["shapes"].items()))
    count, fill, step = int(rng.integers(3, 16)), NAMED[pick(rng, FILLS)], 88
    spots = [(74 + k % 5 * step, 70 + k // 5 * step) for k in range(count)]
    nodes = tuple(Node("", spot, shape, (36, 36), fill) for spot in spots)
    drawn = Diagram(nodes, size=(500, 50 + -(-count // 5) * step))
    fact = {"plural": plural, "count": str(count)}
    return _shown(drawn, {"asked" if i % 2 else "counted": [fact]})


Cell = tuple[str, int]  # a shape, and the grey of its filling
SHADES = (255, 205, 150, 90, 30)


def any_matrix(rng: Rng) -> tuple[list[Cell], list[Cell], int]:
    """Nine cells under two rules, eight candidates for the last, and the number of the right one.

    Each row has a shape of its own, each column a shade.
    """
    shapes, shades = sample(rng, sorted(WORDS["shapes"]), 3), sample(rng, SHADES, 3)
    cells = [(shape, shade) for shape in shapes for shade in shades]
    every = [(shape, shade) for shape in sorted(WORDS["shapes"]) for shade in SHADES]
    wrong = sample(rng, [cell for cell in every if cell != cells[8]], 7)
    candidates = sample(rng, [cells[8], *wrong], 8)
    return cells, candidates, candidates.index(cells[8])


def matrix(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    cells, candidates, answer = any_matrix(rng)
    spots = [(130 + k % 3 * 110, 71 + k // 3 * 110) for k in range(9)]
    nodes = [Node("", at, "box", (55, 55)) for at in spots] + [Node("?", spots[8], text=48)]
    spots[8:] = [(72 + k % 4 * 112, 428 + k // 4 * 132) for k in range(8)]
    for letter, (x, y) in zip("ABCDEFGH", spots[8:], strict=True):
        nodes += [Node("", (x, y), "box", (52, 52)), Node(letter, (x, y + 64), text=17)]
    for (shape, shade), at in zip([*cells[:8], *candidates], spots, strict=True):
        nodes.append(Node("", at, shape, (34, 34), (shade,) * 3))
    drawn = Diagram(tuple(nodes), size=(480, 640))
    return _shown(drawn, {"matrix": [{"letter": "ABCDEFGH"[answer]}]})


def figure(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """A problem of plane geometry: problems, solutions and labels are in ``words.yaml``."""
    kind = pick(rng, sorted(FIGURES))
    corners, x, y, answer = FIGURES[kind](rng)
    names = sample(rng, ascii_uppercase, len(corners))
    slots = {"names": names, "x": x, "y": y, "answer": answer, "word": "".join(names)}
    wanted = WORDS["figures"][kind]
    told = {key: wanted[key].format(**slots) for key in ("problem", "steps", "seen")}
    labels = [(text.format(**slots), at) for text, at in wanted["labels"]]
    folder = ("geo3k", "geoqa_plus")[i % 2]
    path = options["named"].format(folder=folder, i=i // 2) if "named" in options else None
    drawn = _polygon(np.array(corners, float), names, labels)
    return _shown(drawn, {"figure": [{**told, "answer": str(answer)}]}, path)


def _polygon(corners: Any, names: list[str], labels: list[tuple[str, list[int]]]) -> Diagram:
    """A polygon as large as the picture allows.

    Args:
        corners: count x 2, y upwards.
        labels: a text with the number of the corner in which, or of both ends of the side at
            which it stands.
    """
    low, high = corners.min(axis=0), corners.max(axis=0)
    scale = min(270 / (high - low)[0], 190 / (high - low)[1])
    middle = corners.mean(axis=0)
    spots = (corners - middle) * (scale, -scale)

    def node(text: str, at: list[int], out: float) -> Node:
        x, y = spots[at].mean(axis=0) * out + (200, 170)
        return Node(text, (float(x), float(y)), text=18)

    count = len(corners)
    nodes = [node("", [k], 1) for k in range(count)]
    nodes += [node(name, [k], 1.16) for k, name in enumerate(names)]
    nodes += [node(text, at, 0.66 if len(at) == 1 else 1.3) for text, at in labels]
    edges = tuple(Edge(k, (k + 1) % count, plain=True) for k in range(count))
    return Diagram(tuple(nodes), edges, size=(400, 340))


Figure = tuple[list[Point], int, int, int]  # corners, two numbers that are given, the answer


def _triangle(rng: Rng) -> Figure:
    x, y = int(rng.integers(35, 80)), int(rng.integers(35, 80))
    side = math.sin(math.radians(y)) / math.sin(math.radians(x + y))
    top = (side * math.cos(math.radians(x)), side * math.sin(math.radians(x)))
    return [(0, 0), (1, 0), top], x, y, 180 - x - y


def _rectangle(rng: Rng) -> Figure:
    x, y = int(rng.integers(6, 19)), int(rng.integers(3, 11))
    return [(0, 0), (x, 0), (x, y), (0, y)], x, y, 2 * (x + y)


def _right(rng: Rng) -> Figure:
    x, y, longest = pick(rng, WORDS["right triangles"])
    return [(0, 0), (y, 0), (0, x)], x, y, longest


FIGURES = {"triangle": _triangle, "rectangle": _rectangle, "right": _right}
MAKERS = {make.__name__: make for make in (cycle, web, flow, graph, icons, matrix, figure)}
