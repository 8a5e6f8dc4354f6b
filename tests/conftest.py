"""For every test: nothing asks the network; the miniature hub and its mixture are made once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def pytest_xdist_auto_num_workers() -> int:
    """Worker processes of `pytest -n auto`: one a core, and few, because each takes about 1 GB."""
    return min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature hub."""
    from cauldron.sample import write_sample_hub

    folder = tmp_path_factory.mktemp("sample") / "hub"
    write_sample_hub(str(folder))
    return folder


@pytest.fixture(scope="session")
def truth(sample: Path) -> dict[str, Any]:
    """What is in the miniature hub."""
    return json.loads((sample / "ground_truth.json").read_text())


@pytest.fixture(scope="session")
def built(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The output folder of a build of the miniature hub, and its mixture's manifest."""
    from tests.hubs import build_sample

    output = tmp_path_factory.mktemp("built") / "out"
    return output, build_sample(sample, output)
