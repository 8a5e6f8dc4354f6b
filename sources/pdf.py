"""PDF pages as images, rendered with PDFium.

PDFium is not thread-safe, and a runner may read several pieces in threads of one process. So every
call into it holds one lock, and every handle is closed under that lock, not by the garbage
collector.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import pypdfium2
from cauldron.sources.rows import RowProblem
from PIL import Image, ImageChops

# How Docmatix was rendered: pdf2image at 150 dpi, longest side capped (its generation code).
DPI = 150
MAX_SIDE = 2940
_POINTS_PER_INCH = 72

_LOCK = threading.Lock()
# FPDF_GetLastError for a document that needs a password, or a security handler PDFium lacks.
_LOCKED = frozenset({pypdfium2.raw.FPDF_ERR_PASSWORD, pypdfium2.raw.FPDF_ERR_SECURITY})


class PdfError(RowProblem):
    """A PDF that gives no images.

    Attributes:
        reason: ``pdf_encrypted``, ``pdf_unreadable`` or ``too_many_pages``.
    """


class PdfPage(NamedTuple):
    """A rendered page.

    Attributes:
        png: encoded, mode RGB, or L for a page without colour.
        digest: SHA-256 hex over the PDF's bytes and the page's number. It identifies the page
            whichever renderer drew it.
    """

    png: bytes
    digest: str


def render_pdf(data: bytes, max_pages: int) -> Iterator[PdfPage]:
    """The pages, in order, at `DPI` and no side over `MAX_SIDE` pixels.

    Raises:
        PdfError: before the first page for a document as a whole, or at a page.
    """
    identity = hashlib.sha256(data)
    with _opened(data) as document:
        with _LOCK:
            pages = len(document)
        if not 1 <= pages <= max_pages:
            reason = "too_many_pages" if pages > max_pages else "pdf_unreadable"
            raise PdfError(reason, f"{pages} pages, of {max_pages} at most")
        for number in range(pages):
            image = _page_image(document, number)
            digest = identity.copy()
            digest.update(f"\0page {number}".encode())
            yield PdfPage(_png(image), digest.hexdigest())


def scale_for(width: float, height: float) -> float:
    """Pixels per point for a page of this size in points.

    Raises:
        PdfError: not a size.
    """
    longest = max(width, height)
    if not (math.isfinite(width) and math.isfinite(height) and min(width, height) > 0):
        raise PdfError("pdf_unreadable", f"a page of {width} x {height} points")
    # PDFium rounds sides up, so a scale too large by a rounding error would add a pixel.
    return min(DPI / _POINTS_PER_INCH, MAX_SIDE / longest) * (1 - 1e-7)


@contextlib.contextmanager
def _opened(data: bytes) -> Iterator[Any]:
    with _LOCK:
        try:
            document = pypdfium2.PdfDocument(data)
            document.init_forms()
        except pypdfium2.PdfiumError as error:
            reason = "pdf_encrypted" if error.err_code in _LOCKED else "pdf_unreadable"
            raise PdfError(reason, str(error)) from error
    try:
        yield document
    finally:
        with _LOCK:
            document.close()


def _page_image(document: Any, number: int) -> Image.Image:
    with _LOCK, contextlib.ExitStack() as opened:
        try:
            page = document[number]
            opened.callback(page.close)
            bitmap = page.render(scale=scale_for(*page.get_size()), rev_byteorder=True)
            opened.callback(bitmap.close)
            image: Image.Image = bitmap.to_pil().convert("RGB")  # a copy: the bitmap is closed
        except pypdfium2.PdfiumError as error:
            raise PdfError("pdf_unreadable", f"page {number + 1}: {error}") from error
    return image


def _png(image: Image.Image) -> bytes:
    red, green, blue = image.split()
    grey = all(ImageChops.difference(red, other).getbbox() is None for other in (green, blue))
    buffer = io.BytesIO()
    (red if grey else image).save(buffer, "PNG")
    return buffer.getvalue()
