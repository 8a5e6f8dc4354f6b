"""PDFA as files: two tars of documents with annotations; the second one is cut off."""

from __future__ import annotations

import json
from typing import Any

from cauldron.sample.draw.page import Block
from cauldron.sample.model import Fate, Item, lost, quarantined
from cauldron.sample.pdfs import MadePdf
from cauldron.sample.pretraining import documents_of
from cauldron.sample.publish import layouts
from cauldron.sample.publish.hub import Hub
from cauldron.sample.publish.pdf import pdf_of

REPO = "pixparse/pdfa-eng-wds"
TARS = ("pdfa-eng-train-0000.tar", "pdfa-eng-train-0001.tar")
Members = list[tuple[str, bytes]]
# Pages that a tar has, with how many rows each of them stands for.
Rows = list[tuple[Item, int]]


def pdfa(hub: Hub, items: list[Item]) -> None:
    documents = documents_of(items)
    middle = len(documents) // 2
    first, second = documents[:middle], documents[middle:]
    members, rows = _whole(first)
    more, strays = _strays(first[0][0])
    _write(hub, TARS[0], members + more, rows + strays)
    members, rows = _whole(second)
    members += _sample("9000009", second[0][0].data, [_annotated(["cut"])])
    data = layouts.plain_tar(members)
    hub.put(f"{REPO}/{TARS[1]}", data[: data.index(b"9000009.pdf") + 700])
    _place(hub, TARS[1], rows)
    hub.place("pdfa", TARS[1], -1, lost("unreadable_file", "a tar that is cut off"))
    names = {"filenames": list(TARS), "num_samples": len(documents)}
    info = {"name": "pdfa-eng-wds", "splits": {"train": names}}
    hub.put(f"{REPO}/_info.json", json.dumps(info).encode())


def _whole(documents: list[tuple[MadePdf, list[Item]]]) -> tuple[Members, Rows]:
    members: Members = []
    rows: Rows = []
    for document, pages in documents:
        annotation = [_annotated(lines) for lines in document.pages]
        members += _sample(document.name.zfill(7), document.data, annotation)
        rows += [(page, 1) for page in pages]
    return members, rows


def _strays(sound: MadePdf) -> tuple[Members, Rows]:
    """Documents of which not every page can be used."""
    blank, blank_rows = _two("Blank page")
    few, few_rows = _two("Page too many in the annotation")
    many, many_rows = _two("Page too many in the PDF")
    locked, missing = pdf_of([[]], encrypted=True), quarantined("page_missing")
    empty = Fate("dropped", "empty_document")
    first, second = (_annotated([_text(page)]) for page in blank_rows)
    described: list[tuple[Any, bytes | None, Rows]] = [
        ([first, _annotated([])], blank, [(blank_rows[0], 1),
                                          (lost(empty, "a page without text"), 1)]),
        ([{"text": [_text(page)]} for page in few_rows] + [second], few,
         [*((page, 1) for page in few_rows), (lost(missing, "an annotation too long"), 1)]),
        ([_annotated([_text(many_rows[0])])], many,
         [(many_rows[0], 1), (lost(missing, "a PDF of a page too many"), 1)]),
        ([first, second], None, [(lost("pdf_missing", "an annotation without its PDF"), 2)]),
        ([first], locked, [(lost("pdf_encrypted", "a PDF with a password"), 1)]),
        ([first], sound.data[:40], [(lost("pdf_unreadable", "a PDF cut off"), 1)]),
        (None, blank, [(lost("bad_json", "an annotation that is not JSON"), 1)]),
    ]  # fmt: skip
    members: Members = []
    rows: Rows = []
    for number, (pages, data, outcome) in enumerate(described):
        members += _sample(f"{9_000_000 + number}", data, pages)
        rows += outcome
    return members, rows


def _two(plant: str) -> tuple[bytes, list[Item]]:
    """A document of two pages, and the rows that they are."""
    pages = [Item([], [(None, f"{plant}: {word}.")], plant=plant) for word in ("one", "two")]
    return pdf_of([[Block("text", ((_text(page),),))] for page in pages]), pages


def _text(page: Item) -> str:
    return page.turns[0][1] or ""


def _annotated(lines: list[str]) -> dict[str, Any]:
    words = [word for line in lines for word in line.split()]
    return {
        "images_bbox": [],
        "lines": {"text": lines, "bbox": [[0.1, 0.1, 0.5, 0.02]] * len(lines)},
        "words": {"text": words, "bbox": [[0.1, 0.1, 0.05, 0.02]] * len(words)},
    }


def _sample(key: str, data: bytes | None, pages: Any) -> Members:
    annotation = b'{"pages": [' if pages is None else json.dumps({"pages": pages}).encode()
    return [(f"{key}.json", annotation), *([] if data is None else [(f"{key}.pdf", data)])]


def _write(hub: Hub, path: str, members: Members, rows: Rows) -> None:
    hub.put(f"{REPO}/{path}", layouts.plain_tar(members))
    _place(hub, path, rows)


def _place(hub: Hub, path: str, rows: Rows) -> None:
    number = 0
    for item, count in rows:
        hub.place("pdfa", path, number, item, count)
        number += count
