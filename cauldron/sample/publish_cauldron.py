"""The Cauldron's 50 configurations as files, and the file-level damage done to some of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cauldron import storage
from cauldron.sample import layouts
from cauldron.sample.data import load
from cauldron.sample.model import Item, Picture, quarantined
from cauldron.sample.publish import Hub
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
    hub.shards(
        f"the_cauldron/{config}",
        REPO,
        f"{config}/train",
        items,
        rows,
        layouts.CAULDRON,
        count,
        of=count + 1 if damage else count,
    )
    if damage:
        name = hub.shard_name(f"{config}/train", count, count + 1)
        victims = [replace(item, plant="") for item in items[:3]]
        damage(hub, f"the_cauldron/{config}", name, victims, rows[:3])
    elif config in ("clevr", "clevr_math"):
        _double(hub, config, rows, count)


Damage = Callable[[Hub, str, str, list[Item], list[dict[str, Any]]], None]


def _lost(hub: Hub, source: str, name: str, reason: str, plant: str, rows: int = 1) -> None:
    hub.place(source, name, -1, Item([], [], fate=quarantined(reason), plant=plant), rows)


def _zero(hub: Hub, source: str, name: str, items: list[Item], rows: list[dict[str, Any]]) -> None:
    hub.put(f"{REPO}/{name}", b"")
    _lost(hub, source, name, "unreadable_file", "a shard of no bytes")


def _short(hub: Hub, source: str, name: str, items: list[Item], rows: list[dict[str, Any]]) -> None:
    data = layouts.parquet(rows, layouts.CAULDRON)
    hub.put(f"{REPO}/{name}", data[: len(data) // 2])
    _lost(hub, source, name, "unreadable_file", "a shard cut in half")


def _absent(
    hub: Hub, source: str, name: str, items: list[Item], rows: list[dict[str, Any]]
) -> None:
    unhashed = name[: name.rindex("-")]  # nobody knows the hash of what is not there
    _lost(hub, source, unhashed, "missing_shard", "a shard that the numbering promises")


def _columns(
    hub: Hub, source: str, name: str, items: list[Item], rows: list[dict[str, Any]]
) -> None:
    others = [{"img": b"\x00", "caption": "of another data set"} for _ in rows]
    hub.put(f"{REPO}/{name}", layouts.parquet(others, layouts.OTHER_COLUMNS))
    _lost(hub, source, name, "wrong_columns", "a shard with other columns", len(rows))


def _group(hub: Hub, source: str, name: str, items: list[Item], rows: list[dict[str, Any]]) -> None:
    """Three row groups of one row; the middle one is ruined."""
    fresh = [
        replace(item, turns=[("Is this row whole?", f"Row {i}.")]) for i, item in enumerate(items)
    ]
    data = layouts.parquet([cauldron_row(item, "TallyQA") for item in fresh], layouts.CAULDRON, 1)
    hub.put(f"{REPO}/{name}", layouts.with_ruined_group(data, 1))
    fresh[1] = replace(
        fresh[1],
        fate=quarantined("unreadable_row_group"),
        plant="a row group of garbage",
        pictures=[],
        turns=[],
    )
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
    members = [
        (f"train2014/{picture.path}", picture.data) for _, picture in studio.coco if picture.data
    ]
    hub.put("coco/train2014.zip", layouts.zipped(members))


def stripped(picture: Picture) -> Picture:
    """The picture that a path-only row means."""
    return picture.origin if picture.data is None and picture.origin else picture


def cauldron_readme(counts: dict[str, int], sizes: dict[str, int]) -> bytes:
    """The card, with the YAML header by which the hub and `datasets` find the configurations."""
    lines = ["---", "dataset_info:"]
    for config in sorted(counts):
        lines += [
            f"- config_name: {config}",
            "  features:",
            "  - name: images",
            "    sequence: image",
            "  - name: texts",
            "    list:",
            *(
                f"    - name: {name}\n      dtype: string"
                for name in ("user", "assistant", "source")
            ),
            "  splits:",
            "  - name: train",
            f"    num_bytes: {sizes[config] * 1.02:.1f}",
            f"    num_examples: {counts[config]}",
            f"  download_size: {sizes[config]}",
            f"  dataset_size: {sizes[config] * 1.02:.1f}",
        ]
    lines.append("configs:")
    for config in sorted(counts):
        lines += [
            f"- config_name: {config}",
            "  data_files:",
            "  - split: train",
            f"    path: {config}/train-*",
        ]
    lines += ["---", "", "# The Cauldron, in miniature", "", "Drawn by `cauldron sample`.", ""]
    return "\n".join(lines).encode()


def write_readme(hub: Hub, configs: list[str]) -> None:
    counts = dict.fromkeys(configs, 0)
    for placed in hub.placed:
        name = placed.source.removeprefix("the_cauldron/")
        if name in counts and placed.row >= 0:
            counts[name] += 1
    folder = storage.join(hub.folder, REPO)
    fs, bare = storage.filesystem(folder)
    sizes = {
        config: sum(int(entry["size"]) for entry in fs.ls(f"{bare}/{config}", detail=True))
        for config in configs
    }
    hub.put(f"{REPO}/README.md", cauldron_readme(counts, sizes))
