"""The process that reads PDF pages: requests on its standard input, answers on its output.

A message is one letter, the length of its content in eight bytes, and the content. Messages are not
pickled: PDFium reads untrusted files, and its process should not be able to run code in ours.

The process ends when its input does, when its parent is gone, or by SIGXCPU when a request takes
more processor time than allowed.
"""

from __future__ import annotations

import os
import resource
import signal
import struct
import threading
import time
import traceback
from typing import BinaryIO

from cauldron.sources.formats.pdf_pages import Document, PdfError

# Requests: a PDF, answered by `COUNT`; a page's number, answered by `PAGE` or by `TEXT`.
OPEN, DRAW, READ = b"O", b"D", b"E"
# Answers. Content: a number; a PNG; UTF-8; reason and message of a `PdfError`; a traceback.
COUNT, PAGE, TEXT, REFUSED, FAILED = b"C", b"P", b"T", b"R", b"F"
HEADER = struct.Struct(">cQ")
_PARENT_CHECK_SECONDS = 1.0


def message(kind: bytes, content: bytes) -> bytes:
    return HEADER.pack(kind, len(content)) + content


def serve(cpu_seconds: int, memory: int) -> None:
    """Answer until the input ends.

    Args:
        cpu_seconds: the most that one request may take.
        memory: the most that this process may allocate, in bytes. Where the system does not count
            private mappings (other than Linux), it does not hold.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _allow_memory(memory)
    parent = os.getppid()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    _answer_all(requests, answers, cpu_seconds)


def _answer_all(requests: BinaryIO, answers: BinaryIO, cpu_seconds: int) -> None:
    document: Document | None = None
    while len(header := requests.read(HEADER.size)) == HEADER.size:
        kind, length = HEADER.unpack(header)
        content = requests.read(length)
        if len(content) != length:
            return
        _allow(cpu_seconds)
        try:
            if kind == OPEN:
                if document is not None:
                    document.close()
                document = None
                document = Document(content)
                answer = message(COUNT, str(document.pages).encode())
            else:
                assert document is not None
                answer = _page(document, kind, int(content))
        except PdfError as error:
            answer = message(REFUSED, f"{error.reason}\n{error.message}".encode())
        except MemoryError:
            answer = message(REFUSED, b"pdf_unreadable\nneeds too much memory")
        except Exception:
            answer = message(FAILED, traceback.format_exc().encode())
        answers.write(answer)
        answers.flush()


def _page(document: Document, kind: bytes, number: int) -> bytes:
    if kind == READ:
        # A text layer may hold half of a surrogate pair.
        return message(TEXT, document.text(number).encode("utf-8", "replace"))
    return message(PAGE, document.page(number))


def _allow_memory(limit: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _allow(cpu_seconds: int) -> None:
    """Let the system end this process after so many more seconds of processor time."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    limit = int(time.process_time()) + 1 + cpu_seconds
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))


def _end_with(parent: int) -> None:
    """End when the parent has died. PDFium runs without Python's lock, so this thread goes on."""
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_SECONDS)
    os._exit(1)
