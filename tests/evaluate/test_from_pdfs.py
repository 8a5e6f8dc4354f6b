"""From a folder of PDFs to a trained and evaluated model, by the commands of the how-to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, blocks

pytest.importorskip("torch")
pytest.importorskip("peft")
HOW_TO = ROOT / "docs/howto/docmatix.md"
NAMES = ("docmatix plan", "docmatix ./pdfs", "build", "train", "eval")
pytestmark = pytest.mark.slow


def test_the_five_commands_of_the_how_to_run_as_written(tmp_path: Path) -> None:
    recipe = next(b.text for b in blocks(HOW_TO, "yaml") if b.text.startswith("# documents.yaml"))
    (tmp_path / "documents.yaml").write_text(recipe)
    script = "\n".join(block.text for block in blocks(HOW_TO, "sh") if block.mark == "slow")
    lines = [line for line in script.splitlines() if line.startswith("cauldron ")]
    assert len(lines) == len(NAMES)
    assert all(line.startswith(f"cauldron {name}") for line, name in zip(lines, NAMES, strict=True))
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PATH": programs},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout
    made = json.loads((tmp_path / "hub/HuggingFaceM4/Docmatix/manifest.json").read_text())
    assert sum(made["documents"].values()) == 40
    assert made["documents"]["kept"] == 32
    mixture = json.loads(
        (tmp_path / "documents-out/mixtures/documents/sft/manifest.json").read_text()
    )
    assert mixture["totals"]["rows"] == 60
    evaluated = json.loads((tmp_path / "evaluations/documents/manifest.json").read_text())
    result = evaluated["results"]["docvqa"]
    assert (result["overall"]["size"], result["refused"]) == (4, {}), result
    assert "DocVQA" in ended.stdout
