"""Accidents of a build, by kind and folder.

Python loads this file in every process of a build whose ``PYTHONPATH`` names its folder; ``FAULT``
tells what happens there.

The accident happens when a worker process opens a file below the folder for writing, so it is in
the middle of a step's job. ``read-only`` is for all processes, and for new folders too.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from typing import Any

FAULT = json.loads(os.environ["FAULT"])
IS_WORKER = "cauldron.pipeline.runners.worker" in sys.orig_argv
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# Errors of the disk happen at every file, the others once.
ERRORS = {"full": errno.ENOSPC, "read-only": errno.EROFS}


def audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = arguments
        is_write = bool(flags & WRITES)
    else:
        path = arguments[0] if event == "os.mkdir" else None
        is_write = FAULT["kind"] == "read-only"
    if is_write and isinstance(path, str) and path.startswith(FAULT["below"]):
        strike(path)


def strike(path: str) -> None:
    kind = FAULT["kind"]
    if kind != "read-only" and not IS_WORKER:
        return
    if kind in ERRORS:
        raise OSError(ERRORS[kind], os.strerror(ERRORS[kind]), path)
    try:
        os.close(os.open(FAULT["once"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    victim, name = kind.split()
    os.kill(os.getpid() if victim == "worker" else os.getppid(), signal.Signals[name])


sys.addaudithook(audit)
