"""Running a Beam pipeline to its end: its name, progress, one-line errors."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineRunner, PipelineState

from cauldron.core.errors import CauldronError
from cauldron.core.progress import Say, Track, lines
from cauldron.pipeline.runners.connection import lost, quiet_threads
from cauldron.pipeline.runners.counted import Count, counted
from cauldron.pipeline.runners.local import quick_graphs
from cauldron.pipeline.runners.local.runner import SIGNALS, LocalRunner
from cauldron.pipeline.runners.local.workers import GO_ON, LESS_MEMORY, WorkerLost
from cauldron.pipeline.runners.options import LOCAL_RUNNER, is_remote, pipeline_options, runner_name
from cauldron.pipeline.runners.remote.workers import prepare
from cauldron.pipeline.runners.watch import watched

logger = logging.getLogger(__name__)

# Dataflow's messages as Beam logs them: a time, the importance, the text.
_DATAFLOW_MESSAGE = re.compile(r"^.*?\bJOB_MESSAGE_ERROR: ")

# What Beam appends to an error's text in a step, before the step's path in the graph.
_IN_A_STEP = " [while running"

# Errors whose text was written for the user, by whatever path Python names them.
_OWN_ERROR = re.compile(r"^(\w+\.)*(CauldronError|UsageError|SourceUnavailable): ")

# The last line of the traceback of an allocation that failed: Python's, NumPy's, Arrow's, OpenCV's.
# Beam wraps an exception without a text in a RuntimeError.
_MEMORY = re.compile(
    r"(RuntimeError: )?([\w.]*MemoryError\b|std::bad_alloc|cv2\.error: .*Insufficient memory)"
)

# Labels of Google Cloud have 63 characters, and ``cauldron-`` comes before ours.
_NAME_CHARS = 54
_RECIPE_CHARS = 16


def job_name(recipe: str, stages: Sequence[str], step: str, output: str) -> str:
    """A job's name, which says what it is part of: ``demo-sft-mix-1a2b3c4d``.

    The last part is a hash of the output's address. Names consist of lower case letters, digits and
    hyphens; long names of recipes and stages are cut.
    """
    digest = hashlib.sha256(output.encode()).hexdigest()[:8]
    end = f"-{step}-{digest}"
    start = f"{_plain(recipe)[:_RECIPE_CHARS]}-{_plain('-'.join(stages))}"
    return _plain(start[: _NAME_CHARS - len(end)]) + end


def _plain(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")


def run(
    name: str,
    build: Callable[[beam.Pipeline], object],
    arguments: Sequence[str],
    work_bytes: int,
    full_name: str | None = None,
    output: str | None = None,
) -> None:
    """Build and run one pipeline to its end. A remote job is cancelled by Ctrl-C and SIGTERM.

    Args:
        name: for messages.
        full_name: as the runner shows it, if not `name`.
        output: see `Launcher`.

    Raises:
        CauldronError: the job failed; the message is the innermost error's.
    """
    quick_graphs.install()
    options = pipeline_options(arguments, full_name or name, work_bytes)
    with _interrupts(), quiet_threads(), _beam_errors() as logged:
        try:
            pipeline = beam.Pipeline(_own_runner(options, output), options=options)
            build(pipeline)
            prepare(pipeline, arguments)
            state = _wait(name, pipeline.run())
        except CauldronError as error:
            told, in_a_step, _ = str(error).partition(_IN_A_STEP)
            if not in_a_step:
                raise
            raise CauldronError(f"{name} failed: {told}") from error
        except WorkerLost as error:
            raise CauldronError(f"{name} failed: {error}") from None
        except Exception as error:
            logger.debug("%s failed", name, exc_info=True)
            why = _out_of_memory(error, logged, arguments) or innermost(error, logged)
            raise CauldronError(f"{name} failed: {why}") from error
    if state is not None and state != PipelineState.DONE:
        why = _cause(logged) or "the runner's log says why"
        raise CauldronError(f"{name} ended as {state}; {why}")


def _own_runner(options: PipelineOptions, output: str | None) -> PipelineRunner | None:
    """Ours, where Beam's own will not do; None: as Beam finds it."""
    name = runner_name(options)
    if name == LOCAL_RUNNER.lower():
        return LocalRunner(output)
    if name != "daskrunner":
        return None
    try:
        from cauldron.pipeline.runners.dask.runner import DaskRunner
    except ImportError as error:
        raise CauldronError(
            f"DaskRunner needs Dask ({error}): pip install 'cauldron-vlm[dask]'"
        ) from None
    return DaskRunner()


def _wait(name: str, result: Any) -> str | None:
    """The state in which a job ends."""
    try:
        state: str | None = result.wait_until_finish()
    except KeyboardInterrupt:
        # A job that went on would write while the next build does.
        try:
            result.cancel()
        except Exception as error:
            logger.warning("%s could not be cancelled and may go on: %s", name, innermost(error))
        raise
    return state


@contextlib.contextmanager
def _interrupts() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the block, if not at once then at its end.

    A signal raises KeyboardInterrupt wherever the process is, and Beam has places that catch
    everything. The build would go on.
    """
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        handler = before[number]
        if callable(handler):
            handler(number, frame)

    is_main = threading.current_thread() is threading.main_thread()
    before = {int(item): signal.getsignal(item) for item in SIGNALS if is_main}
    # A signal that is ignored, or ends the process, stays as it is.
    before = {number: handler for number, handler in before.items() if callable(handler)}
    try:
        for number in before:
            signal.signal(number, note)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if seen:
        raise KeyboardInterrupt(seen[0])


@contextlib.contextmanager
def _beam_errors() -> Iterator[list[str]]:
    """Collect what Beam logs as errors, even where they are not shown.

    A remote runner says in its exception that a job failed; why, it only logs.
    """
    logged: list[str] = []
    handler = _Collect(logged)
    root, beams = logging.getLogger(), logging.getLogger("apache_beam")
    level, propagate = beams.level, beams.propagate
    if not beams.isEnabledFor(logging.ERROR):
        beams.setLevel(logging.ERROR)
        beams.propagate = False
    for place in (root, beams):
        place.addHandler(handler)
    try:
        yield logged
    finally:
        for place in (root, beams):
            place.removeHandler(handler)
        beams.setLevel(level)
        beams.propagate = propagate


class _Collect(logging.Handler):
    """Keeps the texts of errors in a list."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._texts = texts

    def emit(self, record: logging.LogRecord) -> None:
        self._texts.append(self.format(record))


def innermost(error: BaseException, logged: Sequence[str] = ()) -> str:
    """The line of a runner's error that a user can act on.

    Runners wrap the worker's exception in their own and append its traceback as text; the last
    line of that text with an exception's name is the cause.

    Args:
        logged: what the runner logged as errors before, for an error that names no cause.
    """
    text = str(error) or type(error).__name__
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    headline = next((line for line in lines if not line.endswith("Error:")), lines[0])
    if headline == "None":
        headline = "the runner gives no reason; its log may"
    return _cause([text]) or _cause(logged) or lost(error) or headline


def _cause(texts: Sequence[str]) -> str | None:
    """The last line that starts with an exception's name, without what Beam adds to it.

    The names of our own errors are left out.
    """
    lines = [
        _DATAFLOW_MESSAGE.sub("", line).strip() for text in texts for line in text.splitlines()
    ]
    causes = [line for line in lines if ": " in line and _last_part(line).isidentifier()]
    if not causes:
        return None
    return _OWN_ERROR.sub("", causes[-1].partition(_IN_A_STEP)[0].strip())


def _out_of_memory(
    error: BaseException, logged: Sequence[str], arguments: Sequence[str]
) -> str | None:
    """What to say if memory ran out in a worker that could still tell, else None."""
    own = [str(error) or type(error).__name__]
    # As in `innermost`: what was logged may have been repeated, and gone well.
    texts = own if _cause(own) else [*own, *logged]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    if not any(_MEMORY.match(_DATAFLOW_MESSAGE.sub("", line)) for line in lines):
        return None
    less = "use workers with more" if is_remote(arguments) else LESS_MEMORY
    return f"memory ran out in a worker; {GO_ON}, and {less}"


def _last_part(line: str) -> str:
    return line.split(": ")[0].split(".")[-1]


@dataclass(frozen=True)
class Job:
    """Work for one Beam job.

    Attributes:
        step: of the build, for messages.
        name: of the job, as the runner shows it; see `job_name`.
        about: what is to be done, for the user.
        elements: the input of `transform`.
        size: bytes the job reads, to decide between one process and many.
        markers: files that show how far the job is.
        count: the same for a job that finds out itself what there is to do; see `counted`.
    """

    step: str
    name: str
    about: str
    elements: Sequence[Any]
    transform: beam.PTransform
    size: int
    markers: Sequence[str] = ()
    count: Count | None = None


@dataclass(frozen=True)
class Launcher:
    """Runs jobs with one user's Beam options.

    Attributes:
        say: receives one line at a time about the progress.
        track: is told how far each job is; by default in lines too.
        few_jobs: steps of a build that can be one job are; None: if the runner is remote, where
            each job takes minutes to start.
        output: of the build. The local runner keeps there, while a job runs, what would not fit
            into memory; None: where temporary files are.
    """

    beam_args: Sequence[str]
    say: Say
    track: Track | None = None
    few_jobs: bool | None = None
    output: str | None = None

    @property
    def in_one_graph(self) -> bool:
        return is_remote(self.beam_args) if self.few_jobs is None else self.few_jobs

    def submit(self, job: Job) -> None:
        """Run a job to its end. Raises CauldronError when it fails."""
        self.say(f"{job.step}: {job.about}")

        def build(pipeline: beam.Pipeline) -> None:
            work = pipeline | "Work" >> beam.Create(job.elements, reshuffle=False)
            _ = work | job.transform

        track = self.track or lines(self.say)
        watch = counted(job.step, job.count, track) if job.count else None
        with watch or watched(job.step, job.markers, track):
            run(job.step, build, self.beam_args, job.size, job.name, self.output)
