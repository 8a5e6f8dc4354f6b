"""The nine text-only sets as files."""

from __future__ import annotations

import json
from typing import Any

from cauldron.sample import layouts
from cauldron.sample.data import load
from cauldron.sample.model import Item, quarantined
from cauldron.sample.publish import Hub

JSON_SETS = load("texts")
BOMB = 18 << 20  # above the readers' limit of 16 MiB for a member of math.zip
Row = dict[str, Any]


def _row(source: str, item: Item) -> Row:
    extra = item.extra
    if source == "openhermes_2_5":
        talk = [{"from": "system", "value": extra["system"]}] if "system" in extra else []
        for user, answer in item.turns:
            talk += [{"from": "human", "value": user}, {"from": "gpt", "value": answer}]
        return {"source": extra.get("source"), "conversations": talk, "category": None}
    if source == "lima":
        texts = [text for turn in item.turns for text in turn]
        return {"conversations": texts, "source": extra.get("source")}
    known = {**extra, "user": item.turns[0][0], "assistant": item.turns[0][1], "": ""}
    return {column: known[name] for column, name in JSON_SETS[source]["columns"].items()}


def _broken(reason: str, plant: str) -> Item:
    return Item([], [], fate=quarantined(reason), plant=plant)


def publish_json_set(source: str, hub: Hub, items: list[Item]) -> None:
    """Write a set of JSON rows; broken ones stand in the middle, so that rows follow them."""
    repo, path = JSON_SETS[source]["repo"], JSON_SETS[source]["path"]
    values: list[Any] = [_row(source, item) for item in items]
    rows, middle = list(items), len(items) // 2
    for number, (value, reason, plant) in enumerate(JSON_SETS[source].get("broken", ())):
        raw = value.encode() if isinstance(value, str) else value
        values.insert(middle + 2 * number, raw)
        rows.insert(middle + 2 * number, _broken(reason, plant))
    if path.endswith(".jsonl"):
        data, places = layouts.json_lines(values)
    else:
        data, places = layouts.json_array(values), list(range(len(values)))
    hub.put(f"{repo}/{path}", data)
    for place, item in zip(places, rows, strict=True):
        hub.place(source, path, place, item)


def orca_math(hub: Hub, items: list[Item]) -> None:
    repo = "microsoft/orca-math-word-problems-200k"
    rows = [{"question": user, "answer": answer} for user, answer in (i.turns[0] for i in items)]
    hub.shards("orca_math", repo, "data/train", items, rows, layouts.ORCA_MATH, hashed=False)


def camel_ai_math(hub: Hub, items: list[Item]) -> None:
    """One zip member a row, in the order in which they lie in the archive."""
    members: list[tuple[str, bytes | int]] = []
    for number, item in enumerate(items):
        user, answer = item.turns[0]
        row = {"role_1": "Mathematician_RoleType.ASSISTANT", "topic;": item.extra["topic;"]}
        row |= {"sub_topic": item.extra["sub_topic"], "message_1": user, "message_2": answer}
        members.append((f"math/{number:03d}_{item.extra['file']}", json.dumps(row).encode()))
    members += [("math/broken.json", b'{"message_1": "What'), ("../../outside.json", b"{}")]
    members.append(("math/bomb.json", BOMB))
    strays = [
        _broken("bad_json", "not JSON"),
        _broken("unsafe_member", "a member that lies outside"),
        _broken("member_too_large", "a member that inflates to 18 MiB"),
    ]
    hub.put("camel-ai/math/math.zip", layouts.zipped(members))
    for number, item in enumerate([*items, *strays]):
        hub.place("camel_ai_math", "math.zip", number, item)
