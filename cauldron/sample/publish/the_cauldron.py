"""The Cauldron's 50 configurations as files, and the file-level damage done to some of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from cauldron.core import storage
from cauldron.sample.model import Item, load, lost
from cauldron.sample.publish import layouts
from cauldron.sample.publish.hub import Hub, card
from cauldron.sample.studio import Shown

REPO = "HuggingFaceM4/the_cauldron"
DAMAGE: dict[str, tuple[str, str]] = load("planted")["shards"]


def cauldron_row(item: Item, label: str) -> dict[str, Any]:
    """A row of the common schema: ``images`` and ``texts``."""
    images = [{"bytes": picture.data, "path": picture.path} for picture in item.pictures]
    source, null = item.extra.get("source", label), item.extra.get("null")
    texts = [
        {"user": user, "assistant": assistant, "source": source} for user, assistant in item.turns
    ]
    return {
        "images": None if null == "images" else images,
        "texts": None if null == "turns" else texts,
    }


def publish_config(hub: Hub, config: str, items: list[Item]) -> None:
    """Write one configuration; some have damaged or doubled files beside the good ones."""
    described = load("sets")[config]
    rows = [cauldron_row(item, described.get("label", config)) for item in items]
    count = described.get("shards", 1)
    source, stem, of = (
        f"the_cauldron/{config}",
        f"{config}/train",
        count + (config in DAMAGE or config == "tallyqa"),
    )
    hub.shards(source, REPO, stem, items, rows, layouts.CAULDRON, count, of)
    if config in DAMAGE:
        _damage(hub, source, hub.shard_name(stem, count, of), rows[:3])
    elif config == "tallyqa":
        _ruined_group(hub, source, items[:3])
    elif config == "clevr":
        _doubled(hub, source, rows, count)
    elif config == "clevr_math":
        for i in range(2):
            name = hub.shard_name(stem, i, 3)
            hub.put(f"{REPO}/{name}", layouts.parquet(rows[i : i + 1], layouts.CAULDRON))
        hub.note(source, "two of three shards of an older push lie beside")


def _damage(hub: Hub, source: str, name: str, rows: list[dict[str, Any]]) -> None:
    reason, plant = DAMAGE[source.removeprefix("the_cauldron/")]
    if reason == "missing_shard":
        name = name[: name.rindex("-")]  # nobody knows the hash of what is not there
    elif reason == "wrong_columns":
        others = [{"img": b"\x00", "caption": "of another data set"} for _ in rows]
        hub.put(f"{REPO}/{name}", layouts.parquet(others, layouts.OTHER_COLUMNS))
    else:
        data = layouts.parquet(rows, layouts.CAULDRON)
        hub.put(f"{REPO}/{name}", data[: len(data) // 2] if "half" in plant else b"")
    hub.place(source, name, -1, lost(reason, plant), 3 if reason == "wrong_columns" else 1)


def _ruined_group(hub: Hub, source: str, items: list[Item]) -> None:
    """A third shard with three row groups of one row; the middle one is garbage."""
    name = hub.shard_name("tallyqa/train", 2, 3)
    fresh = [
        replace(item, turns=[("Is this row whole?", f"Row {i}.")], plant="")
        for i, item in enumerate(items)
    ]
    data = layouts.parquet([cauldron_row(item, "TallyQA") for item in fresh], layouts.CAULDRON, 1)
    hub.put(f"{REPO}/{name}", layouts.with_ruined_group(data, 1))
    fresh[1] = lost("unreadable_row_group", "a row group of garbage")
    for row, item in enumerate(fresh):
        hub.place(source, name, row, item)


def _doubled(hub: Hub, source: str, rows: list[dict[str, Any]], count: int) -> None:
    """Every shard twice under two hashes, as commits in the middle of a push have it.

    A reader must take one set, and can tell them apart by names and sizes alone.
    """
    for i in range(count):
        part = rows[round(len(rows) * i / count) : round(len(rows) * (i + 1) / count)]
        # Later by name than any digest, so the first set is the one to be read.
        name = f"clevr/train-{i:05d}-of-{count:05d}-{'f' * 16}.parquet"
        hub.put(f"{REPO}/{name}", layouts.parquet(part, layouts.CAULDRON))
    hub.note(source, "every shard is there twice; the first by name counts")


def publish_coco(hub: Hub, photographs: list[Shown]) -> None:
    """COCO's archive of pictures, for OK-VQA; members as COCO names them."""
    pictures = [picture for shown in photographs for picture in shown.pictures]
    members = [(f"train2014/{picture.path}", picture.data or b"") for picture in pictures]
    hub.put("coco/train2014.zip", layouts.zipped(members))


def write_readme(hub: Hub, configs: list[str]) -> None:
    """The card of the Cauldron, with the counts and sizes of its configurations."""
    counts = Counter(placed.source for placed in hub.placed if placed.row >= 0)
    fs, bare = storage.filesystem(storage.join(hub.folder, REPO))
    texts = [{"name": name, "dtype": "string"} for name in ("user", "assistant", "source")]
    features = [{"name": "images", "sequence": "image"}, {"name": "texts", "list": texts}]
    info = []
    for name in sorted(configs):
        size = sum(int(entry["size"]) for entry in fs.ls(f"{bare}/{name}", detail=True))
        rows, whole = counts[f"the_cauldron/{name}"], round(size * 1.02, 1)
        split = {"name": "train", "num_bytes": whole, "num_examples": rows}
        entry = {"config_name": name, "features": features, "splits": [split]}
        info.append({**entry, "download_size": size, "dataset_size": whole})
    listed = [
        {"config_name": name, "data_files": [{"split": "train", "path": f"{name}/train-*"}]}
        for name in sorted(configs)
    ]
    header = {"dataset_info": info, "configs": listed}
    hub.put(f"{REPO}/README.md", card("The Cauldron", header))
