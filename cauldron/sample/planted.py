"""What is planted: copies, near duplicates, odd pictures and broken rows.

``data/planted.yaml`` says where. Everything planted comes after a source's ordinary rows and on
top of their number.
"""

from __future__ import annotations

from dataclasses import replace

from cauldron.sample import poison
from cauldron.sample.model import Fate, Item, Turn, load

PLANTED = load("planted")
CHANGES: dict[str, str] = PLANTED["changes"]


def extra_rows(source: str, items: list[Item], every: dict[str, list[Item]]) -> list[Item]:
    """The planted rows of a source.

    Args:
        items: its ordinary rows.
        every: the ordinary rows of all sources.
    """

    def row(rows: list[Item], number: int) -> Item:
        return rows[number % len(rows)]

    planted = [_copy(row(items, number)) for number in PLANTED["copies"].get(source, ())]
    planted += [_slip(row(items, number)) for number in PLANTED["slips"].get(source, ())]
    for number, change in PLANTED["near"].get(source, ()):
        planted.append(_near(row(items, number), CHANGES[change]))
    for origin, number, change in PLANTED["across"].get(source, ()):
        planted.append(_near(row(every[origin], number), CHANGES[change]))
    for number, what in enumerate(PLANTED["odd"].get(source, ()), 8):
        planted.append(poison.odd(row(items, number), what))
    for number, what in enumerate(PLANTED["rows"].get(source, ()), 12):
        planted.append(poison.spoiled(_one_turn(row(items, number)), what))
    return planted


def _copy(item: Item) -> Item:
    return replace(item, fate=Fate("merged", "exact_copy"), plant="exact copy")


def _slip(item: Item) -> Item:
    turns: list[Turn] = [
        ((user or "").replace("?", "?.", 1), answer) for user, answer in item.turns
    ]
    return replace(item, turns=turns, fate=Fate("merged", "exact_copy"), plant='copy with "?."')


def _near(item: Item, change: str) -> Item:
    first = poison.altered(item.pictures[0], change)
    return replace(item, pictures=[first, *item.pictures[1:]], plant=f"near duplicate: {change}")


def _one_turn(item: Item) -> Item:
    """Spoiled rows stay small, and never equal an ordinary one."""
    if not item.turns:
        return item
    user, answer = item.turns[0]
    return replace(item, turns=[(f"{user} Please check." if user else user, answer)])
