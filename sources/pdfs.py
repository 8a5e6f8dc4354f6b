"""PDF documents as they lie: in a folder, or in tars with or without annotations (PDFA).

Two layouts, which may lie side by side in one folder, bucket or dataset repository:

- ``<any path>.pdf``: a document each. Its key is the path.
- ``<any path>.tar`` or ``.tar.gz``: WebDataset, members ``<key>.pdf`` and ``<key>.json`` beside
  each other, as in pixparse/pdfa-eng-wds (2,159,432 documents in 1,800 tars, English PDFs of Common
  Crawl, licence: other). A key of PDFA is seven digits; in other tars it is the path of the tar and
  of the member.

The annotation of PDFA is ``{pages: [{lines: {text: […], …}, words: …}]}``; in IDL's a page has
``text`` itself. One that is damaged or has another number of pages than the PDF is not used: the
PDF's own text layer is read instead.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cauldron.sources.formats.archives import Member
from cauldron.sources.formats.webdataset import TARS, is_tar, stem_of, tar_samples
from cauldron.sources.repos.files import FileInfo, Repo

from cauldron.core.errors import UsageError

# The published ones have 0.3 MB on average.
MAX_PDF_BYTES = 128 * 1024 * 1024
# Documents of a folder that are read together. A document gives about 2 pages of 0.3 MB.
DOCUMENTS = 128
_PDFA_KEY = re.compile(r"\d{7}")


class PdfPiece(NamedTuple):
    """Documents that one worker reads from start to end.

    Attributes:
        files: PDFs of a folder, or one tar.
        size: bytes.
        limit: documents to read at most, -1 for all.
    """

    files: tuple[FileInfo, ...]
    size: int
    limit: int = -1


@dataclass(slots=True)
class PdfDocument:
    """A document, or why there is none.

    Attributes:
        key: identifies it.
        file: the PDF or tar that it is in.
        texts: the annotated text of each page; None without a usable annotation.
        reason, message: set if it cannot be read.
    """

    key: str
    file: str
    data: bytes = b""
    texts: list[str] | None = None
    reason: str = ""
    message: str = ""


def pdf_files(files: Sequence[FileInfo], where: str) -> list[FileInfo]:
    """The PDFs and tars among the files. Raises UsageError if there is none."""
    found = [file for file in files if file.path.lower().endswith((".pdf", *TARS))]
    if not found:
        raise UsageError(f"no .pdf and no .tar in {where}")
    return found


def cut_pdfs(repo: Repo, files: Sequence[FileInfo], limit: int = -1) -> list[PdfPiece]:
    """The pieces of all files: each tar, and the PDFs in groups.

    Args:
        limit: read so many documents at most. Tars are then opened to count theirs.
    """
    pieces = []
    plain = [file for file in files if not is_tar(file.path)]
    if limit >= 0:
        plain = plain[:limit]
    for start in range(0, len(plain), DOCUMENTS):
        group = tuple(plain[start : start + DOCUMENTS])
        pieces.append(PdfPiece(group, sum(file.size for file in group)))
    left = limit - len(plain)
    for file in files:
        if not is_tar(file.path) or (limit >= 0 and left <= 0):
            continue
        piece = PdfPiece((file,), file.size, left if limit >= 0 else -1)
        pieces.append(piece)
        if limit >= 0:
            left -= sum(1 for _ in _tar_documents(repo, piece, only_names=True))
    return pieces


def read_pdfs(repo: Repo, piece: PdfPiece) -> Iterator[PdfDocument]:
    """The documents of a piece, in order, streamed."""
    if is_tar(piece.files[0].path):
        yield from _tar_documents(repo, piece)
        return
    for file in piece.files:
        # A name may hold bytes that are not UTF-8, and no file can be written with those.
        name = os.fsencode(file.path).decode("utf-8", "backslashreplace")
        document = PdfDocument(name, name)
        if file.size > MAX_PDF_BYTES:
            document.reason = "pdf_too_large"
            document.message = f"{file.size} bytes, of {MAX_PDF_BYTES} at most"
        else:
            with repo.open(file.path) as opened:
                document.data = opened.read()
        yield document


def _tar_documents(repo: Repo, piece: PdfPiece, only_names: bool = False) -> Iterator[PdfDocument]:
    file = piece.files[0].path
    limit = piece.limit if piece.limit >= 0 else None
    for members in itertools.islice(_samples(repo, file, only_names), limit):
        yield _document(file, members)


def _samples(repo: Repo, file: str, only_names: bool) -> Iterator[list[Member]]:
    """The members of each sample. Damage ends the tar."""
    limit = 0 if only_names else MAX_PDF_BYTES
    with repo.open(file) as opened:
        for sample in tar_samples(opened, limit, _is_wanted):
            if sample.members:
                yield sample.members
            if sample.error is not None:
                yield [Member(file, b"", sample.error)]


def _is_wanted(name: str) -> bool:
    return name.lower().endswith((".pdf", ".json"))


def _document(file: str, members: list[Member]) -> PdfDocument:
    pdf = next((item for item in members if not item.name.lower().endswith(".json")), None)
    name = stem_of(members[0].name)
    key = name if _PDFA_KEY.fullmatch(name) else f"{file}/{name}"
    if pdf is None:
        return PdfDocument(key, file, reason="pdf_missing", message=f"no {name}.pdf")
    if pdf.error is not None:
        key = file if pdf.name == file else key
        return PdfDocument(key, file, reason=pdf.error.reason, message=pdf.error.message)
    annotation = next((item for item in members if item.name.lower().endswith(".json")), None)
    return PdfDocument(key, file, pdf.data, _texts(annotation.data) if annotation else None)


def _texts(data: bytes) -> list[str] | None:
    """The text of each page by an annotation, lines joined as published; None if it is damaged."""
    try:
        pages: Any = json.loads(data)["pages"]
        texts = []
        for page in pages:
            lines = page["lines"]["text"] if "lines" in page else page["text"]
            texts.append(" \n ".join(line for line in lines if isinstance(line, str)))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    # JSON can hold half of a surrogate pair, which no file and no request can.
    return [text.encode("utf-8", "replace").decode().replace("\0", "") for text in texts]
