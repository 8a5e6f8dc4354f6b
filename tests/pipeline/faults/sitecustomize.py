"""Accidents of a build, by kind and folder.

Python loads this file in every process of a build whose ``PYTHONPATH`` names its folder; ``FAULT``
tells what happens there.

The accident happens when a worker process opens a file below the folder for writing, so it is in
the middle of a step's job. ``read-only`` is for all processes, and for new folders too. ``memory``
is a limit that the kernel keeps, and an array that does not fit.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sys
from typing import Any

FAULT = json.loads(os.environ["FAULT"])
IS_WORKER = "cauldron.pipeline.runners.local.worker" in sys.orig_argv
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# Errors of the disk happen at every file, the others once.
ERRORS = {"full": errno.ENOSPC, "read-only": errno.EROFS}
SPARE = 64 * 1024 * 1024


def audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = arguments
        is_write = bool(flags & WRITES)
    else:
        path = arguments[0] if event == "os.mkdir" else None
        is_write = FAULT["kind"] == "read-only"
    if FAULT["kind"] == "none":
        return
    if is_write and isinstance(path, str) and path.startswith(FAULT["below"]):
        strike(path)


def limit_memory() -> None:
    """Give this process `SPARE` bytes more than it has, and no more."""
    with open("/proc/self/statm") as file:
        has = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (has + SPARE, resource.RLIM_INFINITY))


def strike(path: str) -> None:
    kind = FAULT["kind"]
    if kind != "read-only" and not IS_WORKER:
        return
    if kind in ERRORS:
        raise OSError(ERRORS[kind], os.strerror(ERRORS[kind]), path)
    if kind == "memory":
        limit_memory()
        bytearray(2 * SPARE)  # fails, as any array of the step would
        raise AssertionError("the limit is none")
    try:
        os.close(os.open(FAULT["once"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    victim, name = kind.split()
    os.kill(os.getpid() if victim == "worker" else os.getppid(), signal.Signals[name])


sys.addaudithook(audit)
