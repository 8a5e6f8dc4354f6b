"""A worker process that ends before its job does: the job fails at once, with the reason."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import apache_beam as beam
import pytest

from cauldron.core.errors import CauldronError
from cauldron.pipeline.runners import runner
from cauldron.pipeline.runners.local.workers import reason_of

TWO_WORKERS = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


def kill_itself(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_killed_worker_fails_its_job_with_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """Beam alone would wait for it forever."""

    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | beam.Create(range(8)) | beam.Reshuffle() | beam.Map(kill_itself)

    hook, before = threading.excepthook, children()
    with pytest.raises(CauldronError, match=r"^mix failed: a worker process was killed") as told:
        runner.run("mix", build, TWO_WORKERS, 0)
    assert "\n" not in str(told.value)
    assert "Traceback" not in capfd.readouterr().err
    assert threading.excepthook is hook
    assert children() <= before


def children() -> set[str]:
    """Process ids of this process's children that have not ended, `ps` left out."""
    command = ["ps", "-o", "pid=,stat=,comm=", "--ppid", str(os.getpid())]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    rows = [line.split() for line in lines]
    return {pid for pid, state, name in rows if not state.startswith("Z") and name != "ps"}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (-signal.SIGKILL, "was killed (SIGKILL), most likely because memory ran out"),
        (-signal.SIGSEGV, "was ended by SIGSEGV"),
        (-250, "was ended by signal 250"),
        (3, "ended with exit code 3; --verbose"),
    ],
)
def test_the_reason_is_one_line_that_says_what_to_do(code: int, said: str) -> None:
    assert said in reason_of(code)
    assert "\n" not in reason_of(code)


def test_a_worker_that_cannot_start_is_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | beam.Create(range(8)) | beam.Map(kill_itself)

    with pytest.raises(CauldronError, match=r"a worker process ended with exit code 1"):
        runner.run("mix", build, TWO_WORKERS, 0)
    assert "Traceback" not in capfd.readouterr().err
