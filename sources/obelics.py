"""OBELICS: web pages as documents of texts and images in the order of reading (Hugging Face M4).

Where: ``HuggingFaceM4/OBELICS``, parquet. Licence: CC-BY-4.0. Images are URLs, fetched while the
source is ingested. Option ``config``, as on the hub:

- ``opt_out_docs_removed_2023_07_12`` (default): without the pages whose owners opted out.
  ``opt_out_docs_removed_2023_07_12/train-<i>-of-01370-<hash>.parquet``, 134,648,855 rows, 267 GB.
- ``default``: ``data/train-<i>-of-01432-<hash>.parquet``, 141,047,697 rows.

A row is ``{images: [URL or null], texts: [text or null], metadata, general_metadata}``: at each
position stands either an image or a text. Its key is the page's URL, from ``general_metadata``.

Quirks handled here:

- Some texts hold ``END_OF_DOCUMENT_TOKEN_TO_BE_REPLACED``: several documents stand in one row. Each
  is a row of its own here, with a number after its key, as a page of PDFA is. So with a small limit
  one worker reads the files one after the other, until it has enough. With a limit of more than
  ``base.IN_TURN_ROWS`` each piece gives its first documents, by its part of the published rows.
- Absent images and texts may be "" instead of null. A position with neither is skipped.
- An image whose URL is none is left out of its document and counted (``bad_url``). A document
  without text or without any image is ``empty_document``.
- ``metadata`` repeats the URLs, with sizes that need not be those of the image; it is not read.
  ``general_metadata`` is "[]" where the extractor failed; such a row has no key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cauldron.sources import base
from cauldron.sources.base import BadRow, Options, Piece, RawImage, Row, lost_rows
from cauldron.sources.formats.parquet import ParquetRow, read_parquet
from cauldron.sources.formats.parquet_files import Columns
from cauldron.sources.formats.parquet_source import ParquetShards
from cauldron.sources.repos.files import Repo, Root
from cauldron.sources.values.rows import RowProblem
from cauldron.sources.values.urls import image_at

from cauldron.core.errors import UsageError

END = "END_OF_DOCUMENT_TOKEN_TO_BE_REPLACED"

_OPT_OUT = "opt_out_docs_removed_2023_07_12"
_FOLDERS = {_OPT_OUT: _OPT_OUT, "default": "data"}
# The kind of a piece that stands for several, listed in its detail.
_FIRST_ROWS = "first_rows"


@dataclass(frozen=True)
class Obelics(ParquetShards):
    """OBELICS. Option ``config``: opt_out_docs_removed_2023_07_12 or default."""

    def settled(self, options: Options) -> Options:
        options = super().settled(options)
        if options["config"] not in _FOLDERS:
            names = " or ".join(_FOLDERS)
            raise UsageError(f"obelics: config is {names}, not {options['config']!r}")
        return options

    def columns(self, options: Options) -> Columns:
        return Columns(("images", "texts"), ("general_metadata",))

    def folder(self, options: Options) -> str:
        return _FOLDERS[options["config"]]

    def pieces(self, root: Root, repo: Repo, options: Options, limit: int = -1) -> list[Piece]:
        found = super().pieces(root, repo, options, limit)
        if limit < 0 or len(found) == 0:
            return found
        if limit > base.IN_TURN_ROWS:
            return _divided(found, limit)
        # A row holds one document or more, so the first `limit` rows are enough.
        size = sum(piece.size for piece in found)
        listed = json.dumps(found)
        return [Piece(self.name, found[0].file, _FIRST_ROWS, 0, -1, size, limit, detail=listed)]

    def rows(
        self, root: Root, repo: Repo, piece: Piece, options: Options
    ) -> Iterator[Row | BadRow]:
        parts = [piece]
        if piece.kind == _FIRST_ROWS:
            parts = [Piece(*values) for values in json.loads(piece.detail)]
        columns = self.columns(options)
        every = (found for part in parts for found in _documents_of(repo, part, columns))
        yield from every if piece.limit < 0 else _first(every, piece.limit)


def _divided(pieces: list[Piece], limit: int) -> list[Piece]:
    """The pieces with the limit divided among them by their published rows. If the source has fewer
    rows than the limit, that is more than their rows: further documents are within the limit too.
    """
    rows = sum(piece.limit for piece in pieces if not piece.reason)
    divided, before = [], 0
    for piece in pieces:
        if piece.reason or not piece.limit:
            divided.append(piece)
            continue
        after = before + piece.limit
        share = limit * after // rows - limit * before // rows
        divided.append(piece._replace(limit=share))
        before = after
    return divided


def _documents_of(repo: Repo, piece: Piece, columns: Columns) -> Iterator[Row | BadRow]:
    if piece.reason:
        yield from lost_rows(piece)
        return
    for row in read_parquet(repo, piece, columns):
        yield from [row] if isinstance(row, BadRow) else _outcomes(row)


def _first(rows: Iterator[Row | BadRow], limit: int) -> Iterator[Row | BadRow]:
    for row in rows:
        if row.rows > limit:
            break
        yield row
        limit -= row.rows
        if limit == 0:
            break


def _outcomes(row: ParquetRow) -> Iterator[Row | BadRow]:
    """The documents of a published row."""
    key = _page(row.values.get("general_metadata"))
    try:
        documents = _documents(row.values["images"], row.values["texts"])
    except RowProblem as problem:
        yield problem.bad_row(row.origin.model_copy(update={"key": key}))
        return
    for number, (parts, images) in enumerate(documents):
        name = key if number == 0 else f"{key}#document-{number + 1}"
        origin = row.origin.model_copy(update={"key": name})
        lacks = "text" if all(part is None for part in parts) else "" if images else "image"
        if lacks:
            yield BadRow(origin, "empty_document", f"no {lacks}")
        else:
            yield Row(origin, images, [], document=parts)


def _documents(images: Any, texts: Any) -> list[tuple[list[str | None], list[RawImage]]]:
    """The parts and the images of each document; at least one, and of several none is empty.

    Raises:
        RowProblem: ``bad_row``, the columns are no lists of equal length, or hold other values.
    """
    if not isinstance(images, list) or not isinstance(texts, list) or len(images) != len(texts):
        sizes = [len(v) if isinstance(v, list) else type(v).__name__ for v in (images, texts)]
        raise RowProblem("bad_row", f"images and texts are no lists of one length: {sizes}")
    documents: list[tuple[list[str | None], list[RawImage]]] = [([], [])]
    for place, (image, text) in enumerate(zip(images, texts, strict=True)):
        if not isinstance(image, str | None) or not isinstance(text, str | None):
            raise RowProblem("bad_row", f"position {place} holds neither a URL nor a text")
        if image and text:
            raise RowProblem("bad_row", f"position {place} holds an image and a text")
        if image:
            documents[-1][0].append(None)
            documents[-1][1].append(_image(image))
        for number, part in enumerate((text or "").split(END)):
            if number:
                documents.append(([], []))
            # Blank lines around the mark belong to it.
            if bare := part.strip() if text and END in text else part:
                documents[-1][0].append(bare)
    return [document for document in documents if document[0]] or documents[:1]


def _image(url: str) -> RawImage:
    try:
        return image_at(url)
    except RowProblem as problem:
        return RawImage(b"", problem=(problem.reason, problem.message))


def _page(general: Any) -> str:
    """The URL of the page, "" where the column does not say."""
    try:
        values = json.loads(general) if isinstance(general, str) else None
    except ValueError:
        return ""
    url = values.get("url") if isinstance(values, dict) else None
    return url if isinstance(url, str) else ""


SOURCE = Obelics(
    name="obelics",
    repo="HuggingFaceM4/OBELICS",
    title="OBELICS: web pages of interleaved texts and images",
    license="cc-by-4.0",
    published_rows=134_648_855,
    published_bytes=266_501_092_920,
    ships_images=False,
    by_url=True,
    default_options={"config": _OPT_OUT},
)
