"""Accidents in each step of a build on two worker processes: what the user is told, that no process
is left behind, and that a rerun ends in the bytes of a build without any."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cauldron.core.output.lock import LOCK
from cauldron.inspect.verify import verify
from cauldron.pipeline.build import BuildOptions, build
from cauldron.recipe import load_recipe
from tests import hubs
from tests.processes import processes_of

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc")
FAULTS = Path(__file__).parent / "faults"
# The folders that each step writes, in the order of the steps.
WRITES = {
    "ingest": ("corpus", "quarantine", "benchmarks"),
    "match": ("matches",),
    "curate": ("curation",),
    "mix": ("mixtures",),
}
KILLED = "most likely because memory ran out; the same command goes on where it was"
TOO_LITTLE = "memory ran out in a worker; the same command goes on where it was"
STOPPED = "stopped; the same command goes on where it was"
# Exit code and words of the last line, by kind; a killed launcher says nothing.
TOLD = {
    "worker SIGKILL": (1, KILLED),
    "full": (1, "No space left on device"),
    "memory": (1, TOO_LITTLE),
    "launcher SIGTERM": (128 + signal.SIGTERM, STOPPED),
    "launcher SIGKILL": (-signal.SIGKILL, None),
}


class Finished(NamedTuple):
    """A build in one process without accidents."""

    root: str
    recipe: str
    output: Path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Rows with shared and with leaked pictures, and broken ones."""
    folder = tmp_path_factory.mktemp("finished")
    root = str(folder / "root")
    hubs.write_dolly(root, rows=40, broken=1)
    hubs.write_sharegpt(root, rows=40, turns=3, pictures=30)
    leaks = folder / "benchmark"
    leaks.mkdir()
    (leaks / "0.jpg").write_bytes(hubs.photo(0))
    recipe = Path(hubs.write_recipe(str(folder / "recipe.yaml")))
    rules = {"duplicates": {"action": "merge"}, "against": {"benchmarks": {"ours": str(leaks)}}}
    recipe.write_text(json.dumps(json.loads(recipe.read_text()) | rules))
    found = Finished(root, str(recipe), folder / "out")
    finish(found, found.output)
    return found


def finish(finished: Finished, output: Path) -> None:
    options = BuildOptions(
        recipe=load_recipe(finished.recipe),
        stages=("sft",),
        root=finished.root,
        output=str(output),
        beam_args=("--direct_num_workers=1",),
    )
    build(options, lambda line: None)


def as_far_as(step: str, finished: Finished, output: Path) -> Path:
    """The output of a build that comes to a step next."""
    shutil.copytree(finished.output, output)
    steps = [*WRITES]
    for later in steps[steps.index(step) :]:
        for name in WRITES[later]:
            shutil.rmtree(output / name)
    return output


def run(
    finished: Finished, output: Path, kind: str, below: Path, *options: str
) -> tuple[int, list[str]]:
    """A build with an accident on two workers: its exit code, and the lines that it said.

    Args:
        kind: ``none`` for an accident that the machine has.
    """
    fault = {"kind": kind, "below": str(below), "once": f"{output}-struck"}
    environment = os.environ | {
        "FAULT": json.dumps(fault),
        "PYTHONPATH": str(FAULTS),
        "BUILD_OF": str(output),
    }
    command = [
        *(sys.executable, "-m", "cauldron", "build", finished.recipe, "--root", finished.root),
        *("--output", str(output), "--direct_running_mode=multi_processing"),
        "--direct_num_workers=2",
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    return done.returncode, done.stderr.splitlines()


def digests(output: Path) -> dict[str, str]:
    """SHA-256 of every file: data, accounts, manifests."""
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.rglob("*"))
        if path.is_file()
    }


def accidents() -> Iterator[Any]:
    """Each kind in each step. In CI each kind strikes once, and each step is struck."""
    steps = [*WRITES]
    for number, kind in enumerate(TOLD):
        for step in steps:
            in_ci = step == steps[number % len(steps)]
            yield pytest.param(
                kind, step, marks=pytest.mark.slow if in_ci else pytest.mark.thorough
            )


@pytest.mark.parametrize(("kind", "step"), accidents())
def test_an_accident_is_told_leaves_nothing_and_a_rerun_ends_in_the_same_bytes(
    finished: Finished, tmp_path: Path, kind: str, step: str
) -> None:
    output = as_far_as(step, finished, tmp_path / "out")
    code, said = run(finished, output, kind, output / WRITES[step][0])
    expected, words = TOLD[kind]
    assert code == expected, said
    deadline = time.monotonic() + 30
    while processes_of(output):
        assert time.monotonic() < deadline, "a worker process is left"
        time.sleep(0.1)
    assert not any(line.startswith("Traceback") for line in said), said
    if words is not None:
        [line] = [line for line in said if line.startswith("cauldron: ")]
        assert said[-1] == line
        assert words in line
        assert words == STOPPED or line.startswith(f"cauldron: {step}"), line
        assert not list(output.rglob(LOCK))
    assert not (output / "mixtures/test/sft/manifest.json").exists()
    finish(finished, output)
    assert digests(output) == digests(finished.output)
    assert verify(str(output)) == []


class Disk:
    """A small disk of its own.

    Attributes:
        place: where it is mounted.
    """

    def __init__(self, place: Path) -> None:
        place.mkdir()
        self.place = place
        mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("this user may not mount a disk")

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.place)], check=True)

    def fill(self) -> None:
        """Leave 8 KiB free."""
        free = shutil.disk_usage(self.place).free - 8192
        (self.place / "other").write_bytes(bytes(free))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    found = Disk(tmp_path / "disk")
    yield found
    subprocess.run(["umount", str(found.place)], check=True)


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("ingest", marks=pytest.mark.thorough),
        pytest.param("mix", marks=pytest.mark.slow),
    ],
)
def test_a_disk_that_is_really_full_is_told_and_a_rerun_ends_in_the_same_bytes(
    finished: Finished, disk: Disk, step: str
) -> None:
    output = as_far_as(step, finished, disk.place / "out")
    disk.fill()
    code, said = run(finished, output, "none", output, "--skip-disk-check")
    assert code == 1, said
    assert said[-1].startswith("cauldron: ")
    assert "No space left on device" in said[-1]
    assert not any(line.startswith("Traceback") for line in said), said
    (disk.place / "other").unlink()
    finish(finished, output)
    assert digests(output) == digests(finished.output)
    assert verify(str(output)) == []


@pytest.mark.slow
def test_a_disk_that_is_really_read_only_is_told_before_any_work(
    finished: Finished, disk: Disk
) -> None:
    output = as_far_as("mix", finished, disk.place / "out")
    before = digests(output)
    disk.remount("ro")
    code, said = run(finished, output, "none", output)
    assert code == 1, said
    assert said[-1].startswith("cauldron: ")
    assert "Read-only file system" in said[-1]
    assert not any(line.startswith("Traceback") for line in said), said
    assert digests(output) == before
    disk.remount("rw")
    finish(finished, output)
    assert digests(output) == digests(finished.output)


@pytest.mark.slow
def test_a_read_only_output_is_told_before_any_work(finished: Finished, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    code, said = run(finished, output, "read-only", output)
    assert code == 1
    assert said[-1].startswith("cauldron: ")
    assert "Read-only file system" in said[-1]
    assert str(output) in said[-1]
    assert not any(line.startswith("Traceback") for line in said), said
    assert not list(output.iterdir())
