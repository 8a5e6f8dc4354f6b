"""A Dask cluster on this machine: a scheduler and two worker processes, which may be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")


class Cluster:
    """A scheduler and two workers with a nanny each, which starts a killed worker again."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self._log = (folder / "log").open("ab")
        where = ["--scheduler-file", str(self.file)]
        self.scheduler = self._start("scheduler", *where, "--port", "0", "--no-dashboard")
        options = ["--nworkers", "2", "--nthreads", "1", "--no-dashboard"]
        self.workers = self._start("worker", *where, *options)
        with self.client() as client:
            client.wait_for_workers(2, timeout=120)

    def client(self) -> distributed.Client:
        return distributed.Client(scheduler_file=str(self.file))

    @property
    def options(self) -> tuple[str, ...]:
        """Of Beam, for a job on this cluster."""
        return ("--runner=DaskRunner", f"--dask_scheduler_file={self.file}")

    def kill_a_worker(self) -> None:
        with self.client() as client:
            pids = client.run(os.getpid)
        os.kill(min(pids.values()), signal.SIGKILL)

    def stop(self) -> None:
        for process in (self.workers, self.scheduler):
            process.terminate()
        for process in (self.workers, self.scheduler):
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._log.close()

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", *arguments]
        return subprocess.Popen(command, stdout=self._log, stderr=self._log)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    found = Cluster(tmp_path)
    yield found
    found.stop()
