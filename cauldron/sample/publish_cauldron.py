"""The Cauldron's 50 configurations as files, and the file-level damage done to some of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cauldron.core import storage
from cauldron.sample import layouts
from cauldron.sample.data import load
from cauldron.sample.model import Item, Picture, quarantined
from cauldron.sample.publish import Hub, card, files_of
from cauldron.sample.studio import Studio

REPO = "HuggingFaceM4/the_cauldron"


def cauldron_row(item: Item, label: str) -> dict[str, Any]:
    """A row of the common schema: ``images`` and ``texts``."""
    images = [{"bytes": picture.data, "path": picture.path} for picture in item.pictures]
    source = item.extra.get("source", label)
    texts = [
        {"user": user, "assistant": assistant, "source": source} for user, assistant in item.turns
    ]
    null = item.extra.get("null")
    return {
        "images": None if null == "images" else images,
        "texts": None if null == "turns" else texts,
    }


def publish_config(hub: Hub, config: str, items: list[Item]) -> None:
    """Write one configuration; some have damaged or doubled files beside the good ones."""
    described = load("sets")[config]
    rows = [cauldron_row(item, described.get("label", config)) for item in items]
    count = described.get("shards", 1)
    damage = DAMAGE.get(config)
    source, stem, of = f"the_cauldron/{config}", f"{config}/train", count + bool(damage)
    hub.shards(source, REPO, stem, items, rows, layouts.CAULDRON, count, of)
    if damage:
        name = hub.shard_name(stem, count, of)
        victims = [replace(item, plant="") for item in items[:3]]
        damage(hub, source, name, victims, rows[:3])
    elif config in ("clevr", "clevr_math"):
        _double(hub, config, rows, count)


Rows = list[dict[str, Any]]
Damage = Callable[[Hub, str, str, list[Item], Rows], None]


def _lost(hub: Hub, source: str, name: str, reason: str, plant: str, rows: int = 1) -> None:
    hub.place(source, name, -1, Item([], [], fate=quarantined(reason), plant=plant), rows)


def _zero(hub: Hub, source: str, name: str, items: list[Item], rows: Rows) -> None:
    hub.put(f"{REPO}/{name}", b"")
    _lost(hub, source, name, "unreadable_file", "a shard of no bytes")


def _short(hub: Hub, source: str, name: str, items: list[Item], rows: Rows) -> None:
    data = layouts.parquet(rows, layouts.CAULDRON)
    hub.put(f"{REPO}/{name}", data[: len(data) // 2])
    _lost(hub, source, name, "unreadable_file", "a shard cut in half")


def _absent(hub: Hub, source: str, name: str, items: list[Item], rows: Rows) -> None:
    unhashed = name[: name.rindex("-")]  # nobody knows the hash of what is not there
    _lost(hub, source, unhashed, "missing_shard", "a shard that the numbering promises")


def _columns(hub: Hub, source: str, name: str, items: list[Item], rows: Rows) -> None:
    others = [{"img": b"\x00", "caption": "of another data set"} for _ in rows]
    hub.put(f"{REPO}/{name}", layouts.parquet(others, layouts.OTHER_COLUMNS))
    _lost(hub, source, name, "wrong_columns", "a shard with other columns", len(rows))


def _group(hub: Hub, source: str, name: str, items: list[Item], rows: Rows) -> None:
    """Three row groups of one row; the middle one is ruined."""
    fresh = [
        replace(item, turns=[("Is this row whole?", f"Row {i}.")]) for i, item in enumerate(items)
    ]
    data = layouts.parquet([cauldron_row(item, "TallyQA") for item in fresh], layouts.CAULDRON, 1)
    hub.put(f"{REPO}/{name}", layouts.with_ruined_group(data, 1))
    fate, plant = quarantined("unreadable_row_group"), "a row group of garbage"
    fresh[1] = Item([], [], fresh[1].extra, fate, plant)
    for row, item in enumerate(fresh):
        hub.place(source, name, row, item)


DAMAGE: dict[str, Damage] = {
    "plotqa": _zero,
    "dvqa": _short,
    "figureqa": _absent,
    "ocrvqa": _columns,
    "tallyqa": _group,
}


def _double(hub: Hub, config: str, rows: list[dict[str, Any]], count: int) -> None:
    """A second set of shards from another push, as commits in the middle of one have it.

    clevr has every shard twice under two hashes, clevr_math the remains of a set with another n.
    A reader must take one set; which is told by names and sizes.
    """
    if config == "clevr":
        cut = [round(len(rows) * i / count) for i in range(count + 1)]
        for i in range(count):
            data = layouts.parquet(rows[cut[i] : cut[i + 1]], layouts.CAULDRON)
            # Later by name than any digest, so the first set is the one to be read.
            hub.put(f"{REPO}/clevr/train-{i:05d}-of-{count:05d}-{'f' * 16}.parquet", data)
        hub.note("the_cauldron/clevr", "every shard is there twice; the first by name counts")
        return
    for i in range(2):
        name = hub.shard_name("clevr_math/train", i, 3)
        hub.put(f"{REPO}/{name}", layouts.parquet(rows[i : i + 1], layouts.CAULDRON))
    hub.note("the_cauldron/clevr_math", "two of three shards of an older push lie beside")


def publish_coco(hub: Hub, studio: Studio) -> None:
    """COCO's archive of pictures, for OK-VQA; members as COCO names them."""
    pictures = [picture for _, picture in studio.coco]
    members = [(f"train2014/{picture.path}", picture.data or b"") for picture in pictures]
    hub.put("coco/train2014.zip", layouts.zipped(members))


def stripped(picture: Picture) -> Picture:
    """The picture that a path-only row means."""
    return picture.origin if picture.data is None and picture.origin else picture


def cauldron_card(counts: dict[str, int], sizes: dict[str, int]) -> bytes:
    texts = [{"name": name, "dtype": "string"} for name in ("user", "assistant", "source")]
    features = [{"name": "images", "sequence": "image"}, {"name": "texts", "list": texts}]
    info = []
    for name in sorted(counts):
        size = round(sizes[name] * 1.02, 1)
        split = {"name": "train", "num_bytes": size, "num_examples": counts[name]}
        entry = {"config_name": name, "features": features, "splits": [split]}
        info.append({**entry, "download_size": sizes[name], "dataset_size": size})
    configs = [files_of(name, "train", f"{name}/train-*") for name in sorted(counts)]
    return card("The Cauldron", {"dataset_info": info, "configs": configs})


def write_readme(hub: Hub, configs: list[str]) -> None:
    counts = dict.fromkeys(configs, 0)
    for placed in hub.placed:
        name = placed.source.removeprefix("the_cauldron/")
        if name in counts and placed.row >= 0:
            counts[name] += 1
    fs, bare = storage.filesystem(storage.join(hub.folder, REPO))
    listed = {config: fs.ls(f"{bare}/{config}", detail=True) for config in configs}
    sizes = {name: sum(int(entry["size"]) for entry in found) for name, found in listed.items()}
    hub.put(f"{REPO}/README.md", cauldron_card(counts, sizes))
