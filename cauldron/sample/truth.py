"""What is in the hub, and what a build with the default rules should make of it."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

from cauldron.sample.model import Picture
from cauldron.sample.publish import Hub, Placed
from cauldron.sample.publish_cauldron import stripped

COUNTING = (
    "One per published row: a row of a parquet file, a line of a JSON-lines file, an element of a "
    "JSON array, a JSON member of a zip. A shard that is absent, empty or has no footer counts as "
    "one; one whose footer can be read counts as the rows that its footer tells, and so does a "
    "ruined row group. Only the split and configuration that the mixture uses are counted (train; "
    "both splits of Geo170K). turns_dropped are turns left out of rows that are kept, and those "
    "of rows dropped as no_turns or bad_turn."
)


def ground_truth(hub: Hub, rows: int) -> dict[str, Any]:
    """The content of ``ground_truth.json``."""
    sources: dict[str, list[Placed]] = defaultdict(list)
    for placed in hub.placed:
        sources[placed.source].append(placed)
    return {
        "seed": hub.seed,
        "rows": rows,
        "counting": COUNTING,
        "sources": {
            name: _expected(found, hub.notes.get(name, [])) for name, found in sources.items()
        },
        "duplicates": _exact_rows(hub) + _same_pictures(hub) + _near_pictures(hub),
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


def _place(placed: Placed, image: int | None = None) -> dict[str, Any]:
    place: dict[str, Any] = {"source": placed.source, "file": placed.file, "row": placed.row}
    return place if image is None else {**place, "image": image}


def _exact_rows(hub: Hub) -> list[dict[str, Any]]:
    """Pairs of rows that a build merges as exact copies: the first one, and each further one."""
    pairs = []
    for placed in hub.placed:
        if placed.item.fate.reason == "exact_copy":
            first = next(other for other in hub.placed if _is_original(other, placed))
            pairs.append(
                {
                    "kind": "exact_row",
                    "change": placed.item.plant,
                    "a": _place(first),
                    "b": _place(placed),
                }
            )
    return pairs


def _is_original(other: Placed, copy: Placed) -> bool:
    if other.source != copy.source or other.item.fate.outcome != "kept":
        return False
    return other.item.pictures == copy.item.pictures and _cleaned(other) == _cleaned(copy)


def _cleaned(placed: Placed) -> list[tuple[str, str]]:
    return [((user or "").replace("?.", "?"), answer or "") for user, answer in placed.item.turns]


def _same_pictures(hub: Hub) -> list[dict[str, Any]]:
    """Pairs of kept rows that hold the same picture, byte for byte, along each chain of equals."""
    chains: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for placed in hub.placed:
        if placed.item.fate.outcome == "kept":
            for number, picture in enumerate(placed.item.pictures):
                chains[_digest(picture)].append(_place(placed, number))
    return [
        {"kind": "same_picture", "change": "none", "a": a, "b": b}
        for chain in chains.values() for a, b in pairwise(chain)
    ]  # fmt: skip


def _digest(picture: Picture) -> str:
    data = stripped(picture).data
    assert data is not None, f"{picture.path} has no bytes"
    return hashlib.sha256(data).hexdigest()


def _near_pictures(hub: Hub) -> list[dict[str, Any]]:
    """Pairs of an altered picture and the first kept row that holds the original."""
    first: dict[str, dict[str, Any]] = {}
    for placed in hub.placed:
        if placed.item.fate.outcome == "kept":
            for number, picture in enumerate(placed.item.pictures):
                first.setdefault(_digest(picture), _place(placed, number))
    pairs = []
    for placed in hub.placed:
        for number, picture in enumerate(placed.item.pictures):
            if picture.origin and picture.change:
                a = first[_digest(picture.origin)]
                pairs.append(
                    {
                        "kind": "near_picture",
                        "change": picture.change,
                        "a": a,
                        "b": _place(placed, number),
                    }
                )
    return pairs
