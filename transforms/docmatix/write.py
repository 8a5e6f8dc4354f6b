"""Write: answers to pairs, pairs to rows, rows with page images or PDFs to shards.

Each part of the selection becomes a shard of both published configurations, ``images/`` and
``pdf/``, and a part of two tables that account for every document and every pair.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from cauldron.sources.formats.pdf import render_pdf
from cauldron.sources.formats.pdf_pages import PdfError
from cauldron.sources.pdfs import PdfDocument, PdfPiece, read_pdfs
from cauldron.transforms.docmatix.ask import question_of
from cauldron.transforms.docmatix.grounding import Document
from cauldron.transforms.docmatix.pairs import Pair, parse, problem
from cauldron.transforms.docmatix.prompts import ROLES
from cauldron.transforms.docmatix.records import (
    DOCUMENT_SCHEMA,
    PAIR_SCHEMA,
    Selection,
    TableWriter,
)
from cauldron.transforms.models.store import AnswerStore

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.output.markers import marker_path
from cauldron.core.sections.docmatix import DocmatixRules
from cauldron.core.sections.models import ModelRules

# Part of every dataset's fingerprint. Raise it if the same answers would give other bytes.
WRITE_VERSION = 2

_TEXTS = pa.list_(
    pa.struct([("user", pa.string()), ("assistant", pa.string()), ("source", pa.string())])
)
_IMAGES = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
_TEXT_FEATURES = [
    {name: {"dtype": "string", "_type": "Value"} for name in ("user", "assistant", "source")}
]
_PDFA_KEY_DIGITS = 7


def _schema(column: str, kind: pa.DataType, feature: dict[str, Any]) -> pa.Schema:
    """A published configuration, with the metadata by which ``datasets`` decodes images."""
    info = json.dumps({"info": {"features": {column: feature, "texts": _TEXT_FEATURES}}})
    schema = pa.schema([(column, kind), ("texts", _TEXTS)])
    return schema.with_metadata({b"huggingface": info.encode()})


IMAGES_SCHEMA = _schema("images", _IMAGES, {"feature": {"_type": "Image"}, "_type": "Sequence"})
PDF_SCHEMA = _schema("pdf", pa.binary(), {"dtype": "binary", "_type": "Value"})

# Folder and schema of each file of a part, and the leaves that are compressed already.
FILES = {
    "images": (IMAGES_SCHEMA, ("images.list.element.bytes",)),
    "pdf": (PDF_SCHEMA, ("pdf",)),
    "documents": (DOCUMENT_SCHEMA, ()),
    "pairs": (PAIR_SCHEMA, ()),
}


class WriteWork(NamedTuple):
    """A part and the piece of PDFs that it was selected from."""

    part: int
    piece: PdfPiece


@dataclass(frozen=True)
class WriteJob:
    """Attributes:
    answers: the folder of the store.
    folder: of the dataset.
    fingerprint: of the dataset.
    """

    selection: Selection
    rules: DocmatixRules
    model: ModelRules
    answers: str
    folder: str
    fingerprint: str

    def marker(self, part: int) -> str:
        return marker_path(self.folder, "write", part, self.selection.parts)

    def file_name(self, kind: str, part: int) -> str:
        stem = "train" if kind in ("images", "pdf") else "part"
        return f"{stem}-{part:05d}-of-{self.selection.parts:05d}.parquet"


@lru_cache(maxsize=1)
def _store(answers: str) -> AnswerStore:
    """One for each worker process: it holds the places of all answers."""
    return AnswerStore(answers)


def write_part(work: WriteWork, job: WriteJob) -> str:
    """Write the files of one part. Returns the path of its marker."""
    store = _store(job.answers)
    store.refresh()
    counts: Counter[str] = Counter()
    rows = job.selection.rows(work.part)
    with ExitStack() as files:
        tables = {}
        entries = {}
        for kind, (schema, stored) in FILES.items():
            path = storage.join(job.folder, kind, job.file_name(kind, work.part))
            entries[kind] = files.enter_context(storage.atomic_write(path))
            tables[kind] = TableWriter(entries[kind], schema, stored)
        for document, row in zip(read_pdfs(job.selection.repo, work.piece), rows, strict=True):
            _check_same(document, row)
            _add(document, row, _judged(row, job, store), tables, counts)
        for table in tables.values():
            table.close()
    mark = {
        "part": work.part,
        "fingerprint": job.fingerprint,
        "files": {
            kind: file.entry(job.file_name(kind, work.part), tables[kind].rows)
            for kind, file in entries.items()
        },
        "counts": dict(counts),
    }
    storage.write_json(job.marker(work.part), mark)
    return job.marker(work.part)


def _check_same(document: PdfDocument, row: dict[str, Any]) -> None:
    if (document.key, hashlib.sha256(document.data).hexdigest()) != (row["key"], row["sha256"]):
        raise CauldronError(f"{document.file} changed during the run: run the command again")


def _judged(row: dict[str, Any], job: WriteJob, store: AnswerStore) -> list[dict[str, Any]]:
    """The rows of `PAIR_SCHEMA` of a document; `row` gets its count of ``unanswered``."""
    pairs: list[dict[str, Any]] = []
    row["unanswered"] = 0
    document = Document(row["texts"])
    for number, chunk in enumerate(row["chunks"]):
        answer = store.get(question_of(row, chunk).key(job.model))
        if answer is None:
            row["unanswered"] += 1
            continue
        place = {"key": row["key"], "chunk": number, "role": list(ROLES)[chunk["role"]]}
        # A model can write half of a surrogate pair, which no file can hold.
        text = answer.text.encode("utf-8", "replace").decode()
        pairs += [place | judge(pair, document, job.rules) for pair in parse(text)]
    return pairs


def judge(pair: Pair, document: Document, rules: DocmatixRules) -> dict[str, Any]:
    """The pair with its outcome, as columns of `PAIR_SCHEMA`."""
    reason, detail = problem(pair, rules.drop_pairs), ""
    if not reason:
        missing, facts = document.missing(pair.answer)
        if len(missing) > rules.max_missing * facts:
            reason, detail = "not_in_document", ", ".join(missing)
    return {
        "number": pair.number,
        "question": pair.question,
        "answer": pair.answer,
        "outcome": "dropped" if reason else "kept",
        "reason": reason,
        "detail": detail,
    }


def _add(
    document: PdfDocument,
    row: dict[str, Any],
    pairs: list[dict[str, Any]],
    tables: dict[str, TableWriter],
    counts: Counter[str],
) -> None:
    """Add a document to the tables, and to the shards if it is kept."""
    if row["outcome"] == "kept":
        _settle(document, row, pairs, tables)
    for pair in pairs:
        if row["outcome"] != "kept" and not pair["reason"]:
            pair |= {"outcome": "dropped", "reason": "no_document"}
        counts[f"pairs/{pair['reason'] or 'kept'}"] += 1
        tables["pairs"].add(pair)
    values = {
        **row,
        "requests": len(row["chunks"]),
        "pairs": len(pairs),
        "pairs_kept": sum(not pair["reason"] for pair in pairs),
    }
    tables["documents"].add({name: values[name] for name in DOCUMENT_SCHEMA.names})
    counts[f"documents/{row['reason'] or 'kept'}"] += 1
    counts["requests"] += len(row["chunks"])
    counts["unanswered"] += row["unanswered"]
    counts["pages"] += row["pages"] if row["outcome"] == "kept" else 0


def _settle(
    document: PdfDocument,
    row: dict[str, Any],
    pairs: list[dict[str, Any]],
    tables: dict[str, TableWriter],
) -> None:
    """Write the rows of a selected document, or say why it has none."""
    kept = [pair for pair in pairs if not pair["reason"]]
    if not kept:
        unanswered = row["unanswered"] == len(row["chunks"])
        row |= {"outcome": "dropped", "reason": "no_answer" if unanswered else "no_pairs"}
        return
    try:
        pages = [page.png for page in render_pdf(document.data, row["pages"])]
    except PdfError as problem:
        row |= {"outcome": "quarantined", "reason": problem.reason, "message": problem.message}
        return
    source = f"PDFA key: {_published_key(row['key'])}"
    texts = [
        {"user": pair["question"], "assistant": pair["answer"], "source": source} for pair in kept
    ]
    images = [{"bytes": png, "path": None} for png in pages]
    tables["images"].add({"images": images, "texts": texts}, sum(map(len, pages)))
    tables["pdf"].add({"pdf": document.data, "texts": texts}, len(document.data))


def _published_key(key: str) -> str:
    """As in Docmatix: a key of PDFA without its leading zeros."""
    return str(int(key)) if key.isdigit() and len(key) == _PDFA_KEY_DIGITS else key


class WriteShards(beam.PTransform):
    """`WriteWork` in, the path of each finished part's marker out."""

    def __init__(self, job: WriteJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, work: beam.PCollection[WriteWork]) -> beam.PCollection[str]:
        return (
            work
            | "Spread parts" >> beam.Reshuffle()
            | "Filter, draw, write" >> beam.Map(write_part, self._job)
        )
