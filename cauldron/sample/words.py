"""Plain English for pages and questions: people, dates, sentences, and templates with slots.

A template is a text with slots in braces, or a list or mapping of texts. What fills a slot is
described in data, so that a page or a question needs no code of its own.
"""

from __future__ import annotations

from typing import Any

from cauldron.sample.model import Rng, load, pick, sample

WORDS = load("words")
TOWNS, FIRMS, MONTHS, TOPICS = (WORDS[key] for key in ("towns", "firms", "months", "topics"))


def person(rng: Rng) -> str:
    return f"{pick(rng, WORDS['first'])} {pick(rng, WORDS['last'])}"


def date(rng: Rng) -> str:
    return f"{pick(rng, MONTHS)} {int(rng.integers(1, 29))}, {int(rng.integers(1968, 2016))}"


def amount(rng: Rng, low: int, high: int) -> str:
    return f"{int(rng.integers(low, high)):,}"


def sentences(rng: Rng, count: int) -> list[str]:
    """`count` sentences on one topic; no pattern comes again before all were used."""
    patterns = TOPICS[pick(rng, sorted(TOPICS))]
    order: list[str] = []
    while len(order) < count:
        order += sample(rng, patterns, len(patterns))
    return [filled(pattern, any_slots(rng, WORDS["sentences"])) for pattern in order[:count]]


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
            whole numbers; ``person``, ``date`` or ``sentences <count>``; the name of a word
            list, with a count after it for a list of different words.
    """
    return {name: _slot(rng, value) for name, value in wanted.items()}


def _slot(rng: Rng, wanted: Any) -> Any:
    if isinstance(wanted, list):
        return pick(rng, wanted)
    if isinstance(wanted, dict):
        value = pick(rng, range(wanted["from"], wanted["to"] + 1))
        return f"{value:,}" if value > 9999 else str(value)
    if wanted in ("person", "date"):
        return {"person": person, "date": date}[wanted](rng)
    kind, *count = wanted.split()
    if kind == "sentences":
        return sentences(rng, int(count[0]))
    return sample(rng, WORDS[kind], int(count[0])) if count else pick(rng, WORDS[kind])
