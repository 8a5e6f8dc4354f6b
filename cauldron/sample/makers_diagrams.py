"""One diagram of a row with what can be said about it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from cauldron.sample.draw import diagram
from cauldron.sample.draw.diagram import Angle, Diagram, Edge, Node, on_circle
from cauldron.sample.draw.ink import NAMED, WHITE, Point, mix
from cauldron.sample.model import Facts, Rng, pick, png, sample
from cauldron.sample.studio import Shown, Studio
from cauldron.sample.words import WORDS

Options = dict[str, Any]
ICONS = ("star", "heart", "fish", "moon", "boat", "tree")
GREEN, BLUE, SAND, ROSE = (206, 232, 210), (214, 226, 244), (250, 236, 200), (246, 216, 214)


def _shown(drawn: Diagram, facts: Facts, path: str | None = None) -> Shown:
    return Shown([png(diagram.draw(drawn), path)], facts)


def cycle(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    title = pick(rng, sorted(WORDS["cycles"]))
    stages = WORDS["cycles"][title]
    edges = [(k, (k + 1) % len(stages)) for k in range(len(stages))]
    return _circle(stages, edges, title, "follows", rng)


def web(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """A food web: an arrow runs from what is eaten to what eats it."""
    names = ["grass", *sample(rng, WORDS["eaters"], 5)]
    edges = [(0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 5)] + [(2, 3)] * int(rng.integers(2))
    return _circle(names, edges, "Food web", "eats", rng)


def _circle(
    names: list[str], edges: list[tuple[int, int]], title: str, kind: str, rng: Rng
) -> Shown:
    base = NAMED[pick(rng, ("green", "blue", "orange", "purple", "brown", "cyan"))]
    fills = [mix(base, WHITE, 0.35 + 0.4 * k / len(names)) for k in range(len(names))]
    nodes = on_circle(names, float(rng.uniform(0, 6.28)), fills)
    drawn = Diagram(nodes, tuple(Edge(a, b) for a, b in edges), title=title)
    return _shown(drawn, {kind: diagram.facts(drawn, rng)})


def parts(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """A plant or a cell with its parts labelled."""
    subject = pick(rng, sorted(WORDS["parts"]))
    named = sample(rng, WORDS["parts"][subject], 4)
    fill = NAMED[pick(rng, ("green", "blue", "orange", "purple"))]
    nodes, edges = [Node("", (230, 230), subject, (165, 170), fill)], []
    for row, (name, x, y, _) in enumerate(sorted(named, key=lambda part: float(part[2]))):
        label = Node(name, (470, 90 + 80 * row), half=(42, 12))
        nodes += [Node("", (65 + 330 * x, 60 + 340 * y)), label]
        edges.append(Edge(len(nodes) - 2, len(nodes) - 1, plain=True))
    names = [name for name, *_ in named]
    facts = [{"name": name, "what": what, "others": names} for name, _, _, what in named]
    drawn = Diagram(tuple(nodes), tuple(edges), title=f"Parts of a {subject}", size=(540, 420))
    return _shown(drawn, {"part": facts})


def flow(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """A flow chart: steps in order, then one decision."""
    title, steps, question, otherwise, last = WORDS["flows"][i % len(WORDS["flows"])]
    title, end = f"{title} {i + 1}", len(steps) + 1
    y = 80 + 76 * end
    nodes = [Node("Start", (210, 70), "oval", (80, 22), GREEN)]
    nodes += [Node(s, (210, 146 + 76 * k), "box", (90, 22), BLUE) for k, s in enumerate(steps)]
    nodes.append(Node(question, (210, y), "diamond", (110, 40), SAND))
    nodes.append(Node(last, (210, y + 92), "oval", (90, 22), GREEN))
    nodes.append(Node(otherwise, (404, y), "box", (50, 22), ROSE, 13))
    edges = [Edge(k, k + 1) for k in range(end)]
    edges += [Edge(end, end + 1, "Yes"), Edge(end, end + 2, "No")]
    fact = {"title": title, "chain": " -> ".join((*steps, question))}
    drawn = Diagram(tuple(nodes), tuple(edges), title=title, size=(470, y + 130))
    return _shown(drawn, {"flow": [{**fact, "last": last, "otherwise": otherwise}]})


def graph(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """A directed graph and the TikZ code that draws it; on a circle no three nodes are in line."""
    count, letter = int(rng.integers(4, 8)), pick(rng, ("x", "v", "a", "s"))
    start = float(rng.uniform(0, 6.28))
    turns = [start + 2 * math.pi * k / count for k in range(count)]
    spots = [(round(2 + 2 * math.cos(t), 1), round(2 + 2 * math.sin(t), 1)) for t in turns]
    pairs = sample(rng, [(a, b) for a in range(count) for b in range(a + 1, count)], count)
    nodes = tuple(
        Node(f"{letter}{k}", (60 + 70 * x, 340 - 70 * y), "oval", (21, 21), text=18)
        for k, (x, y) in enumerate(spots)
    )
    lines = ["\\documentclass[tikz]{standalone}", "\\begin{document}", "\\begin{tikzpicture}"]
    for k, (x, y) in enumerate(spots):
        lines.append(f"  \\node[draw, circle] (n{k}) at ({x}, {y}) {{${letter}_{k}$}};")
    lines += [f"  \\draw[->, thick] (n{a}) -- (n{b});" for a, b in pairs]
    code = "\n".join([*lines, "\\end{tikzpicture}", "\\end{document}"])
    drawn = Diagram(nodes, tuple(Edge(a, b) for a, b in pairs), size=(400, 400))
    return _shown(drawn, {"graph": [{"code": code}]})


def icons(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """Icons to count, in rows of five."""
    kind, count = ICONS[i % len(ICONS)], int(rng.integers(3, 16))
    fill, step = NAMED[pick(rng, [name for name in NAMED if name != "white"])], 88
    spots = [(74 + k % 5 * step, 70 + k // 5 * step) for k in range(count)]
    drawn = Diagram(
        tuple(Node("", spot, kind, (32, 32), fill) for spot in spots),
        size=(500, 50 + -(-count // 5) * step),
    )
    fact = {"plural": "fish" if kind == "fish" else f"{kind}s", "count": str(count)}
    return _shown(drawn, {"asked" if i % 2 else "counted": [fact]})


Cell = tuple[int, int, int]  # index of a shape, of a shade, number of shapes
SHAPES, SHADES = ("3", "4", "5", "6", "oval"), (255, 205, 150, 90, 30)
SPOTS = ((), ((0, 0),), ((-1, 0), (1, 0)), ((-1, -1), (1, -1), (0, 1)))
FOUR = ((-1, -1), (1, -1), (-1, 1), (1, 1))


def any_matrix(rng: Rng) -> tuple[list[Cell], list[Cell], int]:
    """Nine cells under two rules, eight candidates for the last, and the number of the right one.

    Along a row the shape stays or steps on; the shade, the number or both step too.
    """
    shape, step, rule = int(rng.integers(5)), int(rng.integers(2)), int(rng.integers(3))
    shade, count = int(rng.integers(3)), int(rng.integers(1, 3))
    cells = [
        ((shape + row + step * k) % 5, shade + k * (rule != 1), count + k * (rule != 0))
        for row in range(3)
        for k in range(3)
    ]
    s, g, n = cells[8]
    other = n % 4 + 1
    wrong = [((s + 1) % 5, g, n), ((s + 3) % 5, g, n), (s, (g + 1) % 5, n), (s, (g + 3) % 5, n)]
    wrong += [(s, g, other), (s, (g + 2) % 5, other), ((s + 2) % 5, (g + 1) % 5, n)]
    candidates = sample(rng, [cells[8], *wrong], 8)
    return cells, candidates, candidates.index(cells[8])


def matrix(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    cells, candidates, answer = any_matrix(rng)
    nodes: list[Node] = []
    for k, cell in enumerate(cells):
        x, y = 130 + k % 3 * 110, 71 + k // 3 * 110
        nodes.append(Node("?" if k == 8 else "", (x, y), "box", (55, 55), text=48))
        nodes += _cell(cell, x, y) if k < 8 else []
    for k, cell in enumerate(candidates):
        x, y = 72 + k % 4 * 112, 428 + k // 4 * 132
        letter = Node("ABCDEFGH"[k], (x, y + 64), text=17)
        nodes += [Node("", (x, y), "box", (52, 52)), letter, *_cell(cell, x, y)]
    drawn = Diagram(tuple(nodes), size=(480, 640))
    return _shown(drawn, {"matrix": [{"letter": "ABCDEFGH"[answer]}]})


def _cell(cell: Cell, x: int, y: int) -> list[Node]:
    shape, shade, count = cell
    half, fill = (34, 34) if count == 1 else (18, 18), (SHADES[shade],) * 3
    spots = FOUR if count == 4 else SPOTS[count]
    return [Node("", (x + 23 * u, y + 23 * v), SHAPES[shape], half, fill) for u, v in spots]


def figure(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """A problem of plane geometry: problems and solutions are in ``words.yaml``."""
    kind = pick(rng, sorted(FIGURES))
    start = int(rng.integers(0, 18))
    names = [chr(ord("A") + start + k) for k in range(4 if kind == "rectangle" else 3)]
    drawn, x, y, answer = FIGURES[kind](rng, names)
    slots = {"names": names, "x": x, "y": y, "answer": answer, "word": "".join(names)}
    told = {key: text.format(**slots) for key, text in WORDS["figures"][kind].items()}
    folder = ("geo3k", "geoqa_plus")[i % 2]
    path = options["named"].format(folder=folder, i=i // 2) if "named" in options else None
    return _shown(drawn, {"figure": [{**told, "answer": str(answer)}]}, path)


Figure = tuple[Diagram, int, int, int]  # the drawing, two numbers that are given, the answer


def _polygon(corners: list[Point], names: list[str], *more: Node) -> Diagram:
    """A polygon with its corners named, each a little outside."""
    cx, cy = (sum(values) / len(corners) for values in zip(*corners, strict=True))
    named = [
        Node(name, (x + (x - cx) * 0.16, y + (y - cy) * 0.16), text=20)
        for name, (x, y) in zip(names, corners, strict=True)
    ]
    edges = tuple(Edge(k, (k + 1) % len(corners), plain=True) for k in range(len(corners)))
    return Diagram((*(Node("", at) for at in corners), *named, *more), edges, size=(400, 320))


def _triangle(rng: Rng, names: list[str]) -> Figure:
    x, y = int(rng.integers(35, 80)), int(rng.integers(35, 80))
    a, b = math.radians(x), math.radians(y)
    side = math.sin(b) / math.sin(a + b)
    long = min(280, 200 / (side * math.sin(a)))
    left, right = (200 - long / 2, 262.0), (200 + long / 2, 262.0)
    top = (left[0] + side * long * math.cos(a), 262 - side * long * math.sin(a))
    drawn = _polygon([left, right, top], names)
    angles = (Angle(0, 1, 2, f"{x}°"), Angle(1, 0, 2, f"{y}°"))
    return replace(drawn, angles=angles), x, y, 180 - x - y


def _rectangle(rng: Rng, names: list[str]) -> Figure:
    x, y = int(rng.integers(6, 19)), int(rng.integers(3, 11))
    scale = min(290 / x, 190 / y) / 2
    w, h = x * scale, y * scale
    corners = [(200 - w, 150 + h), (200 + w, 150 + h), (200 + w, 150 - h), (200 - w, 150 - h)]
    sides = (Node(f"{x} cm", (200, 166 + h), text=17), Node(f"{y} cm", (230 + w, 150), text=17))
    return _polygon(corners, names, *sides), x, y, 2 * (x + y)


def _right(rng: Rng, names: list[str]) -> Figure:
    x, y, z = pick(rng, WORDS["right triangles"])
    scale = min(280 / y, 210 / x)
    w, h, left = y * scale, x * scale, 200 - y * scale / 2
    corners = [(left, 265.0), (left + w, 265.0), (left, 265.0 - h)]
    spots = {str(y): (left + w / 2, 283), str(x): (left - 20, 265 - h / 2)}
    spots["x"] = (left + w / 2 + 16, 253 - h / 2)
    sides = (Node(name, at, text=18) for name, at in spots.items())
    return _polygon(corners, names, *sides), x, y, z


FIGURES = {"triangle": _triangle, "rectangle": _rectangle, "right": _right}
MAKERS = {make.__name__: make for make in (cycle, web, parts, flow, graph, icons, matrix, figure)}
