"""PDFA: pages of English PDFs of Common Crawl and their text (PDF Association, Pixel Parsing).

Where: ``pixparse/pdfa-eng-wds``, ``pdfa-eng-train-<0000 to 1799>.tar``, WebDataset. Licence: other,
the publisher's file LICENSE. Size: 2,159,432 documents with about 18 million pages; no total of
bytes is published, the catalogue's 734 GB are an estimate by the 0.34 MB of a PDF in Docmatix,
which has the short documents of this set, so it is a lower bound.

A sample is ``<seven digits>.json`` and ``<seven digits>.pdf``. Each page becomes a row, the
document [page, text]. Pages are rendered at 150 dpi, longest side at most 2,940 pixels, by the
process and under the limits that Docmatix' PDFs have. A page's text are the lines of the
annotation in its order of reading, one under the other.

Option ``max_pages`` (default 100): later pages of a document are ``too_many_pages``.

Quirks handled here:

- A page of the annotation has ``lines: {text: [text]}``, ``words`` only, or ``text`` itself (as in
  IDL, which is published in the same form).
- The annotation and the PDF may disagree on the number of pages. Pages that both have are rows; for
  the rest one record says so, reason ``page_missing``.
- A page without text is ``empty_document`` and is not rendered.
- A sample whose annotation is missing or broken (``bad_row``, ``bad_json``) counts as one row,
  because its pages are not known.
- A PDF that is missing (``pdf_missing``) or cannot be opened loses all pages of its annotation at
  once, in one record that counts them. So does a page that ends the renderer, with the pages after
  it.
- A tar that is cut off is told once; the documents before the cut are read.

`origin.key` is the document's key and the page's number from 1, ``0012345/3``. A page is identified
by the PDF's bytes and its number, not by the PNG.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from cauldron.sources.base import BadRow, Options, RawImage, Row
from cauldron.sources.formats.pdf import OpenPdf, open_pdf, page_digest
from cauldron.sources.formats.pdf_pages import PdfError
from cauldron.sources.formats.tar_source import TarSource
from cauldron.sources.formats.webdataset import TarSample
from cauldron.sources.values.conversations import text_of
from cauldron.sources.values.documents import described
from cauldron.sources.values.rows import RowProblem

from cauldron.core.errors import UsageError
from cauldron.core.schema import Origin

# Parsed, an annotation takes up to twenty times its size. Real ones have about 60 kB a page.
MAX_ANNOTATION_BYTES = 32 * 1024 * 1024
# A PDF may claim any number of pages; no annotation of the size above describes more.
_MOST_PAGES = 1_000_000


@dataclass(frozen=True)
class Pdfa(TarSource):
    """PDFA, a row a page. Option ``max_pages``: of a document."""

    max_member_bytes: ClassVar[int] = 128 * 1024 * 1024
    suffixes: ClassVar[tuple[str, ...]] = (".json", ".pdf")
    rows_per_tar: ClassVar[int | None] = 10_000  # 18 million pages in 1,800 tars

    def settled(self, options: Options) -> Options:
        options = super().settled(options)
        most = options["max_pages"]
        if not isinstance(most, int) or isinstance(most, bool) or most < 1:
            raise UsageError(f"pdfa: max_pages is a number of pages, not {most!r}")
        return options

    def sample_rows(
        self, sample: TarSample, origin: Origin, options: Options
    ) -> Iterator[Row | BadRow]:
        whole = origin.model_copy(update={"key": sample.name})
        if sample.error is not None and not (sample.find(".pdf") and sample.find(".json")):
            return  # cut in two: the record of the tar stands for it
        texts: list[str | None] = []
        try:
            texts = _texts(sample)
            data = _pdf(sample)
            with open_pdf(data, _MOST_PAGES) as pdf:
                yield from _pages(pdf, hashlib.sha256(data), texts, whole, options["max_pages"])
        except RowProblem as problem:
            yield problem.bad_row(whole, max(1, len(texts)))


def _pages(
    pdf: OpenPdf, identity: hashlib._Hash, texts: list[str | None], whole: Origin, most: int
) -> Iterator[Row | BadRow]:
    """The pages that both have and the recipe wants, then what is left out.

    Args:
        identity: the hash of the PDF's bytes.
    """
    both = min(len(texts), pdf.pages)
    wanted = min(both, most)
    for number, text in enumerate(texts[:wanted]):
        origin = whole.model_copy(update={"key": f"{whole.key}/{number + 1}"})
        try:
            yield _page(pdf, identity, number, text, origin)
        except RowProblem as problem:
            lost = 1 if pdf.is_alive else wanted - number
            yield problem.bad_row(origin, lost)
            if not pdf.is_alive:
                break
    if both > wanted:
        message = f"{both} pages, of {most} at most"
        yield BadRow(whole, "too_many_pages", message, both - wanted)
    if len(texts) != pdf.pages:
        message = f"the annotation has {len(texts)} pages, the PDF {pdf.pages}"
        yield BadRow(whole, "page_missing", message, abs(len(texts) - pdf.pages))


def _page(
    pdf: OpenPdf, identity: hashlib._Hash, number: int, text: str | None, origin: Origin
) -> Row:
    row = described(origin, RawImage(b""), text, "text of the page")  # before it is rendered
    row.images = [RawImage(pdf.page(number), digest=page_digest(identity, number))]
    return row


def _pdf(sample: TarSample) -> bytes:
    member = sample.find(".pdf")
    if member is None:
        raise RowProblem("pdf_missing", f"the tar has no {sample.name}.pdf")
    if member.error is not None:
        raise member.error
    if not member.data:
        raise PdfError("pdf_unreadable", "the PDF has no bytes")
    return member.data


def _texts(sample: TarSample) -> list[str | None]:
    """The text of each page, None where the annotation has none for a page.

    Raises:
        RowProblem: ``bad_row`` or ``bad_json``, no usable annotation; ``member_too_large``.
    """
    member = sample.find(".json")
    if member is None:
        raise RowProblem("bad_row", f"the tar has no {sample.name}.json")
    if member.error is not None:
        raise member.error
    if len(member.data) > MAX_ANNOTATION_BYTES:
        message = f"{member.name} has {len(member.data)} bytes, of {MAX_ANNOTATION_BYTES} at most"
        raise RowProblem("member_too_large", message)
    try:
        annotation: Any = json.loads(member.data)
    except (ValueError, RecursionError) as error:
        raise RowProblem("bad_json", f"{member.name} is not JSON ({str(error)[:200]})") from error
    pages = annotation.get("pages") if isinstance(annotation, dict) else None
    if not isinstance(pages, list) or not pages:
        raise RowProblem("bad_row", f"{member.name} has no list of pages")
    return [_text(page) for page in pages]


def _text(page: Any) -> str | None:
    """The text of an annotated page: its lines, else its words, else its own text."""
    if not isinstance(page, dict):
        return None
    for name, separator in (("lines", "\n"), ("words", " ")):
        part = page.get(name)
        found = _joined(part.get("text"), separator) if isinstance(part, dict) else None
        if found:
            return found
    return _joined(page.get("text"), "\n")


def _joined(texts: Any, separator: str) -> str | None:
    listed = texts if isinstance(texts, list) else [texts]
    return separator.join(text_of(text) or "" for text in listed if isinstance(text, str)) or None


SOURCE = Pdfa(
    name="pdfa",
    repo="pixparse/pdfa-eng-wds",
    title="PDFA: pages of English PDFs and their text",
    license="other",
    license_note="the publisher's own terms, file LICENSE; the documents are their owners'",
    published_rows=18_000_000,
    published_bytes=734_000_000_000,
    default_options={"max_pages": 100},
)
