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
    made = rows.items(name, studio, rng, DRAWN)
    for number, item in enumerate(made):
        if name == "chartgemma":
            item.turns = [item.turns[number % len(item.turns)]]
        else:
            item.turns = [(None, item.turns[0][1])]
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
