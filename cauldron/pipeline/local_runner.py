"""Beam's local runner, whose worker processes end with the build, however it ends."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class LocalRunner(FnApiRunner):  # type: ignore[misc]
    """`FnApiRunner` with the workers of `cauldron.pipeline.worker`."""

    def run_via_runner_api(self, pipeline_proto: Any, options: PipelineOptions) -> Any:
        with _flag() as flag:
            python = shlex.quote(sys.executable)
            # `exec`: the worker itself is this process's child, not a shell.
            command = f"exec {python} -m cauldron.pipeline.worker {os.getpid()} {shlex.quote(flag)}"
            for environment in pipeline_proto.components.environments.values():
                if environment.urn == python_urns.SUBPROCESS_SDK:
                    environment.payload = command.encode()
            return super().run_via_runner_api(pipeline_proto, options)


@contextlib.contextmanager
def _flag() -> Iterator[str]:
    """A file that is removed as soon as a signal asks this process to stop."""
    handle, path = tempfile.mkstemp(prefix="cauldron-building-")
    os.close(handle)

    def stop(number: int, frame: FrameType | None) -> None:
        remove()
        # Another Ctrl-C must not interrupt what the first one has started.
        for item in before:
            signal.signal(item, signal.SIG_IGN)
        handler = before[number]
        if callable(handler):
            handler(number, frame)
        raise KeyboardInterrupt(number)

    def remove() -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    is_main = threading.current_thread() is threading.main_thread()
    before = {int(item): signal.getsignal(item) for item in SIGNALS if is_main}
    try:
        for item in before:
            signal.signal(item, stop)
        yield path
    finally:
        remove()
        for item, handler in before.items():
            signal.signal(item, handler or signal.SIG_DFL)
