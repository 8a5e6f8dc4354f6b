"""The sources beside the Cauldron as files: the five added, and Docmatix."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from cauldron.sample.model import Fate, Item, Picture, lost, quarantined
from cauldron.sample.publish import layouts
from cauldron.sample.publish.hub import Hub
from cauldron.sample.publish.pdf import pdf_of
from cauldron.sample.publish.the_cauldron import cauldron_row

GPT4O = "mnt/petrelfs/wangwenhai/workspace_cef/4o/image/"
IMAGE_BOMB = 68 << 20  # above the readers' limit of 64 MiB for an image
ABSENT, UNSAFE = Fate("dropped", "image_not_shipped"), quarantined("unsafe_member")
Pairs = list[tuple[Item, Any]]  # rows, and what is written for them


def _image(item: Item) -> dict[str, Any] | None:
    return next(({"bytes": p.data, "path": p.path} for p in item.pictures), None)


def cord_v2(hub: Hub, items: list[Item]) -> None:
    repo = "naver-clova-ix/cord-v2"
    rows = [_cord_row(item, json.dumps(item.extra["ground_truth"])) for item in items]
    # The last rows' fields are broken, not their pictures.
    rows.append(_cord_row(items[0], '{"gt_parse": {"menu": ['))
    rows.append(_cord_row(items[1], '{"meta": {}}'))
    broken = [
        replace(items[0], fate=quarantined("bad_json"), plant="ground_truth is not JSON"),
        replace(items[1], fate=quarantined("bad_row"), plant="ground_truth without gt_parse"),
    ]
    hub.shards("cord_v2", repo, "data/train", [*items, *broken], rows, layouts.CORD, 2)
    for split, part in (("validation", rows[:2]), ("test", rows[2:4])):
        name = hub.shard_name(f"data/{split}", 0, 1)
        hub.put(f"{repo}/{name}", layouts.parquet(part, layouts.CORD))
    legacy = {"naver-clova-ix--cord-v2": {"splits": {"train": {"num_examples": len(rows)}}}}
    hub.put(f"{repo}/dataset_infos.json", json.dumps(legacy).encode())


def _cord_row(item: Item, truth: str) -> dict[str, Any]:
    return {"image": _image(item), "ground_truth": truth}


def lnqa(hub: Hub, items: list[Item]) -> None:
    repo, rows = "vikhyatk/lnqa", []
    for item in items:
        qa = [{"question": user, "answer": answer} for user, answer in item.turns]
        null = item.extra.get("null") == "turns"
        rows.append({"image": _image(item), "qa": None if null else qa})
    hub.shards("lnqa", repo, "data/train", items, rows, layouts.LNQA, 2, hashed=False)
    hub.put(f"{repo}/lnqa.jsonl", layouts.json_lines({"qa": row["qa"]} for row in rows)[0])


def sharegpt_4o(hub: Hub, items: list[Item]) -> None:
    repo = "OpenGVLab/ShareGPT-4o"
    named = [_named(item, f"9{i:07d}.jpg") for i, item in enumerate(items)]
    members: dict[str, bytes | int] = {
        f"{GPT4O}{p.path}": p.data for item in named for p in item.pictures if p.data is not None
    }
    members |= {f"{GPT4O}bomb.jpg": IMAGE_BOMB, "../../outside.jpg": b"never to be written"}
    pairs = [(item, _gpt4o_row(item)) for item in named] + _gpt4o_strays(items[0])
    hub.json_rows("sharegpt_4o", repo, "image_conversations/gpt-4o.jsonl", pairs)
    hub.put(f"{repo}/images.zip", layouts.zipped(members.items()))
    hub.put(f"{repo}/video_conversations/gpt4o.jsonl", layouts.json_lines([{"video": "a.mp4"}])[0])


def _gpt4o_strays(first: Item) -> Pairs:
    """Lines without a usable picture, and lines that are no rows at all."""
    strays = [
        replace(first, pictures=[Picture(None, name)], fate=fate, plant=plant)
        for name, fate, plant in (
            ("absent.jpg", ABSENT, "the zip has no such picture"),
            ("bomb.jpg", quarantined("member_too_large"), "the zip member inflates to 68 MiB"),
            ("../../../outside.jpg", UNSAFE, "the row asks for a path outside"),
        )
    ]
    third = [{"from": "narrator", "value": "Once upon a time."}]
    return [
        *((stray, _gpt4o_row(stray)) for stray in strays),
        (lost("bad_json", "a line that is not JSON"), b'{"image": "000.jpg", "width": 480, "conv'),
        (lost("bad_row", "an unknown speaker"), _gpt4o_row(first) | {"conversations": third}),
    ]


def _named(item: Item, name: str) -> Item:
    """Give a picture without a file name one."""
    return replace(item, pictures=[replace(p, path=p.path or name) for p in item.pictures])


def _gpt4o_row(item: Item) -> dict[str, Any]:
    path, talk = item.pictures[0].path, layouts.talk(*item.turns)
    return {"image": path, "width": 480, "height": 360, "conversations": talk}


def iiw_400(hub: Hub, items: list[Item]) -> None:
    pairs: Pairs = []
    members: list[tuple[str, bytes | str]] = []
    for i, item in enumerate(items):
        key = f"aar_test_{4600 + i:05d}"
        path = f"images_aar/{key}.jpg"
        members.append((path, item.pictures[0].data or b""))
        placed = replace(item, pictures=[replace(item.pictures[0], path=path)])
        pairs.append((placed, _iiw_row(item, key, i)))
    members.append(("images_aar/aar_test_04998.jpg", "/etc/passwd"))
    for key, fate, plant in (
        ("aar_test_04999", ABSENT, "the tarball has no such picture"),
        ("../../etc/passwd", UNSAFE, "the key leads outside"),
        ("aar_test_04998", UNSAFE, "the picture is a symbolic link"),
    ):
        pairs.append((lost(fate, plant), _iiw_row(items[0], key, 1)))
    pairs.append((lost("bad_json", "a line that is not JSON"), b'{"IIW": "A photo of'))
    hub.json_rows("iiw_400", "google/imageinwords", "datasets/IIW-400/data.jsonl", pairs)
    hub.put("docci/docci_images_aar.tar.gz", layouts.tarred(members))


def _iiw_row(item: Item, key: str, number: int) -> dict[str, Any]:
    row: dict[str, Any] = {"IIW": item.turns[0][1], "image/key": key}
    if number % 4 == 0:
        row["IIW-P5B"] = item.extra["draft"]
        row["iiw-human-sxs-gpt4v"] = {"metrics/Comprehensiveness": "Neutral"}
    row["objects"] = [
        {
            "label": thing.name,
            "description": thing.called(),
            "normalized_coords": [str(round(999 * v)) for v in (0, thing.spots[0][0] - 0.1, 1, 1)],
        }
        for thing in item.extra["objects"]
    ]
    return row


def geo170k(hub: Hub, items: list[Item]) -> None:
    """Every picture has one row in `alignment` and the rest of its turns in `qa_tuning`."""
    repo = "Luckyjhg/Geo170K"
    splits: dict[str, Pairs] = {"qa_tuning": [], "alignment": []}
    for item in items:
        merged = replace(item, pictures=[], fate=Fate("merged", "same_image"))
        for number, turn in enumerate(item.turns):
            row = {"image": item.pictures[0].path, "conversations": layouts.talk(turn)}
            placed = merged if number else item
            splits["qa_tuning" if number else "alignment"].append((placed, row))
    splits["qa_tuning"] += _geo170k_strays(items[0])
    for split, pairs in reversed(splits.items()):
        rows = [row for _, row in pairs]
        hub.shards("geo170k", repo, f"data/{split}", [i for i, _ in pairs], rows, layouts.GEO170K)
        hub.put(f"{repo}/{split}.json", json.dumps(rows).encode())
    members = [(f"images/{p.path}", p.data) for item in items for p in item.pictures if p.data]
    hub.put(f"{repo}/images.zip", layouts.zipped(members))


def _geo170k_strays(first: Item) -> Pairs:
    """Two bad turns about the first picture, and rows that have no usable picture or talk."""
    path, ask = first.pictures[0].path, "<image>\nWhat is the area of the figure?"
    reply = layouts.talk((ask, "It cannot be told."))
    sorry = layouts.talk((ask, "Sorry, I cannot see the figure."))
    token = layouts.talk((ask, "12</s>"))
    rows: tuple[tuple[str | None, Any, Fate | str, str], ...] = (
        (path, sorry, Fate("merged", "same_image", {"refusal": 1}), "a refusal"),
        (path, token, Fate("merged", "same_image", {"special_token": 1}), "a special token"),
        (path, [reply[0], reply[0]], "bad_row", "two questions in a row"),
        ("geo3k/999.png", reply, ABSENT, "the zip has no such picture"),
        ("../../etc/passwd", reply, UNSAFE, "the row asks for a path outside"),
        ("", reply, "no_images", "the row names no picture"),
    )
    return [
        (lost(fate, plant), {"image": name, "conversations": talk})
        for name, talk, fate, plant in rows
    ]


def docmatix(hub: Hub, items: list[Item]) -> None:
    repo = "HuggingFaceM4/Docmatix"
    rows = [_docmatix_row(item) for item in items]
    hub.shards("docmatix", repo, "data/train", items, rows, layouts.CAULDRON, 2)
    _docmatix_pdf(hub, repo, items)
    # Row 1 is in both, as published.
    for split, part in (("test", rows[:2]), ("train", rows[1:4])):
        path = f"{repo}/zero-shot-exp/{split}-00000-of-00001.parquet"
        hub.put(path, layouts.parquet(part, layouts.CAULDRON))


def _docmatix_row(item: Item) -> dict[str, Any]:
    return cauldron_row(item, f"PDFA key: {item.extra['key']}")


def _docmatix_pdf(hub: Hub, repo: str, items: list[Item]) -> None:
    """The same documents as PDF files, and four that cannot be used."""
    whole = [item for item in items if item.plant == "" and "pages" in item.extra]
    documents = [(replace(item, pictures=[]), pdf_of(item.extra["pages"])) for item in whole]
    pages, (first, sound) = whole[0].extra["pages"], documents[0]
    for data, fate, plant in (
        (pdf_of(pages, encrypted=True), quarantined("pdf_encrypted"), "a PDF with a password"),
        (sound[:9] + b"\x00" * 400, quarantined("pdf_unreadable"), "a PDF of zeros"),
        (b"", quarantined("missing_image"), "a PDF of no bytes"),
        (pdf_of([pages[0]] * 6), Fate("dropped", "too_many_pages"), "a PDF of six pages"),
    ):
        documents.append((replace(first, fate=fate, plant=plant), data))
    rows = [{"pdf": data, "texts": _docmatix_row(item)["texts"]} for item, data in documents]
    bare = [item for item, _ in documents]
    hub.shards("docmatix:pdf", repo, "pdf/train", bare, rows, layouts.DOCMATIX_PDF)
