"""One diagram of a row with what can be said about it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from cauldron.sample.draw import diagram
from cauldron.sample.draw.diagram import Angle, Diagram, Edge, Node
from cauldron.sample.draw.ink import NAMED, WHITE, Point, mix
from cauldron.sample.model import Facts, Rng, pick, png, sample
from cauldron.sample.studio import Shown, Studio
from cauldron.sample.words import WORDS

Options = dict[str, Any]
ICONS = ("star", "heart", "fish", "moon", "boat", "tree")


def _shown(drawn: Diagram, facts: Facts, path: str | None = None) -> Shown:
    return Shown([png(diagram.draw(drawn), path)], facts)


def cycle(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    title = pick(rng, sorted(WORDS["cycles"]))
    stages = WORDS["cycles"][title]
    count, turn = len(stages), int(rng.integers(len(stages)))
    base = NAMED[pick(rng, ("green", "blue", "orange", "purple", "brown", "cyan"))]
    fills = [mix(base, WHITE, 0.35 + 0.4 * k / count) for k in range(count)]
    nodes = diagram.on_circle(stages[turn:] + stages[:turn], (260, 240), (165, 140), fills)
    edges = tuple(Edge(k, (k + 1) % count) for k in range(count))
    drawn = Diagram(nodes, edges, title=title)
    return _shown(drawn, {"follows": diagram.facts(drawn, rng)["arrow"]})


def web(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """A food web: an arrow runs from what is eaten to what eats it."""
    names = ["grass", *sample(rng, WORDS["eaters"], 5)]
    places = ((270, 370), (130, 280), (410, 280), (130, 170), (410, 170), (270, 84))
    tones = ["green", *(pick(rng, ("orange", "brown", "yellow", "cyan")) for _ in range(5))]
    nodes = tuple(
        Node(name, at, "oval", (54, 30), mix(NAMED[tone], WHITE, 0.55))
        for name, at, tone in zip(names, places, tones, strict=True)
    )
    pairs = [(0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 5)] + [(2, 3)] * int(rng.integers(2))
    edges = tuple(Edge(a, b) for a, b in pairs)
    drawn = Diagram(nodes, edges, title="Food web", size=(540, 430))
    return _shown(drawn, {"eats": diagram.facts(drawn, rng)["arrow"]})


def parts(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """A plant or a cell with its parts labelled."""
    subject = pick(rng, sorted(WORDS["parts"]))
    named = sample(rng, WORDS["parts"][subject], 4)
    nodes = [Node("", (230, 230), subject, (165, 170), NAMED["green"])]
    edges = []
    for row, (name, x, y, _) in enumerate(sorted(named, key=lambda part: float(part[2]))):
        nodes += [
            Node("", (65 + 330 * x, 60 + 340 * y)),
            Node(name, (470, 90 + 80 * row), half=(42, 12)),
        ]
        edges.append(Edge(len(nodes) - 2, len(nodes) - 1, plain=True))
    names = [name for name, *_ in named]
    facts = [{"name": name, "what": what, "others": names} for name, _, _, what in named]
    drawn = Diagram(tuple(nodes), tuple(edges), title=f"Parts of a {subject}", size=(540, 420))
    return _shown(drawn, {"part": facts})


def flow(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """A flow chart: steps in order, then one decision."""
    title, steps, question, otherwise, last = WORDS["flows"][i % len(WORDS["flows"])]
    title, green = f"{title} {i + 1}", (206, 232, 210)
    nodes = [Node("Start", (210, 70), "oval", (80, 22), green)]
    for step in steps:
        nodes.append(Node(step, (210, 70 + 76 * len(nodes)), "box", (90, 22), (214, 226, 244)))
    y = 80 + 76 * len(nodes)
    nodes.append(Node(question, (210, y), "diamond", (110, 40), (250, 236, 200)))
    nodes.append(Node(last, (210, y + 92), "oval", (90, 22), green))
    nodes.append(Node(otherwise, (404, y), "box", (50, 22), (246, 216, 214), 13))
    decision = len(nodes) - 3
    edges = [Edge(k, k + 1) for k in range(decision)]
    edges += [Edge(decision, decision + 1, "Yes"), Edge(decision, decision + 2, "No")]
    chain = " -> ".join((*steps, question))
    fact = {"title": title, "chain": chain, "last": last, "otherwise": otherwise}
    return _shown(
        Diagram(tuple(nodes), tuple(edges), title=title, size=(470, y + 130)), {"flow": [fact]}
    )


def graph(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """A directed graph and the TikZ code that draws it."""
    count, letter = int(rng.integers(4, 8)), pick(rng, ("x", "v", "a", "s"))
    turns = [2 * math.pi * k / count for k in range(count)]  # on a circle no three are in line
    spots = [(round(2 + 2 * math.cos(t), 1), round(2 + 2 * math.sin(t), 1)) for t in turns]
    pairs = sample(rng, [(a, b) for a in range(count) for b in range(a + 1, count)], count)
    nodes = tuple(
        Node(f"{letter}{k}", (60 + 70 * x, 340 - 70 * y), "oval", (21, 21), text=18)
        for k, (x, y) in enumerate(spots)
    )
    drawn = Diagram(nodes, tuple(Edge(a, b) for a, b in pairs), size=(400, 400))
    lines = [
        f"  \\node[draw, circle] (n{k}) at ({x}, {y}) {{${letter}_{k}$}};"
        for k, (x, y) in enumerate(spots)
    ]
    lines += [f"  \\draw[->, thick] (n{a}) -- (n{b});" for a, b in pairs]
    head = "\\documentclass[tikz]{standalone}\n\\begin{document}\n\\begin{tikzpicture}"
    code = "\n".join([head, *lines, "\\end{tikzpicture}\n\\end{document}"])
    return _shown(drawn, {"graph": [{"code": code}]})


def icons(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """Icons to count, in rows of five."""
    kind, count = ICONS[i % len(ICONS)], int(rng.integers(3, 16))
    fill = NAMED[pick(rng, [name for name in NAMED if name != "white"])]
    nodes = tuple(
        Node("", (74 + k % 5 * 88, 70 + k // 5 * 88), kind, (32, 32), fill) for k in range(count)
    )
    fact = {"plural": "fish" if kind == "fish" else f"{kind}s", "count": str(count)}
    drawn = Diagram(nodes, size=(500, 50 + -(-count // 5) * 88))
    return _shown(drawn, {"counted": [], "asked": [], ("asked" if i % 2 else "counted"): [fact]})


Cell = tuple[int, int, int]  # index of a shape, of a shade, number of shapes
SHAPES = ("3", "4", "5", "6", "oval")
SHADES = (255, 205, 150, 90, 30)


def any_matrix(rng: Rng) -> tuple[list[Cell], list[Cell], int]:
    """Nine cells under two rules, eight candidates for the last, and the number of the right one.

    Along a row the shape stays or steps on; the shade, the number or both step too.
    """
    shape, step, rule = int(rng.integers(5)), int(rng.integers(2)), int(rng.integers(3))
    shade, count = int(rng.integers(3)), int(rng.integers(1, 3))
    cells = [
        (
            (shape + row + step * column) % 5,
            shade + (column if rule in (0, 2) else 0),
            count + (column if rule in (1, 2) else 0),
        )
        for row in range(3)
        for column in range(3)
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
        middle = (130 + k % 3 * 110, 71 + k // 3 * 110)
        nodes.append(Node("?" if k == 8 else "", middle, "box", (55, 55), text=48))
        nodes += _cell(cell, middle) if k < 8 else []
    for k, cell in enumerate(candidates):
        middle = (72 + k % 4 * 112, 428 + k // 4 * 132)
        nodes.append(Node("", middle, "box", (52, 52)))
        nodes.append(Node("ABCDEFGH"[k], (middle[0], middle[1] + 64), text=17))
        nodes += _cell(cell, middle)
    drawn = Diagram(tuple(nodes), size=(480, 640))
    return _shown(drawn, {"matrix": [{"letter": "ABCDEFGH"[answer]}]})


def _cell(cell: Cell, middle: Point) -> list[Node]:
    shape, shade, count = cell
    spots = {1: [(0, 0)], 2: [(-1, 0), (1, 0)], 3: [(-1, -1), (1, -1), (0, 1)]}.get(
        count, [(-1, -1), (1, -1), (-1, 1), (1, 1)]
    )
    reach = 34 if count == 1 else 18
    fill = (SHADES[shade],) * 3
    return [
        Node("", (middle[0] + 23 * x, middle[1] + 23 * y), SHAPES[shape], (reach, reach), fill)
        for x, y in spots
    ]


def figure(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """A problem of plane geometry."""
    start = int(rng.integers(0, 18))
    names = [chr(ord("A") + start + k) for k in range(3)]
    kind = pick(rng, (_triangle, _circle, _rectangle, _right))
    drawn, fact = kind(rng, names)
    path = options["named"].format(i=i) if "named" in options else None
    return _shown(drawn, {"figure": [fact]}, path)


Figure = tuple[Diagram, dict[str, str]]
RIGHT = ((3, 4, 5), (5, 12, 13), (6, 8, 10), (8, 15, 17), (9, 12, 15), (20, 21, 29), (7, 24, 25))


def _figure(corners: list[Point], names: list[str], more: tuple[Node, ...] = ()) -> Diagram:
    """A polygon with its corners named, each a little outside."""
    cx, cy = (sum(values) / len(corners) for values in zip(*corners, strict=True))
    named = [
        Node(name, (x + (x - cx) * 0.16, y + (y - cy) * 0.16), text=20)
        for name, (x, y) in zip(names, corners, strict=True)
    ]
    nodes = (*(Node("", at) for at in corners), *named, *more)
    edges = tuple(Edge(k, (k + 1) % len(corners), plain=True) for k in range(len(corners)))
    return Diagram(nodes, edges, size=(400, 320))


def _fact(problem: str, steps: str, answer: int, seen: str, names: list[str]) -> dict[str, str]:
    points = f"{seen} with the points {', '.join(names)}"
    return {"problem": problem, "steps": steps, "answer": str(answer), "seen": points}


def _triangle(rng: Rng, names: list[str]) -> Figure:
    x, y = int(rng.integers(35, 80)), int(rng.integers(35, 80))
    a, b = math.radians(x), math.radians(y)
    reach = math.sin(b) / math.sin(math.pi - a - b)
    scale = min(280, 200 / (reach * math.sin(a)))
    left, right = (200 - scale / 2, 262.0), (200 + scale / 2, 262.0)
    top = (left[0] + reach * scale * math.cos(a), 262 - reach * scale * math.sin(a))
    drawn = _figure([left, right, top], names)
    angles = (Angle(0, 1, 2, f"{x}°"), Angle(1, 0, 2, f"{y}°"))
    problem = (
        f"In triangle {''.join(names)} the angle at {names[0]} is {x} degrees, that at {names[1]} "
        f"is {y} degrees. How large is the angle at {names[2]}?"
    )
    steps = f"The angles add up to 180 degrees, so the third is 180 - {x} - {y} = {180 - x - y}."
    fact = _fact(problem, steps, 180 - x - y, "a triangle with two known angles", names)
    return replace(drawn, angles=angles), fact


def _circle(rng: Rng, names: list[str]) -> Figure:
    x, r = int(rng.integers(25, 71)), 110
    turns = (math.pi / 2 + math.radians(x), math.pi / 2 - math.radians(x))
    third = -math.pi / 2 + float(rng.uniform(-0.4, 0.4))
    rim = [(200 + r * math.cos(t), 160 + r * math.sin(t)) for t in (*turns, third)]
    named = [
        Node(name, (200 + (px - 200) * 1.15, 160 + (py - 160) * 1.15), text=19)
        for name, (px, py) in zip(names, rim, strict=True)
    ]
    nodes = (*(Node("", at) for at in rim), Node("", (200, 160), "ring", (r, r)), *named)
    nodes = (*nodes, Node("O", (214, 146), text=18))
    pairs = ((0, 3), (1, 3), (0, 2), (1, 2))
    edges = tuple(Edge(a, b, plain=True) for a, b in pairs)
    angles = (Angle(3, 0, 1, f"{2 * x}°"), Angle(2, 0, 1, "x"))
    problem = (
        f"O is the centre of the circle, and the angle {names[0]}O{names[1]} is {2 * x} degrees. "
        f"Find the angle x at {names[2]}."
    )
    steps = f"An inscribed angle is half of the central angle: x = {2 * x} / 2 = {x}."
    fact = _fact(problem, steps, x, "a circle with a central and an inscribed angle", names)
    return Diagram(nodes, edges, angles, size=(400, 320)), fact


def _rectangle(rng: Rng, names: list[str]) -> Figure:
    long, short = int(rng.integers(6, 19)), int(rng.integers(3, 11))
    names = [*names, chr(ord(names[-1]) + 1)]
    scale = min(290 / long, 190 / short) / 2
    w, h = long * scale, short * scale
    corners = [(200 - w, 150 + h), (200 + w, 150 + h), (200 + w, 150 - h), (200 - w, 150 - h)]
    sides = (
        Node(f"{long} cm", (200, 166 + h), text=17),
        Node(f"{short} cm", (230 + w, 150), text=17),
    )
    problem = (
        f"The rectangle {''.join(names)} has sides of {long} cm and {short} cm. "
        "What is its perimeter in cm?"
    )
    total = 2 * (long + short)
    steps = f"The perimeter is 2 * ({long} + {short}) = {total}."
    fact = _fact(problem, steps, total, "a rectangle with labelled sides", names)
    return _figure(corners, names, sides), fact


def _right(rng: Rng, names: list[str]) -> Figure:
    a, b, c = pick(rng, RIGHT)
    scale = min(280 / b, 210 / a)
    w, h, left = b * scale, a * scale, 200 - b * scale / 2
    corners = [(left, 265.0), (left + w, 265.0), (left, 265.0 - h)]
    sides = (
        Node(str(b), (left + w / 2, 283), text=18),
        Node(str(a), (left - 20, 265 - h / 2), text=18),
        Node("x", (left + w / 2 + 16, 253 - h / 2), text=18, ink=diagram.RED),
    )
    problem = (
        f"Triangle {''.join(names)} has a right angle at {names[0]}, and its legs are {a} and {b}. "
        "Find the hypotenuse x."
    )
    steps = f"By Pythagoras x is the root of {a}^2 + {b}^2 = {c * c}, so x = {c}."
    fact = _fact(problem, steps, c, "a right triangle with labelled legs", names)
    return _figure(corners, names, sides), fact


MAKERS = {
    "cycle": cycle,
    "web": web,
    "parts": parts,
    "flow": flow,
    "graph": graph,
    "icons": icons,
    "matrix": matrix,
    "figure": figure,
}
