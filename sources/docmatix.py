"""Docmatix: questions on documents of one to four pages, written by a model (Hugging Face M4).

Where: ``HuggingFaceM4/Docmatix``. Licence: MIT. Two configurations, option ``config``:

- ``images`` (default): ``data/train-<i>-of-01106-<hash>.parquet``, 1,273,215 rows, 159 GB;
  ``{images: [{bytes, path}], texts: [{user, assistant, source}]}`` with all pages in order.
- ``pdf``: ``pdf/train-<i>-of-00089-<hash>.parquet``, 1,273,245 rows, 432 GB; ``{pdf: bytes,
  texts}``. Pages are rendered here as the authors rendered theirs: 150 dpi, longest side at most
  2,940 pixels, PNG. The scale is worked out from the page's size before anything is drawn. Pages
  that hold no colour become greyscale.

What ``cauldron docmatix`` makes is read in the same way, from ``images/train-<i>-of-<n>.parquet``
where there is no ``data/``, and from ``pdf/``.

The card's figures for ``pdf`` (124,982 rows, nothing to download) are out of date; the
``zero-shot-exp`` configuration is an excerpt of ``images`` for testing and is not read.

Option ``max_pages`` (default 4, as published): rows with more are ``too_many_pages``.

Quirks handled here:

- The `source` of a turn is ``PDFA key: <number>``: the document's key in pixparse/pdfa-eng-wds,
  without its leading zeros. `origin.key` is that key, seven digits; turns get the name docmatix.
  Documents of other origin have a path instead of a number, which is kept as it is.
- A PDF with a password is ``pdf_encrypted``; one that does not open or render is
  ``pdf_unreadable``; one with a page that takes over a minute is ``render_timeout``.

A rendered page is identified by the PDF's bytes and the page's number, not by the PNG: another
version of the renderer gives the same sample ids.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from cauldron.sources.base import Options, RawImage, RawTurn, Row
from cauldron.sources.formats.parquet import ParquetRow
from cauldron.sources.formats.parquet_files import Columns
from cauldron.sources.formats.parquet_source import ParquetSource, split_shards
from cauldron.sources.formats.pdf import render_pdf
from cauldron.sources.formats.shards import Shards
from cauldron.sources.repos.files import Repo
from cauldron.sources.values.rows import RowProblem, images_of, turns_of

from cauldron.core.errors import UsageError

# By configuration; the first that is there is read.
_FOLDERS = {"images": ("data", "images"), "pdf": ("pdf",)}
_KEY = re.compile(r"PDFA key:\s*(\S.*)")
_KEY_DIGITS = 7


@dataclass(frozen=True)
class Docmatix(ParquetSource):
    """Docmatix. Options ``config``: images or pdf; ``max_pages``: a number."""

    def settled(self, options: Options) -> Options:
        options = super().settled(options)
        most = options["max_pages"]
        if options["config"] not in _FOLDERS:
            raise UsageError(f"docmatix: config is images or pdf, not {options['config']!r}")
        if not isinstance(most, int) or isinstance(most, bool) or most < 1:
            raise UsageError(f"docmatix: max_pages is a number of pages, not {most!r}")
        return options

    def columns(self, options: Options) -> Columns:
        return Columns((options["config"], "texts"))

    def folder(self, options: Options) -> str:
        return _FOLDERS[options["config"]][0]

    def shards(self, repo: Repo, options: Options) -> Shards:
        for folder in _FOLDERS[options["config"]][1:]:
            found = split_shards(repo.list(folder), folder, "train")
            if found.files and not repo.list(self.folder(options)):
                return found
        return super().shards(repo, options)

    def row(self, row: ParquetRow, options: Options) -> Row:
        texts = row.values["texts"]
        turns: list[RawTurn] = turns_of(texts, self.name)
        origin = row.origin.model_copy(update={"key": _key(texts)})
        return Row(origin, self._pages(row.values, options), turns)

    def _pages(self, values: dict[str, Any], options: Options) -> list[RawImage]:
        most: int = options["max_pages"]
        if "images" in values:
            images = images_of(values["images"])
            if len(images) > most:
                raise RowProblem("too_many_pages", f"{len(images)} pages, of {most} at most")
            return images
        data = values["pdf"]
        if not isinstance(data, bytes | None):
            raise RowProblem("bad_row", "the column pdf does not hold bytes")
        if not data:
            raise RowProblem("missing_image", "the PDF has no bytes")
        return [RawImage(page.png, digest=page.digest) for page in render_pdf(data, most)]


def _key(texts: Any) -> str:
    for turn in texts if isinstance(texts, list) else []:
        source = turn.get("source") if isinstance(turn, dict) else None
        if isinstance(source, str) and (match := _KEY.search(source)):
            key = match[1].strip()
            return key.zfill(_KEY_DIGITS) if key.isdigit() else key
    return ""


SOURCE = Docmatix(
    name="docmatix",
    repo="HuggingFaceM4/Docmatix",
    title="Docmatix: questions on documents of one to four pages",
    license="mit",
    published_rows=1_273_215,
    published_bytes=159_404_414_330,
    default_options={"config": "images", "max_pages": 4},
)
