"""Rows of the geometry sets: Inter-GPS, GeomVerse, Geo170K."""

from __future__ import annotations

from cauldron.sample.draw_geometry import Figure, any_figure, draw_figure
from cauldron.sample.ink import png, sample
from cauldron.sample.model import Item, Rng, Turn
from cauldron.sample.studio import Studio
from cauldron.sample.words import choices


def problem(figure: Figure) -> tuple[str, str]:
    """The problem a figure poses, and how it is solved."""
    a, b, c, d, e, f = figure.names
    if figure.kind == "triangle":
        x, y = figure.given
        return (
            f"In triangle {a}{b}{c} the angle at {a} is {x} degrees, that at {b} is {y} degrees. "
            f"How large is the angle at {c}?",
            "The angles of a triangle add up to 180 degrees, so the angle at "
            f"{c} is 180 - {x} - {y} = {figure.answer}.",
        )
    if figure.kind == "parallel":
        x = figure.given[0]
        return (
            f"The lines {a}{b} and {c}{d} are parallel, and {e}{f} crosses them. One marked angle "
            f"is {x} degrees. Find x.",
            "The marked angle and x are co-interior up to a vertical angle, "
            f"so x = 180 - {x} = {figure.answer}.",
        )
    if figure.kind == "circle":
        x = figure.given[0]
        return (
            f"O is the centre of the circle, and the angle {a}O{b} is {x} degrees. "
            f"Find the angle x at {c}.",
            "An inscribed angle is half of the central angle over the same arc: "
            f"x = {x} / 2 = {figure.answer}.",
        )
    x, y = figure.given
    if figure.kind == "rectangle":
        return (
            f"The rectangle {a}{b}{c}{d} has sides of {x} cm and {y} cm. "
            "What is its perimeter in cm?",
            f"The perimeter is 2 * ({x} + {y}) = {figure.answer}.",
        )
    return (
        f"Triangle {a}{b}{c} has a right angle at {a}, and its legs are {x} and {y}. "
        "Find the hypotenuse x.",
        f"By Pythagoras x is the root of {x}^2 + {y}^2 = {x * x + y * y}, so x = {figure.answer}.",
    )


def answers_near(answer: int, rng: Rng) -> list[str]:
    """The answer among three wrong ones, in random order."""
    near = [v for v in range(max(answer - 12, 1), answer + 13) if v != answer]
    return [str(v) for v in sample(rng, [answer, *sample(rng, near, 3)], 4)]


def intergps(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for _ in range(studio.rows):
        figure = any_figure(rng)
        turn = choices(problem(figure)[0], answers_near(figure.answer, rng), str(figure.answer))
        items.append(Item([png(draw_figure(figure, rng))], [turn]))
    return items


def geomverse(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for _ in range(studio.rows):
        figure = any_figure(rng)
        question, steps = problem(figure)
        reply = f"{steps} Therefore the final answer is {figure.answer}."
        items.append(Item([png(draw_figure(figure, rng))], [(question, reply)]))
    return items


def geo170k(studio: Studio, rng: Rng) -> list[Item]:
    """One item a picture; the layout spreads its turns over rows of the two splits."""
    items = []
    for i in range(-(-studio.rows // 3)):
        figure = any_figure(rng)
        folder = ("geo3k", "geoqa_plus")[i % 2]
        picture = png(draw_figure(figure, rng), f"{folder}/{i // 2}.png")
        question, steps = problem(figure)
        options = answers_near(figure.answer, rng)
        letter = "ABCD"[options.index(str(figure.answer))]
        listed = "\n".join(f"{name}: {value}" for name, value in zip("ABCD", options, strict=True))
        choose = (
            "Work out the solution first, then give the letter of the right choice in the form "
            f"Answer: xxx.\nQuestion:{question}\nChoices:\n{listed}"
        )
        look = f"{_seen(figure)} It is a plane figure drawn with straight edges and labels."
        turns: list[Turn] = [
            ("Describe the figure briefly.\n<image>", look),
            (f"<image>\n{choose}", f"{steps} So the answer is choice {letter}.\nAnswer:{letter}"),
            (
                f"<image>\nQuestion: {question}\nSolve it step by step.",
                f"{steps}\nAnswer: {figure.answer}",
            ),
        ]
        items.append(Item([picture], turns))
    return items


def _seen(figure: Figure) -> str:
    what = {
        "triangle": "a triangle with two known angles",
        "parallel": "two parallel lines and a line that crosses them",
        "circle": "a circle with a central and an inscribed angle",
        "rectangle": "a rectangle with labelled sides",
        "right": "a right triangle with labelled legs",
    }[figure.kind]
    points = 4 if figure.kind in ("rectangle", "parallel") else 3
    return f"The figure shows {what}. Its points are {', '.join(figure.names[:points])}."
