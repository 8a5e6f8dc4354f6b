"""For every test: nothing asks the network; the miniature hub and its mixture are made once."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def pytest_xdist_auto_num_workers() -> int:
    """Worker processes of `pytest -n auto`: one a core, and few, because each takes about 1 GB."""
    return min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)


# A folder by its name, and by what fills it.
Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Makes a folder once for all of xdist's processes, which wait for the one that makes it.

    With CAULDRON_MADE_ONCE, a folder, once for all runs of the same code that name it, as in CI.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    if kept := os.environ.get("CAULDRON_MADE_ONCE"):
        shared = Path(kept)
        shared.mkdir(parents=True, exist_ok=True)

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder = shared / name
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (shared / f"{name}.done").exists():
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                (shared / f"{name}.done").touch()
        return folder

    return made


@pytest.fixture(scope="session")
def sample(once: Once) -> Path:
    """The miniature hub, to be read only."""
    from cauldron.sample import write_sample_hub

    return once("hub", lambda folder: write_sample_hub(str(folder)))


@pytest.fixture(scope="session")
def truth(sample: Path) -> dict[str, Any]:
    """What is in the miniature hub."""
    return json.loads((sample / "ground_truth.json").read_text())


@pytest.fixture(scope="session")
def built(
    sample: Path,
    once: Once,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Any]:
    """The output folder of a build of the miniature hub, and its mixture's manifest.

    Each process has a copy, because some tests build further mixtures there.
    """
    from cauldron.core.output.mixture import load_mixture
    from tests.hubs import build_sample

    whole = once("built", lambda folder: build_sample(sample, folder))
    output = tmp_path_factory.mktemp("built") / "out"
    shutil.copytree(whole, output)
    return output, load_mixture(str(output / "mixtures/sample/sft")).manifest
