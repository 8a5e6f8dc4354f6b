"""The code blocks of the README, the tutorial and the how-tos run, or parse where they are marked.

A comment above a block says why it does not run here: ``<!-- not run: needs the hub -->``, or
``<!-- slow: a build -->`` for what only the slow test runs. Every `cauldron` command in every
document must parse.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cauldron.training.config import stage_rules
from click.testing import CliRunner

from cauldron.cli import main
from cauldron.commands.common import recipe_and_beam
from cauldron.pipeline.runners.options import check_arguments
from cauldron.recipe import load_recipe
from tests.docs.markdown import ROOT, Block, blocks, cauldron_arguments, commands, documents, guides


def of_guides(*languages: str) -> list[Block]:
    return [block for path in guides() for block in blocks(path, *languages)]


def written_recipes(path: Path, folder: Path) -> None:
    """Write the recipes of a document whose first line is a comment with a file name."""
    for block in blocks(path, "yaml"):
        first = block.text.splitlines()[0]
        if first.startswith("# ") and first.endswith(".yaml"):
            (folder / first.removeprefix("# ")).write_text(block.text)


@pytest.fixture
def folder(
    sample: Path, built: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Where a reader of the tutorial is after the first build."""
    (tmp_path / "cauldron-sample").symlink_to(sample)
    (tmp_path / "cauldron-out").symlink_to(built[0])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "block", [block for path in documents() for block in blocks(path, "sh")], ids=str
)
def test_every_cauldron_command_parses(block: Block) -> None:
    for words in commands(block.text):
        arguments = cauldron_arguments(words)
        if arguments is None:
            continue
        name, *rest = (word for word in arguments if word != "--verbose")
        assert name in main.commands, f"no command {name}"
        context = main.commands[name].make_context(name, rest)
        if name == "build":
            check_arguments(recipe_and_beam(context.params["arguments"])[1])


def run_here(block: Block) -> None:
    """Run a block of nothing but `cauldron` commands in this process."""
    for words in commands(block.text):
        arguments = cauldron_arguments(words)
        assert arguments is not None, f"only cauldron runs here, not {words}: mark the block"
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, f"{block}\n{result.output}"


@pytest.mark.parametrize("block", [b for b in of_guides("sh") if not b.mark], ids=str)
def test_shell_blocks_run(block: Block, folder: Path) -> None:
    written_recipes(block.path, folder)
    run_here(block)


@pytest.mark.parametrize("block", [b for b in of_guides("python") if not b.mark], ids=str)
def test_python_blocks_run(
    block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(folder / "cache"))
    exec(compile(block.text, str(block), "exec"), {})


@pytest.mark.parametrize("block", of_guides("yaml"), ids=str)
def test_recipes_load(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(block.text)
    recipe = load_recipe(str(path))
    for stage in recipe.training:
        stage_rules(recipe.training, stage, ())


def test_ci_finds_its_commands_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    for name in ("main job", "tests", "train"):
        assert f"<!-- command: {name} -->\n```sh\n" in text


# CI runs it in the README's main job, and drawing the sample takes half a minute.
DRAWN = "cauldron sample ./cauldron-sample\n"


@pytest.mark.slow
def test_the_tutorial_and_the_howtos_run_as_written(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Literally, one after the other in one folder, by bash and python; what only reads, in this
    process, as each start takes seconds."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cauldron-sample").symlink_to(sample)
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": programs, "HF_HOME": str(tmp_path / "hf")}
    has_torch = importlib.util.find_spec("torch") is not None
    for path in guides()[1:]:
        written_recipes(path, tmp_path)
        for block in blocks(path, "sh", "python"):
            trains = "cauldron train" in block.text and not has_torch
            if block.mark == "not run" or trains:
                continue
            if block.language == "sh" and not block.mark:
                run_here(block)
                continue
            shell = ["bash", "-o", "pipefail", "-c"]
            program = shell if block.language == "sh" else [sys.executable, "-c"]
            ended = subprocess.run(
                [*program, block.text.replace(DRAWN, "") or "true"],
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            print(f"== {block}\n{ended.stdout}")
            assert ended.returncode == 0, f"{block}\n{ended.stdout}"
        # Every how-to goes on where the tutorial ends: with one mixture of the stage.
        for mixture in (tmp_path / "cauldron-out/mixtures").glob("*"):
            if mixture.name != "sample":
                shutil.rmtree(mixture)
