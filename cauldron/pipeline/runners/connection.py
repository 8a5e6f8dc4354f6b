"""The connection to a portable runner (Prism, Flink, Spark), and what to say when it is lost."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

import grpc

from cauldron.pipeline.runners.local.workers import GO_ON

logger = logging.getLogger(__name__)


def lost(error: BaseException) -> str | None:
    """What happened, in one line, if `error` is gRPC's: its own text has several lines."""
    if not isinstance(error, grpc.RpcError):
        return None
    details = error.details() if isinstance(error, grpc.Call) else None
    first = (details or type(error).__name__).partition("\n")[0]
    return f"the runner ended or cannot be reached ({first}); its log may say why; {GO_ON}"


@contextlib.contextmanager
def quiet_threads() -> Iterator[None]:
    """Beam reads a job's messages in a thread of its own, which dies with a traceback when the
    connection is lost. The job's own error tells that already."""
    before = threading.excepthook

    def note(args: threading.ExceptHookArgs) -> None:
        if isinstance(args.exc_value, grpc.RpcError):
            logger.debug("connection lost", exc_info=args.exc_value)
        else:
            before(args)

    threading.excepthook = note
    try:
        yield
    finally:
        threading.excepthook = before
