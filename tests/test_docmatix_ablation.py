"""The packaged ablation of Docmatix: its mixtures, and the runs that make the table."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from pydantic import ValidationError

from cauldron.cli import main
from cauldron.core.sections.stage import TurnRules
from cauldron.inspect.verify import verify
from cauldron.recipe import load_recipe
from tests.curated import VQA, World, row


def test_the_plan_has_the_papers_parts_of_docmatix_and_an_epoch_of_docvqa() -> None:
    """Section 4 and table 2 of the paper: 20 % of the images, 4 % of the pairs."""
    result = CliRunner().invoke(main, ["plan", "docmatix-ablation", "--json"])
    assert result.exit_code == 0, result.output
    plans = {plan["stage"]: plan for plan in map(json.loads, result.stdout.splitlines())}
    assert plans["docmatix"]["totals"]["rows"] == 1_273_215 // 5
    # Pairs of a document are equally long on average, so a part of the pairs is one of the tokens.
    (docmatix,) = plans["docmatix"]["sources"]
    assert docmatix["answer_tokens"] / docmatix["pass_answer_tokens"] == pytest.approx(
        0.04, abs=5e-4
    )
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


@pytest.mark.slow
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


def test_copies_of_documents_have_one_pair_or_two(tmp_path: Path) -> None:
    """Of 120 documents with three pairs each, in five epochs for more copies."""
    world = World(str(tmp_path / "out"))
    pairs = [(f"question {number}?", f"answer {number}") for number in range(3)]
    world.add(VQA, [row(VQA, pairs, number, number=number) for number in range(120)])
    stage = load_recipe("docmatix-ablation").stage("docmatix")
    settings = {"promise": "epochs", "turns": stage.turns.model_dump(), "budget": None}
    world.mix(world.curate(), mixture={VQA: {"epochs": 5}}, **settings)
    shown = [len(copy["turn_sources"]) for copy in world.mixture()]
    assert set(shown) == {1, 2}
    assert sum(shown) / len(shown) == pytest.approx(1.5, abs=0.07)
    by_document = Counter(copy["id"] for copy in world.mixture() if len(copy["turn_sources"]) == 2)
    assert len(set(by_document.values())) > 2, "each pass chooses anew"
    assert verify(world.out) == []


@pytest.mark.parametrize("cap", [0, 0.5, float("nan"), float("inf")])
def test_a_cap_leaves_at_least_one_turn(cap: float) -> None:
    with pytest.raises(ValidationError):
        TurnRules(cap=cap)


def test_a_whole_cap_stays_a_whole_number_in_manifests() -> None:
    assert TurnRules.model_validate_json('{"cap": 7}').model_dump_json() == (
        '{"shuffle":true,"cap":7}'
    )
