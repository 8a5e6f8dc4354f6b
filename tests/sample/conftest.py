"""One small hub for all tests of the sample: drawing it takes about three seconds."""

from __future__ import annotations

from typing import Any

import pytest

from cauldron.sample import write_sample_hub

ROWS = 6


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """(folder, ground truth) of a hub of seed 0."""
    folder = str(tmp_path_factory.mktemp("sample") / "hub")
    return folder, write_sample_hub(folder, rows=ROWS)
