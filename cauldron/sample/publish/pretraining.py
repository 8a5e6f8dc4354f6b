"""The sources of the pre-training stages as files, and the images that are behind URLs.

An image at ``http://images.sample.invalid/<path>`` is the file ``_images/<path>`` of the hub.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from cauldron.sample.model import Fate, Item, Picture, Turn, opened, quarantined, saved
from cauldron.sample.publish import layouts
from cauldron.sample.publish.hub import Hub
from cauldron.sample.publish.others import Pairs

HOST = "http://images.sample.invalid"
IMAGES = "_images"
BAD_URL, EMPTY = quarantined("bad_url"), Fate("dropped", "empty_document")
PREFIX = "This image displays:"
SPARK = "2256f782-126f-4dc6-b9c6-e6757637749d-c000.snappy"


def image_url(hub: Hub, path: str, picture: Picture) -> str:
    """Put an image where its URL leads."""
    hub.put(f"{IMAGES}/{path}", picture.data or b"")
    return f"{HOST}/{path}"


def _text(item: Item) -> str | None:
    return item.turns[0][1]


def _planted(item: Item, fate: Fate, plant: str, *turns: Turn) -> Item:
    return replace(item, turns=list(turns) or item.turns, fate=fate, plant=plant)


def laion_coco(hub: Hub, items: list[Item]) -> None:
    """Two files: sizes are floats in one and whole numbers in the other."""
    pairs: Pairs = []
    for number, item in enumerate(items):
        url = image_url(hub, f"laion_coco/{number:06d}.jpg", item.pictures[0])
        pairs.append((item, _laion_row(url, _text(item))))
    first, good = items[0], pairs[0][1]
    pairs += [
        (_planted(first, Fate("merged", "exact_copy"), "exact copy"), good),
        (_planted(first, BAD_URL, "the URL is null"), good | {"URL": None}),
        (_planted(first, BAD_URL, "the URL is empty"), good | {"URL": ""}),
        (_planted(first, BAD_URL, "a URL of ftp"), good | {"URL": "ftp://a.invalid/1.jpg"}),
        (_planted(first, EMPTY, "the caption is null"), good | {"top_caption": None}),
    ]
    middle = len(pairs) // 2
    for number, (part, schema) in enumerate(
        ((pairs[:middle], layouts.LAION_FLOATS), (pairs[middle:], layouts.LAION))
    ):
        path = f"part-{number:05d}-{SPARK}.parquet"
        hub.put(f"laion/laion-coco/{path}", layouts.parquet([row for _, row in part], schema))
        for row, (item, _) in enumerate(part):
            hub.place("laion_coco", path, row, item)


def _laion_row(url: str, caption: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {"URL": url, "TEXT": "IMG_0042", "top_caption": caption}
    row |= {"all_captions": [caption, f"{caption}, in daylight"], "all_similarities": [0.3, 0.2]}
    return row | {"WIDTH": None, "HEIGHT": 360, "similarity": 0.3, "punsafe": 0.01}


def pixelprose(hub: Hub, items: list[Item]) -> None:
    """Three files, of which one has text where the others have numbers."""
    pairs: Pairs = []
    for number, item in enumerate(items):
        url = image_url(hub, f"pixelprose/{number:06d}.jpg", item.pictures[0])
        pairs.append((item, _pixelprose_row(url, item, number)))
    first, good = items[0], pairs[0][1]
    failed = Fate("dropped", "marked_failed")
    pairs += [
        (_planted(first, failed, "a status of failure"), good | {"status": "failed_to_download"}),
        (_planted(first, BAD_URL, "the URL is null"), good | {"url": None}),
        (
            _planted(first, EMPTY, "the prefix alone"),
            good | {"vlm_caption": "This image displays:"},
        ),
    ]
    third = -(-len(pairs) // 3)
    for number, part in enumerate(("cc12m", "common-pool", "redcaps")):
        path = f"data/vlm_captions_{part}_00.parquet"
        mine = pairs[number * third : (number + 1) * third]
        if part == "redcaps":
            mine = [(item, row | {"subreddit": "pics", "score": "41"}) for item, row in mine]
        schema = layouts.PIXELPROSE_REDCAPS if part == "redcaps" else layouts.PIXELPROSE
        data = layouts.parquet([row for _, row in mine], schema)
        hub.put(f"tomg-group-umd/pixelprose/{path}", data)
        for row, (item, _) in enumerate(mine):
            hub.place("pixelprose", path, row, item)


def _pixelprose_row(url: str, item: Item, number: int) -> dict[str, Any]:
    digest = hashlib.sha256(item.pictures[0].data or b"").hexdigest()
    separator = ("\n", " ")[number % 2]
    return {
        "uid": hashlib.sha256(url.encode()).hexdigest(),
        "url": url,
        "key": f"{number:09d}",
        "status": "success",
        "original_caption": "<PERSON> at the market",
        "vlm_model": "gemini-pro-vision",
        "vlm_caption": f" {PREFIX}{separator}{_text(item)}",
        "toxicity": 0.001,
        "watermark_class_id": None,
        "width": 480,
        "height": 360,
        "sha256": digest,
        "subreddit": -1,
        "score": -1,
    }


def websight(hub: Hub, items: list[Item]) -> None:
    """Both versions; in v0.2 an idea stands beside the HTML, and one screenshot is very tall."""
    repo, first = "HuggingFaceM4/WebSight", items[0]
    tall = opened(first.pictures[0]).convert("RGB").resize((240, 3600))
    strays = [
        replace(first, pictures=[Picture(saved(tall, "JPEG", quality=65))], plant="a tall page"),
        _planted(first, Fate("merged", "exact_copy"), "exact copy"),
        _planted(first, EMPTY, "the HTML is null", (None, None)),
        _planted(first, quarantined("missing_image"), "no screenshot"),
    ]
    items = [*items, *strays]
    idea = "A company presents itself on one page."
    rows = [
        {"image": _image(item), "text": _text(item), "llm_generated_idea": idea} for item in items
    ]
    rows[-1]["image"] = {"bytes": None, "path": None}
    hub.shards("websight", repo, "v0.2/train", items, rows, layouts.WEBSIGHT_V2, 2)
    older = [{key: row[key] for key in ("image", "text")} for row in rows[:3]]
    name = hub.shard_name("data/train", 0, 1)
    hub.put(f"{repo}/{name}", layouts.parquet(older, layouts.WEBSIGHT_V1))


def _image(item: Item) -> dict[str, Any]:
    return {"bytes": item.pictures[0].data, "path": None}


def chartgemma(hub: Hub, items: list[Item]) -> None:
    first = items[0]
    strays = [
        _planted(first, Fate("merged", "exact_copy"), "exact copy"),
        _planted(first, quarantined("missing_image"), "the image has no bytes"),
    ]
    items = [*items, *strays]
    rows = [
        {"image": item.pictures[0].data, "input": item.turns[0][0], "output": item.turns[0][1]}
        for item in items
    ]
    rows[-1]["image"] = b""
    repo = "ahmed-masry/ChartGemma"
    hub.shards("chartgemma", repo, "data/train", items, rows, layouts.CHARTGEMMA, 2, hashed=False)


def rendered_text_full(hub: Hub, items: list[Item]) -> None:
    """Tars at the root and in a folder."""
    repo, middle = "wendlerc/RenderedText", len(items) // 2
    for path, start, stop in (
        ("000000.tar", 0, middle),
        ("remaining/000001.tar", middle, len(items)),
    ):
        members: list[tuple[str, bytes]] = []
        for row, item in enumerate(items[start:stop]):
            lines = (_text(item) or "").replace(". ", ".\n").split("\n")
            annotation = {"ocr_annotation": {"text": lines, "bb_relative": []}, "font": "a.ttf"}
            members.append((f"{start + row}.json", json.dumps(annotation).encode()))
            members.append((f"{start + row}.png", item.pictures[0].data or b""))
            hub.place("rendered_text_full", path, row, item)
        if start:
            row = stop - start
            members.append((f"{stop}.json", b'{"ocr_annotation": {'))
            members.append((f"{stop}.png", items[0].pictures[0].data or b""))
            broken = _planted(items[0], quarantined("bad_json"), "an annotation that is not JSON")
            hub.place("rendered_text_full", path, row, broken)
        hub.put(f"{repo}/{path}", layouts.plain_tar(members))
