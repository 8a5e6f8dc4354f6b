"""`cauldron train` and `eval` in processes of their own, one for each rank."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


class Ranks:
    """Processes as torchrun starts them, each of a session of its own.

    Args:
        last: what the last one alone is told besides.
        name: of the command.
    """

    def __init__(
        self, world: int, *arguments: str, last: tuple[str, ...] = (), name: str = "train"
    ) -> None:
        shared = {
            "OMP_NUM_THREADS": "1",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": free_port(),
            "WORLD_SIZE": str(world),
        }
        command = [sys.executable, "-m", "cauldron", name, *arguments]
        self.processes = [
            subprocess.Popen(
                [*command, *(last if rank == world - 1 else ())],
                env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            for rank in range(world)
        ]

    def signal(self, number: signal.Signals) -> None:
        for process in self.processes:
            os.killpg(process.pid, number)

    def wait(self, seconds: float = 240) -> list[tuple[int, str]]:
        """Exit code and what was said, of each rank."""
        try:
            ended = [process.communicate(timeout=seconds)[1] for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()
        return [(p.returncode, said) for p, said in zip(self.processes, ended, strict=True)]

    def finish(self) -> None:
        """Raises AssertionError with what was said unless all ranks end with 0."""
        for code, said in self.wait():
            assert code == 0, said


def wait_for(what: Callable[[], bool], seconds: float = 120) -> None:
    """Raises AssertionError when it does not come true in time."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def steps_done(run: Path) -> int:
    metrics = run / "metrics.jsonl"
    return metrics.read_text().count("\n") if metrics.exists() else 0
