"""The ordinary rows of the sources of the pre-training stages.

The text of a document is the answer of its item, which has no question.
"""

from __future__ import annotations

import itertools
from typing import Any

from cauldron.sample import rows
from cauldron.sample.model import Item, Rng, load
from cauldron.sample.pdfs import MadePdf, made_pdfs
from cauldron.sample.studio import Studio

DRAWN: dict[str, dict[str, Any]] = {
    name: {**rows.SETS.get(entry.get("like", ""), {}), **entry}
    for name, entry in load("pretraining").items()
}


def items(name: str, studio: Studio, rng: Rng) -> list[Item]:
    """The ordinary rows of a source: documents, and the questions of ChartGemma."""
    if name == "pdfa":
        return pdf_pages(studio)
    if name == "obelics":
        return web_pages(name, studio, rng)
    made = rows.items(name, studio, rng, DRAWN)
    for number, item in enumerate(made):
        if name == "chartgemma":
            item.turns = [item.turns[number % len(item.turns)]]
        else:
            item.turns = [(None, item.turns[0][1])]
    return made


def web_pages(name: str, studio: Studio, rng: Rng) -> list[Item]:
    """Pages of two photographs and texts in turn; every second one ends with the site's logo."""
    first, second, third = (rows.items(name, studio, rng, DRAWN) for _ in range(3))
    logo = third[0].pictures[0]
    made = []
    for number, (one, two) in enumerate(zip(first, second, strict=True)):
        told = [item.turns[0][1] or "" for item in (one, two)]
        parts = [f"Seen on day {number + 1}.", None, f"Above is {told[0]}.\n\nNext:", None,
                 f"That was {told[1]}."]  # fmt: skip
        pictures = [one.pictures[0], two.pictures[0]]
        if number % 2 == 0:
            parts.append(None)
            pictures.append(logo)
        text = "\n\n".join(part for part in parts if part)
        made.append(Item(pictures, [(None, text)], {"parts": parts, "logo": logo}))
    return made


def pdf_pages(studio: Studio) -> list[Item]:
    """An item for each page of some documents; the reader renders the pages."""
    made: list[Item] = []
    for document in made_pdfs(studio.rows * 20, studio.seed):
        if len(made) >= studio.rows:
            break
        if not document.damage:
            made += pages_of(document)
    return made


def pages_of(document: MadePdf) -> list[Item]:
    return [
        Item([], [(None, "\n".join(lines))], {"document": document}) for lines in document.pages
    ]


def documents_of(items: list[Item]) -> list[tuple[MadePdf, list[Item]]]:
    """The documents that the items are pages of, in order."""
    grouped = itertools.groupby(items, key=lambda item: item.extra["document"].name)
    listed = [list(pages) for _, pages in grouped]
    return [(pages[0].extra["document"], pages) for pages in listed]
