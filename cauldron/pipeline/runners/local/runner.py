"""Beam's local runner, whose worker processes end with the build, however it ends, and which keeps
large values in files."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from cauldron.pipeline.runners.local.spilled import folder_for_values, spill
from cauldron.pipeline.runners.local.workers import lost_workers, use_local_workers

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class LocalRunner(FnApiRunner):  # type: ignore[misc]
    """`FnApiRunner` with the workers of `local_workers.py`, and the coders of `spilled.py`.

    Args:
        output: of the build; values are kept there while a job runs.
    """

    def __init__(self, output: str | None = None) -> None:
        super().__init__()
        self._output = output

    def run_via_runner_api(self, pipeline_proto: Any, options: PipelineOptions) -> Any:
        with _flag() as flag, lost_workers(flag), folder_for_values(self._output) as folder:
            use_local_workers(pipeline_proto, flag)
            spill(pipeline_proto, folder)
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
