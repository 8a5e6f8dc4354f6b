"""Rows of the nine text-only sets, from their descriptions in ``data/texts.yaml``.

Every question is made of its own numbers, so none repeats.
"""

from __future__ import annotations

from typing import Any

from cauldron.sample.model import Item, Rng, Turn, load, pick
from cauldron.sample.studio import Studio
from cauldron.sample.words import WORDS, any_slots, filled, sentences

SETS = load("texts")
Slots = dict[str, Any]


def _story(rng: Rng) -> Slots:
    """A word problem."""
    boxes, each, gone = (int(rng.integers(*span)) for span in ((3, 40), (4, 60), (2, 12)))
    slots = {"who": pick(rng, WORDS["first"]), "thing": pick(rng, WORDS["things"]), "gone": gone}
    slots |= {"boxes": boxes, "each": each, "first": boxes * each, "result": boxes * each - gone}
    return {**slots, **filled(WORDS["story"], slots)}


def _equation(rng: Rng) -> Slots:
    a, x, b = int(rng.integers(2, 30)), int(rng.integers(-40, 60)), int(rng.integers(1, 300))
    slots = {"a": a, "b": b, "result": x, "product": a * x, "sum": a * x + b}
    return {**slots, **filled(WORDS["equation"], slots)}


def _sum(rng: Rng) -> Slots:
    a, b = int(rng.integers(100, 10**6)), int(rng.integers(10, 10**4))
    named = (("+", "sum", a + b), ("-", "difference", a - b), ("*", "product", a * b))
    sign, word, result = pick(rng, named)
    return {"asked": f"{a} {sign} {b}", "word": word, "result": result}


def _text(rng: Rng) -> Slots:
    told = sentences(rng, 5)
    subject = {"town": "towns", "firm": "firms", "edition": {"from": 1000, "to": 999_999}}
    return {"told": told, "all": " ".join(told), **any_slots(rng, subject)}


KINDS = {"story": _story, "equation": _equation, "sum": _sum, "text": _text}


def items(name: str, studio: Studio, rng: Rng) -> list[Item]:
    """The ordinary rows of a text-only set."""
    return [_item(SETS[name], rng, i) for i in range(studio.rows)]


def _item(wanted: dict[str, Any], rng: Rng, i: int) -> Item:
    turns: list[Turn] = []
    slots: Slots = {}
    for number in range(_of_row(wanted.get("turns", 1), i)):
        slots = {"i": i, **KINDS[_of_row(wanted["kinds"], i + number)](rng)}
        question, answer = (filled(_of_row(wanted[key], i), slots) for key in ("q", "a"))
        turns.append((question, answer))
    extra = {key: _of_row(value, i) for key, value in wanted.get("extra", {}).items()}
    return Item([], turns, {key: filled(v, slots) for key, v in extra.items() if v is not None})


def _of_row(value: Any, i: int) -> Any:
    """Entries of a list take turns."""
    return value[i % len(value)] if isinstance(value, list) else value
