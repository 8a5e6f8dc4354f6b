"""What is printed to a terminal: whole names in 80 columns, commands that can be pasted."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from cauldron.cli import main
from cauldron.core.program import program
from cauldron.recipe import load_recipe


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, width: int, *arguments: str) -> list[str]:
    def console() -> Console:
        return Console(width=width, color_system=None)

    monkeypatch.setattr("cauldron.inspect.tables.layout.console", console)
    found = CliRunner().invoke(main, list(arguments))
    assert found.exit_code == 0, found.output
    return found.output.splitlines()


def test_names_are_whole_in_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = on_a_terminal(monkeypatch, 80, "plan", "--stage", "sft")
    mixture = load_recipe("idefics3").stage("sft").mixture
    for name in mixture:
        (line,) = (line for line in lines if line.split()[:1] == [name])
        assert len(line) <= 80
    assert not any("…" in line for line in lines)
    (note,) = (line for line in lines if line.startswith("Not shown"))
    assert "read GB" in note


def test_a_wide_terminal_shows_every_column(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = on_a_terminal(monkeypatch, 200, "plan", "--stage", "sft")
    assert "read GB" in lines[1]
    assert not any(line.startswith("Not shown") for line in lines)


@pytest.mark.parametrize("width", [80, 200])
def test_sources_have_whole_names(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    lines = on_a_terminal(monkeypatch, width, "sources")
    assert any(line.startswith("the_cauldron/localized_narratives ") for line in lines)


def test_the_printed_command_runs_where_nothing_is_on_the_path() -> None:
    environment = {"PATH": "/usr/bin:/bin"}
    code = "from cauldron.core.program import program; print(program())"
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    words = shlex.split(said.stdout)
    assert Path(words[0]).is_absolute()
    shown = subprocess.run([*words, "--version"], env=environment, capture_output=True, check=True)
    assert b"version" in shown.stdout


def test_a_program_on_the_path_is_called_by_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("python", "cauldron"):
        (tmp_path / name).write_text("#!/bin/sh")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program() == "cauldron"
    monkeypatch.setenv("PATH", "/usr/bin")
    assert program() == str(tmp_path / "cauldron")
    (tmp_path / "cauldron").unlink()
    assert program() == f"{tmp_path}/python -m cauldron"
