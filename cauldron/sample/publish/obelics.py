"""OBELICS as files: pages of texts and images by URL, in the folders of both configurations."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from cauldron.sample.model import Fate, Item, quarantined
from cauldron.sample.publish import layouts
from cauldron.sample.publish.hub import Hub
from cauldron.sample.publish.others import Pairs
from cauldron.sample.publish.pretraining import EMPTY, image_url

REPO = "HuggingFaceM4/OBELICS"
FOLDER = "opt_out_docs_removed_2023_07_12"
END = "END_OF_DOCUMENT_TOKEN_TO_BE_REPLACED"
PAGES = "http://pages.sample.invalid"

# What a published row holds at each position: a URL, a text, or nothing.
Content = list[tuple[str | None, str | None]]


def obelics(hub: Hub, items: list[Item]) -> None:
    """Two files of the pages that stayed when others opted out, and one of the whole set."""
    contents = [_content(hub, item, number) for number, item in enumerate(items)]
    pairs: Pairs = [
        (item, _row(content, number)) for number, (item, content) in enumerate(zip(
            items, contents, strict=True))
    ]  # fmt: skip
    first, good = items[0], contents[0]
    copy, empty = (
        Fate("merged", "exact_copy"),
        [(url or "", text or "") for url, text in contents[1]],
    )
    strays: list[tuple[Item, str, Fate, Content]] = [
        (first, "exact copy", copy, good),
        (items[1], "exact copy with empty strings for nulls", copy, [*empty]),
        (first, "a page without an image", EMPTY, [part for part in good if part[1]]),
        (first, "a page without a text", EMPTY, [part for part in good if part[0]]),
        (first, "one URL that is none", Fate(), [*good, ("http://", None), (None, "More.")]),
    ]
    pairs += [
        (replace(item, fate=fate, plant=plant), _row(content, len(pairs) + number))
        for number, (item, plant, fate, content) in enumerate(strays)
    ]
    broken = replace(first, fate=quarantined("bad_row"), plant="lists of different lengths")
    pairs.append((broken, {**_row(good, len(pairs)), "texts": ["One."]}))
    middle = len(pairs) // 2
    for shard, part in enumerate((pairs[:middle], pairs[middle:])):
        path = hub.shard_name(f"{FOLDER}/train", shard, 2)
        rows = [row for _, row in part]
        if shard:
            rows.append(_row(_two(contents), 9_000))
            for item in items[2:4]:
                hub.place("obelics", path, len(part), replace(item, plant="two documents in a row"))
        hub.put(f"{REPO}/{path}", layouts.parquet(rows, layouts.OBELICS))
        for row, (item, _) in enumerate(part):
            hub.place("obelics", path, row, item)
    path = hub.shard_name("data/train", 0, 1)
    hub.put(f"{REPO}/{path}", layouts.parquet([row for _, row in pairs], layouts.OBELICS))


def _two(contents: list[Content]) -> Content:
    """The contents of two pages, one after the other, with other texts than these have."""
    pages = [[(url, text and f"{text} (archived)") for url, text in page] for page in contents[2:4]]
    return [*pages[0], (None, END), *pages[1]]


def _content(hub: Hub, item: Item, number: int) -> Content:
    pictures = iter(item.pictures)
    content: Content = []
    for place, part in enumerate(item.extra["parts"]):
        if part is None:
            picture = next(pictures)
            name = "logo" if picture is item.extra["logo"] else f"{number:06d}-{place}"
            content.append((image_url(hub, f"obelics/{name}.jpg", picture), None))
        else:
            content.append((None, part))
    return content


def _row(content: Content, number: int) -> dict[str, Any]:
    page = f"{PAGES}/{number}"
    about = [{"document_url": page, "src": url} if url else None for url, _ in content]
    return {
        "images": [url for url, _ in content],
        "metadata": json.dumps(about),
        "general_metadata": json.dumps({"url": page, "warc_filename": "sample.warc.gz"}),
        "texts": [text for _, text in content],
    }
