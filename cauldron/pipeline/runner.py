"""Running a Beam pipeline: options, the local default, progress, one-line errors.

The local default pins Beam's FnApiRunner, because ``DirectRunner`` picks one of three engines by
the network and the transforms at hand. Small jobs run in this process; a job with enough work to
pay for the start of worker processes (about 4 s) runs one per core.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.runners.runner import PipelineState

from cauldron.core import storage
from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.output.markers import missing
from cauldron.pipeline.local_runner import LocalRunner
from cauldron.pipeline.wheel import write_wheel

Say = Callable[[str], None]

logger = logging.getLogger(__name__)

# Below this much input one process is done before others have started: ingest runs at about
# 60 MB/s and core here (benchmarks/README.md), and starting two workers takes about 4 s.
SMALL_JOB_BYTES = 256 * 1024 * 1024

# A job that shuffles the first needs 1.4 GiB in this process and twice that in two
# (benchmarks/README.md, Hamming join); remote runners have room on disk.
LOCAL_SHUFFLE_BYTES = 250_000_000
REMOTE_SHUFFLE_BYTES = 1 << 50

LOCAL_RUNNER = "FnApiRunner"
REMOTE_RUNNERS = ("DataflowRunner",)
_MODE_OPTIONS = ("--direct_running_mode", "--direct_num_workers")


def pipeline_options(arguments: Sequence[str], name: str, work_bytes: int) -> PipelineOptions:
    """Beam options from what the user typed, with the local default filled in.

    Args:
        name: of the job: ``ingest``, ``curate`` or ``mix``.
        work_bytes: what the job will read, to decide between one process and many.
    """
    options = PipelineOptions(list(arguments))
    standard = options.view_as(StandardOptions)
    if standard.runner is None:
        standard.runner = LOCAL_RUNNER
    chosen = any(argument.startswith(_MODE_OPTIONS) for argument in arguments)
    if standard.runner == LOCAL_RUNNER and not chosen:
        direct = options.view_as(DirectOptions)
        if work_bytes >= SMALL_JOB_BYTES and (os.cpu_count() or 1) > 1:
            direct.direct_running_mode = "multi_processing"
            direct.direct_num_workers = os.cpu_count()
    # Everything that workers need is importable; pickling the caller's __main__ only breaks.
    setup = options.view_as(SetupOptions)
    setup.save_main_session = False
    if _needs_code(options):
        setup.extra_packages = [write_wheel(_wheel_folder().name)]
    cloud = options.view_as(GoogleCloudOptions)
    if cloud.job_name:
        cloud.job_name = f"{cloud.job_name}-{name}"
    elif standard.runner == "DataflowRunner":
        cloud.job_name = f"cauldron-{name}"
    return options


def _needs_code(options: PipelineOptions) -> bool:
    """Whether workers start without Cauldron: remote ones, unless the user provides it."""
    if options.view_as(StandardOptions).runner not in REMOTE_RUNNERS:
        return False
    setup, worker = options.view_as(SetupOptions), options.view_as(WorkerOptions)
    return not (setup.setup_file or setup.extra_packages or worker.sdk_container_image)


@lru_cache(maxsize=1)
def _wheel_folder() -> tempfile.TemporaryDirectory[str]:
    """Lives as long as this process: runners read the wheel when a job is submitted."""
    return tempfile.TemporaryDirectory(prefix="cauldron-wheel-")


def shuffle_limit(arguments: Sequence[str]) -> int:
    """Bytes that one job may shuffle: a local runner holds them about four times in memory."""
    runner = PipelineOptions(list(arguments)).view_as(StandardOptions).runner
    return REMOTE_SHUFFLE_BYTES if runner in REMOTE_RUNNERS else LOCAL_SHUFFLE_BYTES


def check_reach(arguments: Sequence[str], places: Mapping[str, str | None]) -> None:
    """Refuse local folders for remote workers. Raises UsageError.

    Args:
        places: what the user typed, by option name.
    """
    runner = PipelineOptions(list(arguments)).view_as(StandardOptions).runner
    for option, place in places.items():
        if runner in REMOTE_RUNNERS and place is not None and storage.is_local(place):
            raise UsageError(
                f"--{option} {place}: workers of {runner} cannot reach a folder of this machine; "
                "give a gs:// path"
            )


def check_arguments(arguments: Sequence[str]) -> None:
    """Refuse misspelt options before any work. Raises UsageError."""
    known = PipelineOptions(list(arguments)).get_all_options(drop_default=False)
    for argument in arguments:
        name = argument.removeprefix("--").split("=")[0]
        if argument.startswith("--") and name not in known and f"no_{name}" not in known:
            raise UsageError(f"no such option: --{name} (neither Cauldron's nor Beam's)")


def run(
    name: str,
    build: Callable[[beam.Pipeline], object],
    arguments: Sequence[str],
    work_bytes: int,
) -> None:
    """Build and run one pipeline to its end.

    Raises:
        CauldronError: the job failed; the message is the innermost error's.
    """
    options = pipeline_options(arguments, name, work_bytes)
    try:
        is_local = options.view_as(StandardOptions).runner == LOCAL_RUNNER
        pipeline = beam.Pipeline(LocalRunner() if is_local else None, options=options)
        build(pipeline)
        state = pipeline.run().wait_until_finish()
    except CauldronError:
        raise
    except Exception as error:
        logger.debug("%s failed", name, exc_info=True)
        raise CauldronError(f"{name} failed: {innermost(error)}") from error
    if state is not None and state != PipelineState.DONE:
        raise CauldronError(f"{name} ended as {state}; the runner's log says why")


def innermost(error: BaseException) -> str:
    """The line of a runner's error that a user can act on.

    Runners wrap the worker's exception in their own and append its traceback as text; the last
    line of that text with an exception's name is the cause.
    """
    text = str(error) or type(error).__name__
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [
        line for line in lines if ": " in line and line.split(": ")[0].split(".")[-1].isidentifier()
    ]
    line = causes[-1] if causes else lines[0]
    return line.split(" [while running")[0].strip()


@dataclass(frozen=True)
class Job:
    """Work for one Beam job.

    Attributes:
        step: of the build, for messages.
        name: of the job, as the runner shows it.
        about: what is to be done, for the user.
        elements: the input of `transform`.
        size: bytes the job reads, to decide between one process and many.
        markers: files that show how far the job is.
    """

    step: str
    name: str
    about: str
    elements: Sequence[Any]
    transform: beam.PTransform
    size: int
    markers: Sequence[str] = ()


@dataclass(frozen=True)
class Launcher:
    """Runs jobs with one user's Beam options.

    Attributes:
        say: receives one line at a time about the progress.
    """

    beam_args: Sequence[str]
    say: Say

    def submit(self, job: Job) -> None:
        """Run a job to its end. Raises CauldronError when it fails."""
        self.say(f"{job.step}: {job.about}")

        def build(pipeline: beam.Pipeline) -> None:
            work = pipeline | "Work" >> beam.Create(job.elements, reshuffle=False)
            _ = work | job.transform

        with _progress(job, self.say):
            run(job.name, build, self.beam_args, job.size)


@contextlib.contextmanager
def _progress(job: Job, say: Say) -> Iterator[None]:
    """Tell how many markers of a job exist, about every second if there are more.

    Counting files works with every runner, and what is counted is really done.
    """
    stop = threading.Event()

    def watch() -> None:
        last = 0
        while job.markers and not stop.wait(1.0):
            done = len(job.markers) - len(missing(job.markers))
            if done > last:
                say(f"{job.step}: {done} of {len(job.markers)} written")
            last = done

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
