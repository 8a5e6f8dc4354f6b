"""The sources beside the Cauldron as files: the five added, Docmatix, and the text-only sets."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from cauldron.sample import layouts
from cauldron.sample.model import Fate, Item, Picture, dropped, quarantined
from cauldron.sample.pdf import pdf_of
from cauldron.sample.publish import Hub, card, files_of
from cauldron.sample.publish_cauldron import cauldron_row

GPT4O = "mnt/petrelfs/wangwenhai/workspace_cef/4o/image/"
IMAGE_BOMB = 68 << 20  # above the readers' limit of 64 MiB for an image


def _image(item: Item) -> dict[str, Any] | None:
    if not item.pictures:
        return None
    return {"bytes": item.pictures[0].data, "path": item.pictures[0].path}


def cord_v2(hub: Hub, items: list[Item]) -> None:
    repo = "naver-clova-ix/cord-v2"
    # The last rows' fields are broken, not their pictures.
    broken = [
        _cord_broken(items[0], '{"gt_parse": {"menu": [', "bad_json", "ground_truth is not JSON"),
        _cord_broken(items[1], '{"meta": {}}', "bad_row", "ground_truth without gt_parse"),
    ]
    train = [*items, *broken]

    def row(item: Item) -> dict[str, Any]:
        truth = item.extra["ground_truth"]
        told = truth if isinstance(truth, str) else json.dumps(truth)
        return {"image": _image(item), "ground_truth": told}

    hub.shards("cord_v2", repo, "data/train", train, [row(i) for i in train], layouts.CORD, 2)
    for split, part in (("validation", items[:2]), ("test", items[2:4])):
        name = hub.shard_name(f"data/{split}", 0, 1)
        hub.put(f"{repo}/{name}", layouts.parquet([row(i) for i in part], layouts.CORD))
    hub.put(f"{repo}/README.md", b"---\nlicense: cc-by-4.0\n---\n")
    counts = {"train": len(train), "validation": 2, "test": 2}
    splits = {name: {"name": name, "num_examples": count} for name, count in counts.items()}
    legacy = {"naver-clova-ix--cord-v2": {"splits": splits}}
    hub.put(f"{repo}/dataset_infos.json", json.dumps(legacy).encode())


def _cord_broken(item: Item, truth: str, reason: str, plant: str) -> Item:
    return replace(item, extra={"ground_truth": truth}, fate=quarantined(reason), plant=plant)


def lnqa(hub: Hub, items: list[Item]) -> None:
    repo = "vikhyatk/lnqa"

    def row(item: Item) -> dict[str, Any]:
        qa = [{"question": user, "answer": answer} for user, answer in item.turns]
        return {"image": _image(item), "qa": None if item.extra.get("null") == "turns" else qa}

    rows = [row(item) for item in items]
    hub.shards("lnqa", repo, "data/train", items, rows, layouts.LNQA, 2, hashed=False)
    hub.put(f"{repo}/lnqa.jsonl", layouts.json_lines({"qa": row["qa"]} for row in rows)[0])
    texts = [{"name": name, "dtype": "string"} for name in ("question", "answer")]
    image = {"name": "image", "dtype": {"image": {"decode": False}}}
    info = {"features": [image, {"name": "qa", "list": texts}]}
    info["splits"] = [{"name": "train", "num_examples": len(items)}]
    configs = [files_of("default", "train", "data/train-*")]
    header = {"license": "cc-by-4.0", "dataset_info": info, "configs": configs}
    hub.put(f"{repo}/README.md", card("LNQA", header))


def sharegpt_4o(hub: Hub, items: list[Item]) -> None:
    repo, path = "OpenGVLab/ShareGPT-4o", "image_conversations/gpt-4o.jsonl"
    named = [_named(item, f"9{i:07d}.jpg") for i, item in enumerate(items)]
    members: dict[str, bytes | int] = {
        GPT4O + str(p.path): p.data for item in named for p in item.pictures if p.data is not None
    }
    members[GPT4O + "bomb.jpg"] = IMAGE_BOMB
    members["../../outside.jpg"] = b"never to be written"
    pairs = [(item, _gpt4o_row(item)) for item in named] + _gpt4o_strays(items[0])
    data, offsets = layouts.json_lines(row for _, row in pairs)
    hub.put(f"{repo}/{path}", data)
    hub.put(f"{repo}/images.zip", layouts.zipped(members.items()))
    hub.put(f"{repo}/video_conversations/gpt4o.jsonl", layouts.json_lines([{"video": "a.mp4"}])[0])
    hub.put(f"{repo}/README.md", card("ShareGPT-4o", {"license": "mit"}))
    for offset, (item, _) in zip(offsets, pairs, strict=True):
        hub.place("sharegpt_4o", path, offset, item)


def _gpt4o_strays(first: Item) -> list[tuple[Item, Any]]:
    """Lines without a usable picture, and lines that are no rows at all."""
    pairs: list[tuple[Item, Any]] = []
    for name, fate, plant in (
        ("absent.jpg", dropped("image_not_shipped"), "the zip has no such picture"),
        ("bomb.jpg", quarantined("member_too_large"), "the zip member inflates to 68 MiB"),
        ("../../../outside.jpg", quarantined("unsafe_member"), "the row asks for a path outside"),
    ):
        stray = Item([Picture(None, name)], first.turns, fate=fate, plant=plant)
        pairs.append((stray, _gpt4o_row(stray)))
    third = [{"from": "narrator", "value": "Once upon a time."}]
    for line, reason, plant in (
        (b'{"image": "000.jpg", "width": 480, "conv', "bad_json", "a line that is not JSON"),
        (_gpt4o_row(first) | {"conversations": third}, "bad_row", "an unknown speaker"),
    ):
        pairs.append((Item([], [], fate=quarantined(reason), plant=plant), line))
    return pairs


def _named(item: Item, name: str) -> Item:
    """Give a picture without a file name one."""
    if item.pictures and not item.pictures[0].path:
        return replace(item, pictures=[item.pictures[0].named(name)])
    return item


def _gpt4o_row(item: Item) -> dict[str, Any]:
    talk = []
    for user, answer in item.turns:
        talk += [{"from": "human", "value": user}, {"from": "gpt", "value": answer}]
    return {"image": item.pictures[0].path, "width": 480, "height": 360, "conversations": talk}


def iiw_400(hub: Hub, items: list[Item]) -> None:
    path = "datasets/IIW-400/data.jsonl"
    lines: list[Any] = []
    rows: list[Item] = []
    members: list[tuple[str, bytes | str]] = []
    for i, item in enumerate(items):
        key = f"aar_test_{4600 + i:05d}"
        picture = item.pictures[0]
        assert picture.data is not None
        rows.append(replace(item, pictures=[picture.named(f"images_aar/{key}.jpg")]))
        lines.append(_iiw_row(item, key, i))
        members.append((f"images_aar/{key}.jpg", picture.data))
    strays = (
        ("aar_test_04999", dropped("image_not_shipped"), "the tarball has no such picture"),
        ("../../etc/passwd", quarantined("unsafe_member"), "the key leads outside"),
        ("aar_test_04998", quarantined("unsafe_member"), "the picture is a symbolic link"),
    )
    members.append(("images_aar/aar_test_04998.jpg", "/etc/passwd"))
    for key, fate, plant in strays:
        lines.append(_iiw_row(items[0], key, 1))
        rows.append(replace(items[0], pictures=[], fate=fate, plant=plant))
    lines.append(b'{"IIW": "A photo of')
    rows.append(Item([], [], fate=quarantined("bad_json"), plant="a line that is not JSON"))
    data, offsets = layouts.json_lines(lines)
    hub.put(f"google/imageinwords/{path}", data)
    hub.put("docci/docci_images_aar.tar.gz", layouts.tarred(members))
    hub.put("google/imageinwords/README.md", card("ImageInWords", {"license": "cc-by-4.0"}))
    for offset, item in zip(offsets, rows, strict=True):
        hub.place("iiw_400", path, offset, item)


def _iiw_row(item: Item, key: str, number: int) -> dict[str, Any]:
    row: dict[str, Any] = {"IIW": item.turns[0][1], "image/key": key}
    if number % 4 == 0:
        row["IIW-P5B"] = item.extra.get("draft", "")
        row["iiw-human-sxs-gpt4v"] = {"metrics/Comprehensiveness": "Neutral"}
    row["objects"] = [
        {"label": name, "description": f"a {name}", "normalized_coords": [str(v) for v in box]}
        for name, box in item.extra.get("objects", ())
    ]
    return row


def geo170k(hub: Hub, items: list[Item]) -> None:
    """Every picture has one row in `alignment` and the rest of its turns in `qa_tuning`."""
    repo = "Luckyjhg/Geo170K"
    splits: dict[str, list[tuple[Item, dict[str, Any]]]] = {"alignment": [], "qa_tuning": []}
    for item in items:
        for number, (user, answer) in enumerate(item.turns):
            talk = [{"from": "human", "value": user}, {"from": "gpt", "value": answer}]
            merged = replace(item, pictures=[], fate=Fate("merged", "same_image"))
            placed = item if number == 0 else merged
            row = {"image": item.pictures[0].path, "conversations": talk}
            splits["qa_tuning" if number else "alignment"].append((placed, row))
    splits["qa_tuning"] += _geo170k_strays(items[0])
    for split, pairs in splits.items():
        rows = [row for _, row in pairs]
        hub.shards("geo170k", repo, f"data/{split}", [i for i, _ in pairs], rows, layouts.GEO170K)
        hub.put(f"{repo}/{split}.json", json.dumps(rows).encode())
    members = [(f"images/{p.path}", p.data) for item in items for p in item.pictures if p.data]
    hub.put(f"{repo}/images.zip", layouts.zipped(members))
    files = [{"split": name, "path": f"data/{name}-*"} for name in ("qa_tuning", "alignment")]
    header = {"configs": [{"config_name": "default", "data_files": files}]}
    hub.put(f"{repo}/README.md", card("Geo170K", header))


def _geo170k_strays(first: Item) -> list[tuple[Item, dict[str, Any]]]:
    """Two bad turns about the first picture, and rows that have no usable picture or talk."""
    path = first.pictures[0].path
    ask = {"from": "human", "value": "<image>\nWhat is the area of the figure?"}
    reply = {"from": "gpt", "value": "It cannot be told."}
    sorry = {"from": "gpt", "value": "Sorry, I cannot see the figure."}
    stray = {"from": "gpt", "value": "12</s>"}
    gone, out, bad = dropped("image_not_shipped"), quarantined("unsafe_member"), "bad_row"
    rows = (
        (path, [ask, sorry], Fate("merged", "same_image", {"refusal": 1}), "a refusal"),
        (path, [ask, stray], Fate("merged", "same_image", {"special_token": 1}), "a special token"),
        (path, [ask, ask], quarantined(bad), "two questions in a row"),
        ("geo3k/999.png", [ask, reply], gone, "the zip has no such picture"),
        ("../../etc/passwd", [ask, reply], out, "the row asks for a path outside"),
        ("", [ask, reply], quarantined("no_images"), "the row names no picture"),
    )
    return [
        (Item([], [], fate=fate, plant=plant), {"image": name, "conversations": talk})
        for name, talk, fate, plant in rows
    ]


def docmatix(hub: Hub, items: list[Item]) -> None:
    repo = "HuggingFaceM4/Docmatix"
    rows = [_docmatix_row(item) for item in items]
    hub.shards("docmatix", repo, "data/train", items, rows, layouts.CAULDRON, 2)
    _docmatix_pdf(hub, repo, items)
    tiny = layouts.parquet(rows[:2], layouts.CAULDRON)
    hub.put(f"{repo}/zero-shot-exp/test-00000-of-00001.parquet", tiny)
    leaky = layouts.parquet(rows[1:4], layouts.CAULDRON)  # row 1 is in both, as published
    hub.put(f"{repo}/zero-shot-exp/train-00000-of-00001.parquet", leaky)
    folders = {"images": "data", "pdf": "pdf", "zero-shot-exp": "zero-shot-exp"}
    configs = [files_of(name, "train", f"{path}/train-*") for name, path in folders.items()]
    hub.put(f"{repo}/README.md", card("Docmatix", {"license": "mit", "configs": configs}))


def _docmatix_row(item: Item) -> dict[str, Any]:
    return cauldron_row(item, f"PDFA key: {item.extra.get('key', 42)}")


def _docmatix_pdf(hub: Hub, repo: str, items: list[Item]) -> None:
    """The same documents as PDF files, and four that cannot be used."""
    whole = [item for item in items if item.plant == "" and "pages" in item.extra]
    documents = [pdf_of(item.extra["pages"]) for item in whole]
    pages, sound = whole[0].extra["pages"], documents[0]
    for data, fate, plant in (
        (pdf_of(pages, encrypted=True), quarantined("pdf_encrypted"), "a PDF with a password"),
        (sound[:9] + b"\x00" * 400, quarantined("pdf_unreadable"), "a PDF of zeros"),
        (b"", quarantined("missing_image"), "a PDF of no bytes"),
        (pdf_of([pages[0]] * 6), dropped("too_many_pages"), "a PDF of six pages"),
    ):
        documents.append(data)
        whole.append(replace(whole[0], fate=fate, plant=plant))
    texts = [_docmatix_row(item)["texts"] for item in whole]
    rows = [{"pdf": data, "texts": text} for data, text in zip(documents, texts, strict=True)]
    bare = [replace(item, pictures=[]) for item in whole]
    hub.shards("docmatix:pdf", repo, "pdf/train", bare, rows, layouts.DOCMATIX_PDF, 1)
