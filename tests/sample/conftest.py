"""One small hub for all tests of the sample."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cauldron.sample import write_sample_hub
from tests.conftest import Once

ROWS = 6


@pytest.fixture(scope="session")
def hub(once: Once) -> tuple[str, dict[str, Any]]:
    """(folder, ground truth) of a hub of seed 0."""
    folder = once("small-hub", lambda folder: write_sample_hub(str(folder), rows=ROWS))
    return str(folder), json.loads((folder / "ground_truth.json").read_text())
