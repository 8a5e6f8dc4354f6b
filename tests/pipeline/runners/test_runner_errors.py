"""What a user is told when a job fails, whichever runner ran it."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import grpc
import pytest
from apache_beam.runners.runner import PipelineState

from cauldron.core.errors import CauldronError
from cauldron.pipeline.runners import runner

BEAM = logging.getLogger("apache_beam.runners.dataflow.dataflow_runner")
TRACE = (
    "2026-11-28T10:00:00.123Z: JOB_MESSAGE_ERROR: Traceback (most recent call last):\n"
    '  File "x.py", line 3, in process\n'
    "OSError: [Errno 28] No space left on device [while running 'Ingest/Read']\n"
)


class Result:
    """A job that ends as told."""

    def __init__(self, end: BaseException | str, logs: tuple[str, ...] = ()) -> None:
        self._end = end
        self._logs = logs
        self.cancelled = 0

    def wait_until_finish(self) -> str:
        for line in self._logs:
            BEAM.error(line)
        if isinstance(self._end, BaseException):
            raise self._end
        return self._end

    def cancel(self) -> None:
        self.cancelled += 1


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Run a job whose result is the given one, with Beam as quiet as in a command."""
    beams = logging.getLogger("apache_beam")
    before = beams.level
    beams.setLevel(logging.CRITICAL)

    def run(result: Result) -> None:
        monkeypatch.setattr(beam.Pipeline, "run", lambda pipeline: result)
        runner.run("mix", lambda pipeline: None, [], 0)

    yield run
    beams.setLevel(before)


def failed(text: str) -> RuntimeError:
    return RuntimeError(f"Dataflow pipeline failed. State: FAILED, Error:\n{text}")


CAUSES = {
    "of the worker, logged": (failed("None"), (TRACE,), "OSError: [Errno 28] No space left"),
    "of the worker, logged earlier": (
        failed("Workflow failed. Causes: S01:Read failed."),
        (TRACE, "2026-11-28T10:00:01Z: JOB_MESSAGE_ERROR: Workflow failed. Causes: S01:Read."),
        "OSError: [Errno 28] No space left on device",
    ),
    "in one line": (
        failed("None"),
        ("2026-11-28T10:00:00Z: JOB_MESSAGE_ERROR: cauldron.core.errors.CauldronError: no",),
        "mix failed: no",
    ),
    "our own, of a worker": (
        failed("None"),
        (f"{TRACE}\ncauldron.core.errors.CauldronError: pillow differs [while running 'x']",),
        "mix failed: pillow differs",
    ),
    "of the service": (
        failed("Workflow failed. Causes: project p has not enough CPUs quota"),
        (),
        "not enough CPUs quota",
    ),
    "unknown": (failed("None"), (), "the runner gives no reason"),
}


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_of_a_failed_job_is_told(ends: Any, name: str) -> None:
    error, logs, expected = CAUSES[name]
    with pytest.raises(CauldronError, match=r"^mix failed: ") as told:
        ends(Result(error, logs))
    assert expected in str(told.value)
    assert "\n" not in str(told.value)


FAILED_ALLOCATIONS = {
    "Python's, wrapped by Beam": "RuntimeError: MemoryError [while running 'Read, write']",
    "Python's": "MemoryError",
    "NumPy's": (
        "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7.45 GiB for an array with "
        "shape (1000000000,) and data type int64 [while running 'Judge']"
    ),
    "Arrow's": "pyarrow.lib.ArrowMemoryError: malloc of size 4294967296 failed",
    "OpenCV's": (
        "cv2.error: OpenCV(4.12.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to "
        "allocate 8000000000 bytes in function 'OutOfMemoryError'"
    ),
}


def test_an_own_error_of_a_step_in_this_process_names_the_job_and_not_the_step() -> None:
    def fail(element: int) -> int:
        raise CauldronError(f"row {element} is broken")

    def build(pipeline: beam.Pipeline) -> object:
        return pipeline | beam.Create([7]) | "Inner/Step" >> beam.Map(fail)

    with pytest.raises(CauldronError) as raised:
        runner.run("mix", build, [], 0)
    assert str(raised.value) == "mix failed: row 7 is broken"


@pytest.mark.parametrize("name", FAILED_ALLOCATIONS)
def test_a_worker_that_memory_ran_out_in_says_what_helps(ends: Any, name: str) -> None:
    text = f"Traceback (most recent call last):\n  File 'x.py'\n{FAILED_ALLOCATIONS[name]}\n"
    for result in (Result(RuntimeError(text)), Result(failed("None"), (text,))):
        with pytest.raises(CauldronError, match=r"^mix failed: memory ran out in a worker") as told:
            ends(result)
        assert str(told.value).endswith("--direct_num_workers=1 takes less memory")
        assert "\n" not in str(told.value)


def test_an_allocation_that_failed_and_was_repeated_is_not_the_cause(ends: Any) -> None:
    with pytest.raises(CauldronError, match=r"^mix failed: OSError: the disk is gone"):
        ends(Result(RuntimeError("OSError: the disk is gone"), ("MemoryError",)))


class Gone(grpc.RpcError, grpc.Call):  # type: ignore[misc]
    """As gRPC raises it when a runner's process ends: its text has five lines."""

    def details(self) -> str:
        return "Stream removed (Socket closed)"

    def __str__(self) -> str:
        return (
            "<_MultiThreadedRendezvous of RPC that terminated with:\n"
            "\tstatus = StatusCode.UNAVAILABLE\n"
            f'\tdetails = "{self.details()}"\n'
            '\tdebug_error_string = "UNAVAILABLE:Stream removed (Socket closed)"\n>'
        )


Gone.__abstractmethods__ = frozenset()


def test_a_runner_that_ends_is_one_line(ends: Any) -> None:
    with pytest.raises(CauldronError) as told:
        ends(Result(Gone()))
    assert str(told.value) == (
        "mix failed: the runner ended or cannot be reached (Stream removed (Socket closed)); its "
        "log may say why; the same command goes on where it was"
    )


def test_a_thread_of_beam_that_loses_the_runner_prints_nothing(
    ends: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beam reads messages in a thread; another thread's error is still shown."""
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)

    class Threads(Result):
        def wait_until_finish(self) -> str:
            for error in (Gone(), ValueError("of another")):
                thread = threading.Thread(target=fail, args=(error,))
                thread.start()
                thread.join()
            return super().wait_until_finish()

    def fail(error: BaseException) -> None:
        raise error

    ends(Threads(PipelineState.DONE))
    said = capfd.readouterr().err
    assert "of another" in said
    assert "Socket closed" not in said


def test_a_cancelled_job_is_an_error(ends: Any) -> None:
    with pytest.raises(CauldronError, match="mix ended as CANCELLED"):
        ends(Result(PipelineState.CANCELLED))


def test_an_interrupted_build_cancels_its_job(ends: Any) -> None:
    result = Result(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        ends(result)
    assert result.cancelled == 1


def test_what_is_collected_is_neither_printed_nor_kept(
    ends: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    beams = logging.getLogger("apache_beam")
    before = beams.level, beams.propagate, list(beams.handlers), list(logging.getLogger().handlers)
    ends(Result(PipelineState.DONE, ("an error that was retried",)))
    assert "retried" not in capfd.readouterr().err
    assert before == (
        *(beams.level, beams.propagate),
        *(list(beams.handlers), list(logging.getLogger().handlers)),
    )


def test_an_interrupt_that_beam_swallows_ends_the_job_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = Result(PipelineState.DONE)
    monkeypatch.setattr(beam.Pipeline, "run", lambda pipeline: result)

    def build(pipeline: beam.Pipeline) -> None:
        with contextlib.suppress(BaseException):
            signal.raise_signal(signal.SIGINT)

    # A process in the background of a shell script ignores it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            runner.run("mix", build, [], 0)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
