"""Select: from PDFs to the documents that are used, their text, and the requests on them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from cauldron.sources.formats.pdf import open_pdf
from cauldron.sources.formats.pdf_pages import PdfError
from cauldron.sources.pdfs import PdfDocument, PdfPiece, read_pdfs
from cauldron.transforms.docmatix import chunks
from cauldron.transforms.docmatix.prompts import request_key, role_of, uniform
from cauldron.transforms.docmatix.records import SELECTION_SCHEMA, Selection, TableWriter
from cauldron.transforms.tokens import TokenCounter, token_counter

from cauldron.core import storage
from cauldron.core.reasons import DOCUMENT_DROPPED, DROPPED
from cauldron.core.sections.docmatix import DocmatixRules

# Part of every selection's fingerprint. Raise it if the same PDFs would be read differently.
SELECT_VERSION = 1


class SelectWork(NamedTuple):
    """One piece and the number of the part that it becomes."""

    part: int
    piece: PdfPiece


class _NotUsed(Exception):  # noqa: N818 - an outcome that is recorded, not a failure
    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.message = message


def select_part(work: SelectWork, job: Selection) -> str:
    """Read a piece and write its part. Returns the path of its marker."""
    counter = token_counter(job.rules.tokenizer)
    counts: Counter[str] = Counter()
    with storage.atomic_write(job.path(work.part)) as file:
        table = TableWriter(file, SELECTION_SCHEMA)
        for document in read_pdfs(job.repo, work.piece):
            row = select(document, job.rules, job.seed, counter)
            counts["documents"] += 1
            counts["pages"] += row["pages"] if not row["reason"] else 0
            counts["requests"] += len(row["chunks"])
            counts[row["reason"] or "selected"] += 1
            table.add(row, 1_000 + sum(map(len, row["texts"])))
        table.close()
    mark = {"part": work.part, "file": file.entry(_name(job, work.part), table.rows)}
    storage.write_json(job.marker(work.part), mark | {"counts": dict(counts)})
    return job.marker(work.part)


def select(
    document: PdfDocument, rules: DocmatixRules, seed: int, counter: TokenCounter
) -> dict[str, Any]:
    """The row of a document, without text or requests if it is not used."""
    row: dict[str, Any] = {
        "key": document.key,
        "file": document.file,
        "sha256": hashlib.sha256(document.data).hexdigest(),
        "bytes": len(document.data),
        "pages": 0,
        "tokens": 0,
        "text_from": "",
        "outcome": "kept",
        "reason": "",
        "message": "",
        "texts": [],
        "chunks": [],
    }
    try:
        _fill(row, document, rules, seed, counter)
    except (_NotUsed, PdfError) as problem:
        is_rule = problem.reason in DROPPED or problem.reason in DOCUMENT_DROPPED
        row["outcome"] = "dropped" if is_rule else "quarantined"
        row |= {"reason": problem.reason, "message": problem.message, "texts": [], "chunks": []}
    return row


def _fill(
    row: dict[str, Any],
    document: PdfDocument,
    rules: DocmatixRules,
    seed: int,
    counter: TokenCounter,
) -> None:
    if document.reason:
        raise _NotUsed(document.reason, document.message)
    if uniform(seed, "share", document.key) >= rules.share * 2**64:
        raise _NotUsed("not_chosen")
    row["texts"], row["text_from"] = _texts(document, rules.max_pages)
    row["pages"] = len(row["texts"])
    tokens = counter.count(row["texts"])
    row["tokens"] = sum(tokens)
    if max(tokens) > rules.max_page_tokens:
        page = tokens.index(max(tokens)) + 1
        raise _NotUsed("long_page", f"page {page} has {max(tokens)} tokens")
    if not any(text.strip() for text in row["texts"]):
        raise _NotUsed("no_text")
    row["chunks"] = [
        _chunk(row["texts"], tokens, pages, role_of(seed, document.key, number))
        for number, pages in enumerate(chunks.cut(tokens, rules))
        if any(row["texts"][page].strip() for page in pages)
    ]


def _texts(document: PdfDocument, max_pages: int) -> tuple[list[str], str]:
    """Text by page, and where it is from. The PDF is opened, so no broken one is asked about."""
    if document.texts is not None and len(document.texts) > max_pages:
        what = f"{len(document.texts)} pages, of {max_pages} at most"
        raise _NotUsed("too_many_pages", what)
    with open_pdf(document.data, max_pages) as pdf:
        if document.texts is not None and len(document.texts) == pdf.pages:
            return document.texts, "annotation"
        return [_clean(pdf.text(number)) for number in range(pdf.pages)], "text_layer"


def _clean(text: str) -> str:
    """Without trailing white space of lines, and at most one empty line in a row."""
    # From the first sign of a run only: a run without a line end is looked through once.
    text = re.sub(r"(?<![ \t\r\f\v])[ \t\r\f\v]++\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _chunk(texts: Sequence[str], tokens: Sequence[int], pages: range, role: int) -> dict[str, Any]:
    return {
        "start": pages.start,
        "stop": pages.stop,
        "tokens": sum(tokens[page] for page in pages),
        "role": role,
        "request": request_key(chunks.joined(texts, pages), role),
    }


def _name(job: Selection, part: int) -> str:
    return job.path(part).rpartition("/")[2]


class SelectDocuments(beam.PTransform):
    """`SelectWork` in, the path of each finished part's marker out."""

    def __init__(self, job: Selection) -> None:
        super().__init__()
        self._job = job

    def expand(self, work: beam.PCollection[SelectWork]) -> beam.PCollection[str]:
        return (
            work
            | "Spread pieces" >> beam.Reshuffle()
            | "Read documents" >> beam.Map(select_part, self._job)
        )
