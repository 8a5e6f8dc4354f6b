"""A made benchmark: questions on pages of made PDFs, in the layout of lmms-lab/DocVQA.

``python -m cauldron.sample.docvqa ROOT`` writes ``ROOT/lmms-lab/DocVQA``, on which
``cauldron eval MODEL --root ROOT --benchmark docvqa`` runs without a network. Its documents are
made with another seed than the folder of `cauldron.sample.pdfs`, so a model that was trained on
those has not seen them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cauldron.sample.pdfs import made_pdfs
from cauldron.sources.formats.pdf import render_pdf

SEED = 1
_MOST_PAGES = 4
# Seven of ten documents or more can be read.
_DOCUMENTS_A_QUESTION = 2
_SCHEMA = pa.schema(
    [
        ("questionId", pa.string()),
        ("question", pa.string()),
        ("question_types", pa.list_(pa.string())),
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("docId", pa.int64()),
        ("answers", pa.list_(pa.string())),
        ("data_split", pa.string()),
    ]
)


def questions(count: int, seed: int = SEED) -> Iterator[dict[str, Any]]:
    """`count` rows of the benchmark: a page each, and a question on one of its lines."""
    found = _pages(count * _DOCUMENTS_A_QUESTION, seed)
    for number, (document, png, lines) in enumerate(islice(found, count)):
        # "Total due: 1,234 EUR"
        labelled = [line.split(": ", 1) for line in lines if ": " in line]
        label, value = labelled[number % len(labelled)]
        yield {
            "questionId": str(number),
            "question": f"What is the {label.lower()}?",
            "question_types": ["form"],
            "image": {"bytes": png, "path": f"{number}.png"},
            "docId": document,
            "answers": [value],
            "data_split": "val",
        }


def _pages(documents: int, seed: int) -> Iterator[tuple[int, bytes, list[str]]]:
    """The first pages of readable documents: the document's number, a PNG, the lines of text."""
    for number, made in enumerate(made_pdfs(documents, seed)):
        if not made.damage:
            page = next(render_pdf(made.data, _MOST_PAGES))
            yield number, page.png, made.pages[0]


def write_docvqa(root: Path, count: int, seed: int = SEED) -> Path:
    """Write the benchmark's validation split below a root in the hub's layout."""
    path = root / "lmms-lab/DocVQA/DocVQA/validation-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(questions(count, seed)), schema=_SCHEMA), path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a made benchmark in DocVQA's layout.")
    parser.add_argument("root", type=Path)
    parser.add_argument("--count", type=int, default=8, help="questions")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    print(f"{options.count} questions are in {write_docvqa(**vars(options))}")


if __name__ == "__main__":
    main()
