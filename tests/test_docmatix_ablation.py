"""The packaged ablation of Docmatix: its mixtures, and the runs that make the table."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from click.testing import CliRunner

from cauldron.cli import main
from cauldron.recipe import load_recipe


def test_the_plan_takes_a_fifth_of_the_documents_and_an_epoch_of_docvqa() -> None:
    result = CliRunner().invoke(main, ["plan", "docmatix-ablation", "--json"])
    assert result.exit_code == 0, result.output
    plans = {plan["stage"]: plan for plan in map(json.loads, result.stdout.splitlines())}
    assert plans["docmatix"]["totals"]["rows"] == 1_273_215 // 5
    assert plans["docvqa"]["totals"]["rows"] == 10_189
    assert plans["docmatix_then_docvqa"]["totals"] == plans["docvqa"]["totals"]


def test_the_second_training_starts_from_the_first() -> None:
    training = load_recipe("docmatix-ablation").training
    assert training["docmatix"]["model"] == training["docvqa"]["model"]
    assert training["docmatix_then_docvqa"]["model"] == {"name": "cauldron-out/runs/docmatix/model"}
    changed = {"model", "steps"}
    assert {k: v for k, v in training["docmatix"].items() if k not in changed} == {
        k: v for k, v in training["docvqa"].items() if k not in changed
    }


def test_it_builds_from_the_sample(sample: Path, tmp_path: Path) -> None:
    recipe = {"extends": "docmatix-ablation", "name": "small", "max_bad_fraction": 0.5}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(recipe))
    output = ["--output", str(tmp_path / "out")]
    result = CliRunner().invoke(
        main,
        ["build", str(tmp_path / "small.yaml"), "--root", str(sample), "--json", *output],
    )
    assert result.exit_code == 0, result.output
    mixtures = {mixture["stage"]: mixture for mixture in json.loads(result.stdout)}
    assert set(mixtures) == {"docvqa", "docmatix", "docmatix_then_docvqa"}
    assert set(mixtures["docmatix"]["sources"]) == {"docmatix"}
    rows = {stage: mixture["totals"]["rows"] for stage, mixture in mixtures.items()}
    assert rows["docvqa"] == rows["docmatix_then_docvqa"]
    kept = mixtures["docmatix"]["sources"]["docmatix"]["pass_rows"]
    assert rows["docmatix"] in (kept // 5, kept // 5 + 1)
