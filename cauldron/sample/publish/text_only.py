"""The nine text-only sets as files."""

from __future__ import annotations

import json
from typing import Any

from cauldron.sample.model import Item, load, lost
from cauldron.sample.publish import layouts
from cauldron.sample.publish.hub import Hub

JSON_SETS = {name: wanted for name, wanted in load("texts").items() if "path" in wanted}
BOMB = 18 << 20  # above the readers' limit of 16 MiB for a member of math.zip


def _row(source: str, item: Item) -> dict[str, Any]:
    extra = item.extra
    if source == "openhermes_2_5":
        system = [{"from": "system", "value": extra["system"]}] if "system" in extra else []
        talk = [*system, *layouts.talk(*item.turns)]
        return {"source": extra["source"], "conversations": talk, "category": None}
    if source == "lima":
        texts = [text for turn in item.turns for text in turn]
        return {"conversations": texts, "source": extra["source"]}
    known = {**extra, "user": item.turns[0][0], "assistant": item.turns[0][1], "": ""}
    return {column: known[name] for column, name in JSON_SETS[source]["columns"].items()}


def json_set(source: str, hub: Hub, items: list[Item]) -> None:
    """Write a set of JSON rows; broken ones stand in the middle, so that rows follow them."""
    wanted, middle = JSON_SETS[source], len(items) // 2
    pairs: list[tuple[Item, Any]] = [(item, _row(source, item)) for item in items]
    for number, (value, reason, plant) in enumerate(wanted.get("broken", ())):
        raw = value.encode() if isinstance(value, str) else value
        pairs.insert(middle + 2 * number, (lost(reason, plant), raw))
    hub.json_rows(source, wanted["repo"], wanted["path"], pairs)


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
        lost("bad_json", "not JSON"),
        lost("unsafe_member", "a member that lies outside"),
        lost("member_too_large", "a member that inflates to 18 MiB"),
    ]
    hub.put("camel-ai/math/math.zip", layouts.zipped(members))
    for number, item in enumerate([*items, *strays]):
        hub.place("camel_ai_math", "math.zip", number, item)
