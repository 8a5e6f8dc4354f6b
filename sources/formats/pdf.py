"""PDF pages as images and as text, read with PDFium in a process that can be ended.

A PDF of 2 kB can keep PDFium busy for ever, or crash it. So each thread that renders has a process
(`cauldron.sources.formats.pdf_child`) for a document at a time, which is kept for the next
document. One that takes too long or crashes is replaced; the row is lost, the build goes on.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

from cauldron.sources.formats.pdf_child import (
    COUNT,
    DRAW,
    HEADER,
    OPEN,
    PAGE,
    READ,
    REFUSED,
    TEXT,
    message,
)
from cauldron.sources.formats.pdf_pages import PdfError

# The most that opening a document or drawing a page may take. Ordinary pages take 0.1 s, drawings
# of engineers a few seconds. Processor time does not depend on what else the machine does; the
# limit of real time is for a process that waits.
CPU_SECONDS = 60
REAL_SECONDS = 1200
# The most memory that the process may allocate. A compressed page of 5 kB can ask for 4 GB;
# ordinary pages take 0.1 GB.
MEMORY = 2 << 30

_READ = 1 << 20
# Not started with -m, which would look for packages in the current folder first.
_START = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from cauldron.sources.formats.pdf_child import serve; serve(*map(int, sys.argv[1:3]))"
)
_CRASHES = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP}
)


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
    """The pages, in order; see `cauldron.sources.formats.pdf_pages.Document`.

    Raises:
        PdfError: before the first page for a document as a whole, or at a page.
    """
    identity = hashlib.sha256(data)
    with open_pdf(data, max_pages) as pdf:
        for number in range(pdf.pages):
            yield PdfPage(pdf.page(number), page_digest(identity, number))


def page_digest(identity: hashlib._Hash, number: int) -> str:
    """`PdfPage.digest` of a page, counted from 0. Args: identity: the SHA-256 of the PDF."""
    digest = identity.copy()
    digest.update(f"\0page {number}".encode())
    return digest.hexdigest()


@contextlib.contextmanager
def open_pdf(data: bytes, max_pages: int) -> Iterator[OpenPdf]:
    """Open a PDF in a process of its own.

    Raises:
        PdfError: it cannot be opened, or has more pages, or none.
    """
    with _POOL.renderer() as renderer:
        pages = int(renderer.ask(OPEN, data, COUNT, "the document"))
        if not 1 <= pages <= max_pages:
            reason = "too_many_pages" if pages > max_pages else "pdf_unreadable"
            raise PdfError(reason, f"{pages} pages, of {max_pages} at most")
        yield OpenPdf(renderer, pages)


class OpenPdf:
    """A PDF from `open_pdf`. Both methods raise PdfError.

    Attributes:
        pages: how many it has.
    """

    def __init__(self, renderer: _Renderer, pages: int) -> None:
        self._renderer = renderer
        self.pages = pages

    @property
    def is_alive(self) -> bool:
        """Whether further pages can be asked for after a `PdfError`."""
        return self._renderer.is_usable

    def page(self, number: int) -> bytes:
        """A page as PNG, see `cauldron.sources.formats.pdf_pages.Document.page`."""
        return self._renderer.ask(DRAW, b"%d" % number, PAGE, f"page {number + 1}")

    def text(self, number: int) -> str:
        """The text layer of a page."""
        what = f"the text of page {number + 1}"
        return self._renderer.ask(READ, b"%d" % number, TEXT, what).decode()


class _Gone(Exception):  # noqa: N818 - says what happened, is not an error yet
    """The process has ended."""


class _Renderer:
    """One process, for one thread at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", _START, str(CPU_SECONDS), str(MEMORY), *sys.path]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0)
        self.is_usable = True

    def ask(self, kind: bytes, content: bytes, expected: bytes, what: str) -> bytes:
        """Send a request and return the content of the answer.

        Args:
            what: is rendered, for messages.

        Raises:
            PdfError: the PDF is the reason that there is none.
            RuntimeError: something else is.
        """
        self.is_usable = False  # until the answer is here
        deadline = time.monotonic() + REAL_SECONDS
        try:
            self._send(message(kind, content))
            answered, length = HEADER.unpack(self._receive(HEADER.size, deadline))
            answer = self._receive(length, deadline)
        except TimeoutError:
            raise PdfError("render_timeout", f"{what} takes over {REAL_SECONDS} s") from None
        except _Gone:
            raise self._why_gone(what) from None
        self.is_usable = True
        if answered == REFUSED:
            reason, _, why = answer.decode().partition("\n")
            raise PdfError(reason, why)
        if answered != expected:
            raise RuntimeError(f"the PDF renderer failed:\n{answer.decode(errors='replace')}")
        return answer

    def end(self) -> None:
        """End the process at once, and wait until it is gone."""
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        left = memoryview(data)
        try:
            while left:
                left = left[self._process.stdin.write(left) :]
        except BrokenPipeError as error:
            raise _Gone from error

    def _receive(self, size: int, deadline: float) -> bytes:
        assert self._process.stdout is not None
        source = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(source, select.POLLIN)
        parts, missing = [], size
        while missing:
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimeoutError
            part = os.read(source, min(missing, _READ))
            if not part:
                raise _Gone
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _why_gone(self, what: str) -> Exception:
        code = self._process.wait()
        if code == -signal.SIGXCPU:
            return PdfError(
                "render_timeout", f"{what} takes over {CPU_SECONDS} s of processor time"
            )
        if -code in _CRASHES:
            gib = MEMORY >> 30
            return PdfError("pdf_unreadable", f"PDFium crashes or needs over {gib} GiB at {what}")
        return RuntimeError(f"the process that renders PDFs ended with status {code}")


class _Pool:
    """The processes that no thread uses at present."""

    def __init__(self) -> None:
        self._idle: list[_Renderer] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def renderer(self) -> Iterator[_Renderer]:
        """A process for one document; it is kept for the next if it still answers."""
        renderer = self._take() or _Renderer()
        try:
            yield renderer
        finally:
            if renderer.is_usable:
                with self._lock:
                    self._idle.append(renderer)
            else:
                renderer.end()

    def end(self) -> None:
        while (renderer := self._take()) is not None:
            renderer.end()

    def forget(self) -> None:
        """In a forked process: the renderers belong to its parent."""
        self._lock = threading.Lock()
        self._idle = []

    def _take(self) -> _Renderer | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                renderer = self._idle.pop()
            if renderer.is_alive():
                return renderer
            renderer.end()


_POOL = _Pool()
atexit.register(_POOL.end)
os.register_at_fork(after_in_child=_POOL.forget)
