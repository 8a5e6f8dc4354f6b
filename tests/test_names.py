"""Names and values of a recipe: what may not be a folder, what was meant, and files that hurt."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from cauldron.cli import main
from cauldron.core.errors import UsageError
from cauldron.core.names import did_you_mean, plain_name
from cauldron.core.output.manifests import MixtureManifest
from cauldron.core.plain_yaml import parse_yaml
from cauldron.recipe import load_recipe

STAGE = "{budget: {epochs_of: {lima: 1}}, mixture: {lima: 1}}"
OUTSIDE = "../../../victim"


def recipe(tmp_path: Path, text: str) -> str:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", ["sft", "stage1", "my-stage_2.1", "3d", "a" * 100])
def test_plain_names(name: str) -> None:
    assert plain_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "/etc", ".git", "_done", "a b", "a\0", "a" * 101, "ä"]
)
def test_what_is_not_a_name(name: str) -> None:
    with pytest.raises(ValueError, match="is not a name"):
        plain_name(name)


@pytest.mark.parametrize(
    "text",
    [
        f"name: {OUTSIDE}\nstages: {{sft: {STAGE}}}",
        f"name: x\nstages: {{{OUTSIDE}: {STAGE}}}",
        f"name: x\nstages: {{sft: {{budget: {{samples: 1}}, mixture: {{{OUTSIDE}: 1}}}}}}",
        f"name: x\nsources: {{{OUTSIDE}: {{}}}}\nstages: {{sft: {STAGE}}}",
        f"name: x\nagainst: {{benchmarks: {{{OUTSIDE}: /data}}}}\nstages: {{sft: {STAGE}}}",
        f"name: x\ntraining: {{{OUTSIDE}: {{}}}}\nstages: {{sft: {STAGE}}}",
    ],
)
def test_no_name_of_a_recipe_leads_out_of_the_output_folder(tmp_path: Path, text: str) -> None:
    victim = tmp_path / "victim/data"
    victim.mkdir(parents=True)
    (victim / "precious.parquet").write_text("mine")
    output = tmp_path / "a/b/out"
    found = CliRunner().invoke(main, ["build", recipe(tmp_path, text), "--output", str(output)])
    assert found.exit_code == 2, found.output
    assert "is not a name" in found.output
    assert len(found.output.strip().splitlines()) == 1
    assert (victim / "precious.parquet").read_text() == "mine"
    assert not output.exists()


def test_a_manifest_names_no_folder_outside_its_output() -> None:
    with pytest.raises(ValidationError) as caught:
        MixtureManifest.model_validate({"stage": OUTSIDE, "corpora": {"a/../b": "1"}})
    assert {"stage", "corpora"} <= {item["loc"][0] for item in caught.value.errors() if item["loc"]}


def test_the_nearest_known_name_is_given_if_one_is_near() -> None:
    known = ["the_cauldron/ai2d", "docmatix"]
    assert did_you_mean("docmatrix", known) == "; did you mean 'docmatix'?"
    assert did_you_mean("AI2D", known) == "; did you mean 'the_cauldron/ai2d'?"
    assert did_you_mean("nothing", known) == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stagse: {}", "stagse: no such field; did you mean 'stages'?"),
        (
            "text: {max_turn_char: 5}",
            "text.max_turn_char: no such field; did you",
        ),
        (
            "sources: {lima: {text: {max_turn: 5}}}",
            "lima.text.max_turn: no such field; did",
        ),
        ("language: {keep: [en], identify: false}", "set identify to true"),
        ("stages: {sft: {budget: {answer_tokens: 1e400}}}", "answer_tokens"),
    ],
)
def test_a_wrong_field_is_named_with_the_nearest_one(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe(recipe(tmp_path, f"extends: idefics3\n{text}"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_on_is_a_key_and_no_is_norwegian(tmp_path: Path) -> None:
    classifier = "{model: m.bin, label: good, min_score: 0.5, on: answers}"
    text = f"extends: idefics3\nclassifiers: [{classifier}]\nlanguage: {{keep: [no, en]}}"
    found = load_recipe(recipe(tmp_path, text))
    assert found.classifiers[0].on == "answers"
    assert found.language.keep == ("no", "en")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[true, True, FALSE]", [True, True, False]),
        ("[yes, no, on, off, y]", ["yes", "no", "on", "off", "y"]),
        ("[2024-01-01, 1, 1.5, ~, null]", ["2024-01-01", 1, 1.5, None, None]),
    ],
)
def test_booleans_are_those_of_yaml_1_2(text: str, value: list[object]) -> None:
    assert parse_yaml(text) == value


def bomb() -> str:
    lines = ["a0: &a0 {x: 1}"]
    for level in range(1, 12):
        items = ", ".join(f"k{key}: *a{level - 1}" for key in range(9))
        lines.append(f"a{level}: &a{level} {{{items}}}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"name: \xff\xfe", "UTF-8"),
        (b"a: [" * 5000, "levels deep"),
        (b"a: " + b"[" * 100 + b"]" * 100, "levels deep"),
        (b"a: &a [*a]", "levels deep"),
        (bomb().encode(), "100,000 values"),
        (b"seed: " + b"9" * 5000, "cannot be read"),
        (b"name: x\nseed: " + b"9" * 400 + f"\nstages: {{sft: {STAGE}}}".encode(), "seed"),
        (b"a: .inf", "not a number"),
        (b"a: !!binary aGk=", "a bytes"),
        (b"a: !!python/object:os.system x", "not YAML"),
        (b"1: 2", "not text"),
        (b"a: [", "not YAML"),
        (b"- a", "not a mapping"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "build"])
def test_a_recipe_that_cannot_be_read_is_one_line(
    tmp_path: Path, command: str, text: bytes, message: str
) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(text)
    found = CliRunner().invoke(main, [command, str(path)])
    assert found.exit_code == 2, found.output
    assert message in found.output
    assert len(found.output.strip().splitlines()) == 1
    assert len(found.output) < 600
