"""Rows of the sets about drawn things: CLEVR, RAVEN, textbook diagrams, icons, TikZ."""

from __future__ import annotations

from cauldron.sample import draw_clevr
from cauldron.sample import draw_diagrams as diagrams
from cauldron.sample.draw_diagrams import Flow, Graph
from cauldron.sample.draw_icons import SHAPES, draw_icons
from cauldron.sample.draw_raven import any_matrix, draw_matrix
from cauldron.sample.ink import NAMED, pick, png, sample
from cauldron.sample.model import Item, Picture, Rng, Turn
from cauldron.sample.solids import Solid
from cauldron.sample.studio import Studio
from cauldron.sample.words import brief, choices, closed, yes_no


def _clevr_turns(solids: list[Solid], rng: Rng) -> list[Turn]:
    shape, color = pick(rng, draw_clevr.SHAPES), pick(rng, solids).color
    material = pick(rng, ("metal", "rubber"))
    big = draw_clevr.count(solids, size="large")
    left = min(solids, key=lambda solid: solid.x)
    return [
        (brief(rng, f"How many {shape}s are there?"), f"{draw_clevr.count(solids, shape=shape)}."),
        (
            brief(rng, f"What number of objects are {color}?"),
            f"{draw_clevr.count(solids, color=color)}.",
        ),
        (
            brief(rng, f"Are there more {material} things than {shape}s?"),
            yes_no(
                draw_clevr.count(solids, material=material) > draw_clevr.count(solids, shape=shape)
            ),
        ),
        (brief(rng, "What is the shape of the object farthest to the left?"), closed(left.shape)),
        (brief(rng, "How many large objects are in the scene?"), f"{big}."),
    ]


def clevr(studio: Studio, rng: Rng) -> list[Item]:
    return [Item([picture], _clevr_turns(solids, rng)) for solids, picture in studio.clevr]


def clevr_math(studio: Studio, rng: Rng) -> list[Item]:
    """Only the path is published: the pixels are CLEVR's."""
    items = []
    for solids, picture in studio.clevr:
        turns: list[Turn] = []
        for gone in sample(rng, solids, 2):
            left = draw_clevr.without(solids, color=gone.color, shape=gone.shape)
            question = f"Take away all {gone.color} {gone.shape}s. How many objects are left?"
            turns.append((brief(rng, question), f"{len(left)}."))
        path = f"/fsx/m4/clevr/CLEVR_v1.0/images/train/{picture.path}"
        items.append(Item([Picture(None, path, picture)], turns))
    return items


def raven(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for _ in range(studio.rows):
        matrix = any_matrix(rng)
        question = "Which of the figures A to H completes the matrix?\nReply with its letter."
        items.append(Item([png(draw_matrix(matrix))], [(question, "ABCDEFGH"[matrix.answer])]))
    return items


def iconqa(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for i in range(studio.rows):
        kind, count = sorted(SHAPES)[i % 6], int(rng.integers(3, 16))
        plural = {"fish": "fish"}.get(kind, f"{kind}s")
        question = f"How many {plural} are there?"
        near = [str(n) for n in range(max(count - 3, 1), count + 4) if n != count]
        turn = (brief(rng, question), f"{count}.")
        if i % 2:
            turn = choices(
                question, sample(rng, [str(count), *sample(rng, near, 2)], 3), str(count)
            )
        image = draw_icons(kind, count, pick(rng, sorted(NAMED)))
        items.append(Item([png(image)], [turn]))
    return items


def _cycle(rng: Rng) -> tuple[Graph, list[tuple[str, str]]]:
    title = pick(rng, sorted(diagrams.CYCLES))
    stages = diagrams.CYCLES[title]
    turn = int(rng.integers(len(stages)))
    nodes = stages[turn:] + stages[:turn]
    told = [
        (f"What comes right after {a}?", b)
        for a, b in zip(stages, stages[1:] + stages[:1], strict=True)
    ]
    return Graph(title, nodes, ()), told


def ai2d(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for i in range(studio.rows):
        turns: list[Turn] = []
        if i % 2:
            graph, told = _cycle(rng)
            image = diagrams.draw_cycle(graph, rng)
            for question, answer in told[:3]:
                others = [node for node in graph.nodes if node != answer][:3]
                turns.append(choices(question, sample(rng, [answer, *others], 4), answer))
        else:
            web = diagrams.any_food_web(rng)
            image = diagrams.draw_food_web(web, rng)
            turns = _food_turns(web, rng)
        items.append(Item([png(image)], turns))
    return items


def _food_turns(web: Graph, rng: Rng) -> list[Turn]:
    turns: list[Turn] = []
    for eaten, eater in sample(rng, web.edges, 2):
        wrong = [n for i, n in enumerate(web.nodes) if (eaten, i) not in web.edges and i != eaten][
            :3
        ]
        options = sample(rng, [web.nodes[eater], *wrong], len(wrong) + 1)
        turns.append(choices(f"What eats the {web.nodes[eaten]}?", options, web.nodes[eater]))
    options = sample(rng, list(web.nodes[:4]), 4)
    turns.append(choices("Which of these is a producer?", options, "grass"))
    return turns


def _labelled(rng: Rng) -> tuple[Picture, list[tuple[str, str]]]:
    subject, parts = pick(rng, (("plant", diagrams.PLANT), ("cell", diagrams.CELL)))
    shown = sample(rng, parts, 4)
    image = diagrams.draw_labelled([(name, spot) for name, spot, _ in shown], subject)
    return png(image), [(name, what) for name, _, what in shown]


def tqa(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for _ in range(studio.rows):
        picture, parts = _labelled(rng)
        turns: list[Turn] = []
        for name, what in parts[:2]:
            options = sample(rng, [n for n, _ in parts], 4)
            turns.append(choices(f"Which part is described? {what}", options, name))
        items.append(Item([picture], turns))
    return items


def scienceqa(studio: Studio, rng: Rng) -> list[Item]:
    lecture = (
        "Lecture: A cycle is a series of stages that repeats. An arrow leads to the next stage."
    )
    items = []
    for i in range(studio.rows):
        graph, told = _cycle(rng)
        question, answer = pick(rng, told)
        asked, reply = choices(question, sample(rng, list(graph.nodes), len(graph.nodes)), answer)
        hint = "\nHint: Follow the arrows." if i % 2 else ""
        items.append(
            Item([png(diagrams.draw_cycle(graph, rng))], [(f"{lecture}\n{asked}{hint}", reply)])
        )
    return items


def diagram_image_to_text(studio: Studio, rng: Rng) -> list[Item]:
    flows = (
        ("Order process", ("Take order", "Check stock"), "In stock?", "Reorder", "Ship parcel"),
        ("Login", ("Open page", "Enter password"), "Correct?", "Try again", "Show inbox"),
        (
            "Baking bread",
            ("Mix dough", "Let it rise", "Bake"),
            "Golden?",
            "Bake more",
            "Let it cool",
        ),
        ("Library loan", ("Find book", "Scan card"), "Card valid?", "Renew card", "Take book home"),
        ("Water plants", ("Touch soil", "Read gauge"), "Dry?", "Wait a day", "Pour water"),
    )
    items = []
    for i in range(studio.rows):
        title, steps, question, otherwise, last = flows[i % len(flows)]
        flow = Flow(f"{title} {i + 1}", steps, question, otherwise, last)
        chain = " -> ".join(("Start", *steps, question))
        text = f"The diagram shows {flow.title}: {chain}. If yes: {last}. If no: {otherwise}."
        asked = pick(rng, ("Put this diagram into words.", "Explain the flow chart."))
        items.append(Item([png(diagrams.draw_flow(flow))], [(asked, text)]))
    return items


def datikz(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for _ in range(studio.rows):
        count = int(rng.integers(4, 8))
        grid = [(x, y) for x in range(0, 6, 2) for y in range(0, 6, 2)]
        spots = sample(rng, grid, count)
        pairs = [(i, j) for i in range(count) for j in range(count) if i < j]
        letter = pick(rng, ("x", "v", "a", "s"))
        graph = Graph(
            "", tuple(f"{letter}{i}" for i in range(count)), tuple(sample(rng, pairs, count))
        )
        question = pick(rng, ("Write TikZ code for this figure.", "Which LaTeX code draws this?"))
        items.append(
            Item(
                [png(diagrams.draw_tikz(graph, spots))],
                [(question, diagrams.tikz_of(graph, spots))],
            )
        )
    return items
