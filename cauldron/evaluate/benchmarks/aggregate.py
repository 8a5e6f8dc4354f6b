"""From scores of items to the scores of a benchmark: overall, and by what tells items apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

OVERALL = "overall"


@dataclass(frozen=True)
class Scored:
    """An item's score.

    Attributes:
        id: of the item.
        score: 0 to 1.
        meta: of the item.
    """

    id: str
    score: float
    meta: Mapping[str, str] = field(default_factory=dict)


class Score(NamedTuple):
    """A mean.

    Attributes:
        value: 0 to 1.
        size: the number of units it is the mean of.
    """

    value: float
    size: int


def by_item(rows: Iterable[Scored]) -> list[Scored]:
    """The units of most benchmarks: items, sorted by id, so that no sum depends on their order."""
    return sorted(rows, key=lambda row: row.id)


def by_group(rows: Iterable[Scored]) -> list[Scored]:
    """The units of MMBench: a question counts if it is answered with its choices in every order."""
    groups: dict[str, list[Scored]] = defaultdict(list)
    for row in by_item(rows):
        groups[row.meta.get("group", row.id)].append(row)
    units = (
        Scored(name, min(row.score for row in found), found[0].meta)
        for name, found in groups.items()
    )
    return by_item(units)


def means(units: Sequence[Scored], keys: Sequence[str]) -> dict[str, Score]:
    """The mean of all units as ``overall``, and for each key ``key/value``, sorted by name.

    Args:
        keys: of `meta`; a unit without one is only in the others.
    """
    groups: dict[str, list[float]] = defaultdict(list)
    for unit in units:
        groups[OVERALL].append(unit.score)
        for key in keys:
            if value := unit.meta.get(key):
                groups[f"{key}/{value}"].append(unit.score)
    overall = {OVERALL: groups.pop(OVERALL)} if units else {}
    return {
        name: Score(sum(scores) / len(scores), len(scores))
        for name, scores in {**overall, **dict(sorted(groups.items()))}.items()
    }
