"""The command line: one line for an error, the exit code, options that go to Beam."""

from __future__ import annotations

import json

import pytest
from cauldron.sources.catalog import registry
from click.testing import CliRunner

from cauldron.cli import _recipe_and_beam, main
from cauldron.core.errors import UsageError
from cauldron.recipe import load_recipe, with_weights


def run(*arguments: str):
    return CliRunner().invoke(main, list(arguments))


def test_every_command_has_an_example_in_its_help():
    for name in main.commands:
        found = run(name, "--help")
        assert found.exit_code == 0
        assert "Examples:" in found.output


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ((), ("idefics3", ())),
        (("my.yaml", "--runner=R"), ("my.yaml", ("--runner=R",))),
        (("--runner=R", "sample"), ("sample", ("--runner=R",))),
        (("--runner", "R", "my.yaml"), ("my.yaml", ("--runner", "R"))),
        (("--no_auth", "my.yaml"), ("my.yaml", ("--no_auth",))),
    ],
)
def test_the_recipe_is_told_from_options_for_beam(typed, expected):
    assert _recipe_and_beam(typed) == expected


def test_two_recipes_are_a_usage_error():
    with pytest.raises(UsageError, match="one recipe"):
        _recipe_and_beam(("a.yaml", "b.yaml"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("build", "nowhere.yaml"), "no recipe 'nowhere.yaml'"),
        (("plan", "--stage", "stage9"), "no stage 'stage9'"),
        (("plan", "--weight", "nothing=1"), "no stage of 'idefics3' mixes 'nothing'"),
        (("plan", "--weight", "dolly=much"), "--weight"),
    ],
)
def test_usage_errors_are_one_line_and_exit_with_two(arguments, message):
    found = run(*arguments)
    assert found.exit_code == 2
    assert message in found.output
    assert len(found.output.strip().splitlines()) == 1


def test_a_recipe_with_a_wrong_field_says_where(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("extends: idefics3\nstages: {sft: {mixture: {dolly: {wieght: 1}}}}\n")
    found = run("plan", str(path))
    assert found.exit_code == 2
    assert "stages.sft.mixture.dolly" in found.output


def test_a_recipe_that_extends_itself_is_refused(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(f"extends: {path}\n")
    with pytest.raises(UsageError, match="extends itself"):
        load_recipe(str(path))


def test_extending_merges_and_null_takes_out(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        "extends: idefics3\nstages: {sft: {mixture: {dolly: null, lima: {share: 0.5}}}}\n"
    )
    mixture = load_recipe(str(path)).stage("sft").mixture
    assert set(mixture) == set(load_recipe("idefics3").stage("sft").mixture) - {"dolly"}


def test_plan_json_is_one_object_per_stage_with_the_published_figures():
    found = run("plan", "idefics3", "--stage", "sft", "--json")
    plan = json.loads(found.output)
    assert plan["stage"] == "sft"
    mixture = load_recipe("idefics3").stage("sft").mixture
    assert sorted(item["source"] for item in plan["sources"]) == sorted(mixture)
    line = next(item for item in plan["sources"] if item["source"] == "sharegpt_4o")
    assert line["share"] == pytest.approx(0.1303, abs=2e-4)
    assert line["published_percent"] == 13.03
    assert set(line) >= {"rows", "answer_tokens", "weight", "epochs"}
    assert len(plan["misprints"]) == 6


def test_sources_lists_all_with_licence_size_and_access():
    lines = json.loads(run("sources", "--json").output)
    assert [line["source"] for line in lines] == list(registry())
    assert {line["source"] for line in lines if line["gated"]} >= {"sharegpt_4o", "lima"}
    assert all(line["license"] for line in lines)


def test_weights_on_the_command_line_replace_those_of_the_recipe():
    recipe = with_weights(load_recipe("idefics3"), ("dolly=3",))
    assert recipe.stage("sft").mixture["dolly"].weight == 3
    assert recipe.stage("sft").mixture["lima"].weight == 0.25
