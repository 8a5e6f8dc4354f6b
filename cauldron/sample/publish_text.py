"""The nine text-only sets as files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cauldron.sample import layouts
from cauldron.sample.model import Item, quarantined
from cauldron.sample.publish import Hub
from cauldron.sample.publish_others import TEXT_BOMB

Row = dict[str, Any]


def _hermes(item: Item) -> Row:
    talk = [{"from": "system", "value": item.extra["system"]}] if "system" in item.extra else []
    for user, answer in item.turns:
        talk += [{"from": "human", "value": user}, {"from": "gpt", "value": answer}]
    return {"source": item.extra.get("source"), "conversations": talk, "category": None}


def _lima(item: Item) -> Row:
    return {
        "conversations": [text for turn in item.turns for text in turn],
        "source": item.extra.get("source"),
    }


def _flat(**columns: str) -> Callable[[Item], Row]:
    """A row whose columns are the question, the answer, an entry of `extra` or empty."""

    def row(item: Item) -> Row:
        known = {**item.extra, "user": item.turns[0][0], "assistant": item.turns[0][1], "": ""}
        return {column: known[name] for column, name in columns.items()}

    return row


def _broken(reason: str, plant: str) -> Item:
    return Item([], [], fate=quarantined(reason), plant=plant)


Broken = tuple[tuple[Any, Item], ...]
_NOT_JSON = _broken("bad_json", "not JSON")
_HERMES_BROKEN: Broken = (
    ({"conversations": [{"from": "oracle", "value": "?"}]}, _broken("bad_row", "a third speaker")),
    ({"conversations": []}, _broken("bad_row", "no messages")),
)
_LIMA_BROKEN: Broken = (
    (b'{"conversations": ["How', _NOT_JSON),
    ({"conversations": "text"}, _broken("bad_row", "a text instead of messages")),
)
_DOLLY_BROKEN: Broken = (
    (b"Instruction: none", _NOT_JSON),
    ({"response": "To what?"}, _broken("bad_row", "no instruction")),
)
_GOAT_BROKEN: Broken = ((b'{"instruction": "1 + ", "output": oops}', _NOT_JSON),)
_ATLAS_BROKEN: Broken = ((b'["an", "array"]', _broken("bad_row", "an array, not an object")),)


@dataclass(frozen=True)
class JsonSet:
    """A set whose rows are JSON objects in one file; `broken` rows are put in their middle."""

    repo: str
    path: str
    row: Callable[[Item], Row]
    broken: Broken = ()


_DOLLY = _flat(instruction="user", context="context", response="assistant", category="category")
_METAMATH = _flat(
    query="user", response="assistant", type="type", original_question="original_question"
)
_INSTRUCT = _flat(source="source", output="assistant", instruction="user")
_GOAT = _flat(instruction="user", input="input", output="assistant", answer="answer")
_ATLAS = _flat(instruction="user", input="", output="assistant", answer="answer")
_ATLAS_FILE = "data/atlas-math-train.jsonl"
JSON_SETS: dict[str, JsonSet] = {
    "openhermes_2_5": JsonSet(
        "teknium/OpenHermes-2.5", "openhermes2_5.json", _hermes, _HERMES_BROKEN
    ),
    "lima": JsonSet("GAIR/lima", "train.jsonl", _lima, _LIMA_BROKEN),
    "dolly": JsonSet(
        "databricks/databricks-dolly-15k", "databricks-dolly-15k.jsonl", _DOLLY, _DOLLY_BROKEN
    ),
    "metamathqa": JsonSet("meta-math/MetaMathQA", "MetaMathQA-395K.json", _METAMATH),
    "math_instruct": JsonSet("TIGER-Lab/MathInstruct", "MathInstruct.json", _INSTRUCT),
    "goat": JsonSet("tiedong/goat", "dataset.json", _GOAT, _GOAT_BROKEN),
    "atlas_math_sets": JsonSet("AtlasUnified/atlas-math-sets", _ATLAS_FILE, _ATLAS, _ATLAS_BROKEN),
}


def publish_json_set(source: str, hub: Hub, items: list[Item]) -> None:
    """Write a set of JSON rows; broken ones stand in the middle, so that rows follow them."""
    here = JSON_SETS[source]
    values: list[Any] = [here.row(item) for item in items]
    rows = list(items)
    middle = len(values) // 2
    for number, (value, item) in enumerate(here.broken):
        values.insert(middle + 2 * number, value)
        rows.insert(middle + 2 * number, item)
    if here.path.endswith(".jsonl"):
        data, places = layouts.json_lines(values)
    else:
        data, places = layouts.json_array(values), list(range(len(values)))
    hub.put(f"{here.repo}/{here.path}", data)
    for place, item in zip(places, rows, strict=True):
        hub.place(source, here.path, place, item)


def orca_math(hub: Hub, items: list[Item]) -> None:
    repo = "microsoft/orca-math-word-problems-200k"
    rows = [_flat(question="user", answer="assistant")(item) for item in items]
    hub.shards("orca_math", repo, "data/train", items, rows, layouts.ORCA_MATH, hashed=False)


def camel_ai_math(hub: Hub, items: list[Item]) -> None:
    """One zip member a row, in the order in which they lie in the archive."""
    members: list[tuple[str, bytes | int]] = []
    rows = list(items)
    for number, item in enumerate(items):
        user, answer = item.turns[0]
        row = {
            "role_1": "Mathematician_RoleType.ASSISTANT", "topic;": item.extra["topic;"],
            "sub_topic": item.extra["sub_topic"], "message_1": user, "message_2": answer,
        }  # fmt: skip
        members.append((f"math/{number:03d}_{item.extra['file']}", json.dumps(row).encode()))
    big = _broken("member_too_large", "a member that inflates to 18 MiB")
    for name, content, item in (
        ("math/broken.json", b'{"message_1": "What', _NOT_JSON),
        ("../../outside.json", b"{}", _broken("unsafe_member", "a member that lies outside")),
        ("math/bomb.json", TEXT_BOMB, big),
    ):
        members.append((name, content))
        rows.append(item)
    hub.put("camel-ai/math/math.zip", layouts.zipped(members))
    for number, item in enumerate(rows):
        hub.place("camel_ai_math", "math.zip", number, item)
