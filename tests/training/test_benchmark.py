"""The GPU benchmark runs where there is no GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")


@pytest.mark.slow
def test_the_benchmark_prints_a_row_for_each_variant(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "train.py"
    rows = tmp_path / "rows.json"
    command = [sys.executable, str(script), "--tiny", "--steps", "3", "--json", str(rows)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.count("| tiny |") == 3
    assert all(row["tokens_per_second"] > 0 for row in json.loads(rows.read_text()))
