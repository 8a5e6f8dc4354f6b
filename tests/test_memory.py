"""A mixture larger than the memory that a process may take."""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cauldron.core.output.mixture import load_mixture
from tests import hubs

GIB = 1024**3
LIMIT = 2 * GIB


def heavy_photo(number: int) -> bytes:
    """About 1.3 MB of noise that no codec can shrink much."""
    pixels = np.random.default_rng(number).integers(0, 255, (800, 1000, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def write_heavy_source(root: str, rows: int) -> int:
    """ShareGPT-4o's layout with large pictures; returns their bytes."""
    hubs.write_sharegpt(root, rows)
    archive = os.path.join(root, "OpenGVLab", "ShareGPT-4o", "images.zip")
    size = 0
    with zipfile.ZipFile(archive, "w") as file:
        for number in range(rows):
            data = heavy_photo(number)
            file.writestr(zipfile.ZipInfo(f"{hubs.ZIP_PREFIX}{number:06d}.jpg"), data)
            size += len(data)
    return size


@pytest.mark.slow
def test_six_gibibytes_build_in_processes_of_two(tmp_path: Path) -> None:
    root, output = str(tmp_path / "root"), str(tmp_path / "out")
    size = write_heavy_source(root, rows=240)
    passes = -(-6 * GIB // size)
    recipe = {
        "name": "heavy",
        "stages": {
            "sft": {
                "mixture": {"sharegpt_4o": 1},
                "budget": {"epochs_of_largest": passes},
                "max_epochs": passes,
            }
        },
    }
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe))

    def limit() -> None:
        # Private memory of each process, its heap and its anonymous mappings.
        resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))

    command = [sys.executable, "-m", "cauldron", "build", str(path)]
    done = subprocess.run(
        [*command, "--root", root, "--output", output],
        preexec_fn=limit, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    manifest = load_mixture(f"{output}/mixtures/heavy/sft").manifest
    assert manifest.totals.bytes >= 6 * GIB
    assert manifest.totals.rows == 240 * passes
