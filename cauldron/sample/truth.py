"""What is in the hub, and what a build with the default rules should make of it."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

from cauldron.sample.model import Picture, load
from cauldron.sample.publish.hub import Hub, Placed


def ground_truth(hub: Hub, rows: int) -> dict[str, Any]:
    """The content of ``ground_truth.json``."""
    sources: dict[str, list[Placed]] = defaultdict(list)
    for placed in hub.placed:
        sources[placed.source].append(placed)
    return {
        "seed": hub.seed,
        "rows": rows,
        "counting": load("planted")["counting"],
        "sources": {
            name: _expected(found, hub.notes.get(name, [])) for name, found in sources.items()
        },
        "duplicates": _exact_rows(hub) + _equal_and_near_pictures(hub),
        "planted": [
            {**_place(placed), "what": placed.item.plant, "outcome": placed.item.fate.outcome,
             "reason": placed.item.fate.reason}
            for placed in hub.placed if placed.item.plant
        ],
    }  # fmt: skip


def _expected(found: list[Placed], notes: list[str]) -> dict[str, Any]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    turns: Counter[str] = Counter()
    for placed in found:
        counts[placed.item.fate.outcome][placed.item.fate.reason] += placed.rows
        turns.update(placed.item.fate.turns)
    return {
        "published": sum(placed.rows for placed in found),
        "kept": sum(counts["kept"].values()),
        "merged": dict(counts["merged"]),
        "dropped": dict(counts["dropped"]),
        "quarantined": dict(counts["quarantined"]),
        "turns_dropped": dict(turns),
        "notes": notes,
    }


def _place(placed: Placed) -> dict[str, Any]:
    return {"source": placed.source, "file": placed.file, "row": placed.row}


def _pair(kind: str, change: str, a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "change": change, "a": a, "b": b}


def _exact_rows(hub: Hub) -> list[dict[str, Any]]:
    """Pairs of rows that a build merges as exact copies: the first one, and each further one."""
    first: dict[Any, dict[str, Any]] = {}
    pairs = []
    for placed in hub.placed:
        # Cleaning removes the slips of punctuation.
        turns = [
            ((user or "").replace("?.", "?"), answer or "") for user, answer in placed.item.turns
        ]
        key = (placed.source, tuple(placed.item.pictures), tuple(turns))
        if placed.item.fate.outcome == "kept":
            first.setdefault(key, _place(placed))
        elif placed.item.fate.reason == "exact_copy":
            pairs.append(_pair("exact_row", placed.item.plant, first[key], _place(placed)))
    return pairs


def _equal_and_near_pictures(hub: Hub) -> list[dict[str, Any]]:
    """Pairs of kept rows with the same picture, byte for byte, along each chain of equals; and
    pairs of an altered picture and the first kept row that holds the original."""
    chains: dict[str, list[dict[str, Any]]] = defaultdict(list)
    altered: list[tuple[Picture, dict[str, Any]]] = []
    for placed in hub.placed:
        for number, picture in enumerate(placed.item.pictures):
            place = {**_place(placed), "image": number}
            if placed.item.fate.outcome == "kept":
                chains[_digest(picture)].append(place)
            if picture.origin and picture.change:
                altered.append((picture, place))
    same = [_pair("same_picture", "none", *pair) for c in chains.values() for pair in pairwise(c)]
    return same + [
        _pair("near_picture", picture.change, chains[_digest(picture.origin)][0], place)
        for picture, place in altered
        if picture.origin
    ]


def _digest(picture: Picture) -> str:
    shown = picture.origin if picture.data is None and picture.origin else picture  # only a path
    assert shown.data is not None, f"{picture.path} has no bytes"
    return hashlib.sha256(shown.data).hexdigest()
