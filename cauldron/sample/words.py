"""Plain English for pages and questions: people, dates, sentences, and templates with slots.

A template is a text with slots in braces, or a list or mapping of texts. What fills a slot is
described in data, so that a page or a question needs no code of its own.
"""

from __future__ import annotations

from typing import Any

from cauldron.sample.data import load
from cauldron.sample.model import Rng, pick, sample

WORDS = load("words")
FIRST, LAST, TOWNS, FIRMS = (WORDS[key] for key in ("first", "last", "towns", "firms"))
MONTHS, DISHES, TOPICS = (WORDS[key] for key in ("months", "dishes", "topics"))


def person(rng: Rng) -> str:
    return f"{pick(rng, FIRST)} {pick(rng, LAST)}"


def date(rng: Rng) -> str:
    return f"{pick(rng, MONTHS)} {int(rng.integers(1, 29))}, {int(rng.integers(1968, 2016))}"


def amount(rng: Rng, low: int, high: int) -> str:
    return f"{int(rng.integers(low, high)):,}"


def sentences(rng: Rng, count: int, topic: str = "") -> list[str]:
    """`count` sentences on one topic; no pattern comes again before all were used."""
    patterns = TOPICS[topic or pick(rng, sorted(TOPICS))]
    order: list[str] = []
    while len(order) < count:
        order += sample(rng, patterns, len(patterns))
    return [
        pattern.format(
            noun=pick(rng, WORDS["nouns"]),
            town=pick(rng, TOWNS),
            firm=pick(rng, FIRMS),
            month=pick(rng, MONTHS),
            person=person(rng),
            day=int(rng.integers(2, 28)),
            small=int(rng.integers(3, 40)),
            amount=amount(rng, 1200, 90000),
        )
        for pattern in order[:count]
    ]


def prose(rng: Rng, count: int, topic: str = "") -> str:
    return " ".join(sentences(rng, count, topic))


def filled(template: Any, slots: dict[str, Any]) -> Any:
    """A template, or everything in a list or mapping of templates, with its slots filled."""
    if isinstance(template, str):
        return template.format_map(slots)
    if isinstance(template, list):
        return [filled(part, slots) for part in template]
    if isinstance(template, dict):
        return {key: filled(part, slots) for key, part in template.items()}
    return template


def any_slots(rng: Rng, wanted: dict[str, Any]) -> dict[str, Any]:
    """Random values for slots.

    Args:
        wanted: by name, what fills the slot: a list of texts to pick from; ``from`` and ``to`` of
            whole numbers, with ``distinct`` for a list of so many; ``person``, ``date``,
            ``prose <count>`` or ``sentences <count>``; the name of a word list, with a count
            after it for a list of different words.
    """
    return {name: _slot(rng, value) for name, value in wanted.items()}


def _slot(rng: Rng, wanted: Any) -> Any:
    if isinstance(wanted, list):
        return pick(rng, wanted)
    if isinstance(wanted, dict):
        numbers = range(wanted["from"], wanted["to"] + 1)
        if "distinct" in wanted:
            return [str(n) for n in rng.choice(numbers, wanted["distinct"], replace=False)]
        return f"{pick(rng, numbers):,}"
    kind, *count = wanted.split()
    if kind in ("person", "date"):
        return {"person": person, "date": date}[kind](rng)
    if kind in ("prose", "sentences"):
        return {"prose": prose, "sentences": sentences}[kind](rng, int(count[0]))
    return sample(rng, WORDS[kind], int(count[0])) if count else pick(rng, WORDS[kind])
