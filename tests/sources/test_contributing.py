"""The example source of CONTRIBUTING.md passes the tests that the guide gives it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_example_source_of_the_guide_passes_its_test_class(tmp_path: Path) -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    reader, test_class = re.findall(r"^   ```python\n(.*?)^   ```$", guide, re.M | re.S)
    # Installed as a package of its own, because a test adds no file to the checkout.
    test_class = test_class.replace("cauldron.sources.street_signs", "street_signs")
    (tmp_path / "street_signs.py").write_text(textwrap.dedent(reader))
    (tmp_path / "test_street_signs.py").write_text(textwrap.dedent(test_class))
    info = tmp_path / "street_signs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: street-signs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cauldron.sources]\nsigns = street_signs:SOURCE\n")
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(tmp_path), "-p", "no:cacheprovider"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
