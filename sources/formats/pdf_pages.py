"""PDF pages as images and as text, read with PDFium in this process.

PDFium is not thread-safe, and some pages take it forever. `cauldron.sources.formats.pdf` therefore
runs this in a process of its own.
"""

from __future__ import annotations

import contextlib
import io
import math
from typing import Any

import pypdfium2
from cauldron.sources.values.rows import RowProblem
from PIL import Image, ImageChops

# How Docmatix was rendered: pdf2image at 150 dpi, longest side capped (its generation code).
DPI = 150
MAX_SIDE = 2940
_POINTS_PER_INCH = 72
# Text of a page after these characters is left out: a page of small print has 20,000.
MAX_PAGE_CHARS = 1_000_000

# FPDF_GetLastError for a document that needs a password, or a security handler PDFium lacks.
_LOCKED = frozenset({pypdfium2.raw.FPDF_ERR_PASSWORD, pypdfium2.raw.FPDF_ERR_SECURITY})


class PdfError(RowProblem):
    """A PDF that gives no images.

    Attributes:
        reason: ``pdf_encrypted``, ``pdf_unreadable``, ``too_many_pages`` or ``render_timeout``.
    """


class Document:
    """An open PDF. Raises PdfError if it cannot be opened.

    Attributes:
        pages: how many it has.
    """

    def __init__(self, data: bytes) -> None:
        try:
            self._document: Any = pypdfium2.PdfDocument(data)
            self._document.init_forms()
        except pypdfium2.PdfiumError as error:
            reason = "pdf_encrypted" if error.err_code in _LOCKED else "pdf_unreadable"
            raise PdfError(reason, str(error)) from error
        self.pages = len(self._document)

    def page(self, number: int) -> bytes:
        """A page as PNG, at `DPI` and no side over `MAX_SIDE` pixels; L without colour, else RGB.

        Raises:
            PdfError: it cannot be drawn.
        """
        with contextlib.ExitStack() as opened:
            try:
                page = self._document[number]
                opened.callback(page.close)
                bitmap = page.render(scale=scale_for(*page.get_size()), rev_byteorder=True)
                opened.callback(bitmap.close)
                image: Image.Image = bitmap.to_pil().convert("RGB")  # a copy: the bitmap is closed
            except pypdfium2.PdfiumError as error:
                raise PdfError("pdf_unreadable", f"page {number + 1}: {error}") from error
        return _png(image)

    def text(self, number: int) -> str:
        """The text layer of a page, "" for a scan; at most `MAX_PAGE_CHARS` characters.

        Raises:
            PdfError: the page cannot be read.
        """
        with contextlib.ExitStack() as opened:
            try:
                page = self._document[number]
                opened.callback(page.close)
                layer = page.get_textpage()
                opened.callback(layer.close)
                count = min(layer.count_chars(), MAX_PAGE_CHARS)
                text: str = layer.get_text_range(0, count) if count > 0 else ""
            except pypdfium2.PdfiumError as error:
                raise PdfError("pdf_unreadable", f"page {number + 1}: {error}") from error
        return text.replace("\r\n", "\n").replace("\0", "")

    def close(self) -> None:
        self._document.close()


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


def _png(image: Image.Image) -> bytes:
    red, green, blue = image.split()
    grey = all(ImageChops.difference(red, other).getbbox() is None for other in (green, blue))
    buffer = io.BytesIO()
    (red if grey else image).save(buffer, "PNG")
    return buffer.getvalue()
