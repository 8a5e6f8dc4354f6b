"""The command line: one line for an error, the exit code, options that go to Beam."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from cauldron.sources.catalog import registry
from click.testing import CliRunner

from cauldron.cli import main
from cauldron.commands.common import recipe_and_beam
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
    assert recipe_and_beam(typed) == expected


def test_two_recipes_are_a_usage_error():
    with pytest.raises(UsageError, match="one recipe"):
        recipe_and_beam(("a.yaml", "b.yaml"))


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
    assert line["share_asked"] == pytest.approx(0.1303, abs=1e-3)
    assert (line["share_published"], line["percent_printed"]) == (0.1303, 13.03)
    assert line["authors_epochs"] == 1.25
    assert set(line) >= {"rows", "answer_tokens", "weight", "epochs", "cause"}
    assert plan["totals"]["answer_tokens"] == pytest.approx(380_632_226, abs=1)
    assert len(plan["misprints"]) == 6


def test_plan_and_sources_do_not_load_beam():
    """It takes longer to import than both take to answer."""
    code = (
        "import sys\nfrom cauldron.cli import main\n"
        "main(['sources'], standalone_mode=False)\n"
        "main(['plan', 'idefics3'], standalone_mode=False)\n"
        "sys.exit('apache_beam' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_sources_lists_all_with_licence_size_and_access():
    lines = json.loads(run("sources", "--json").output)
    assert [line["source"] for line in lines] == list(registry())
    assert {line["source"] for line in lines if line["gated"]} >= {"sharegpt_4o", "lima"}
    assert all(line["license"] for line in lines)


def test_weights_on_the_command_line_replace_those_of_the_recipe():
    recipe = with_weights(load_recipe("idefics3"), ("dolly=3",))
    assert recipe.stage("sft").mixture["dolly"].weight == 3
    assert recipe.stage("sft").mixture["lima"].weight == 0.25


@pytest.mark.parametrize(
    "error",
    [RuntimeError("first\nsecond"), RecursionError(), ValueError("Circular reference detected")],
)
def test_an_unforeseen_error_is_one_line_that_names_the_traceback(monkeypatch, tmp_path, error):
    def fail():
        raise error

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("cauldron.inspect.tables.sources.source_lines", fail)
    found = run("sources", "--json")
    assert found.exit_code == 1
    (file,) = tmp_path.glob("cauldron-traceback-*")
    (line,) = found.output.strip().splitlines()
    assert type(error).__name__ in line
    assert line.endswith(str(file))
    assert "in fail" in file.read_text()


def test_a_disk_error_is_one_line(monkeypatch):
    def fail():
        raise OSError(28, "No space left on device", "/data/x")

    monkeypatch.setattr("cauldron.inspect.tables.sources.source_lines", fail)
    found = run("sources", "--json")
    assert (found.exit_code, len(found.output.splitlines())) == (1, 1)
    assert "No space left" in found.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("build", "nowhere://bucket/recipe.yaml"),
        ("build", "--root", "nowhere://bucket"),
        ("build", "--output", "nowhere://bucket"),
        ("query", "nowhere://bucket", "SELECT 1"),
        ("verify", "nowhere://bucket"),
        ("plan", "--output", "nowhere://bucket"),
        ("curate", "nowhere://bucket", "--explain", "00000000"),
    ],
)
def test_an_address_that_no_package_opens_is_a_usage_error(arguments):
    found = run(*arguments)
    assert found.exit_code == 2, found.output
    assert len(found.output.strip().splitlines()) == 1
    assert "://bucket" in found.output


def test_a_store_of_s3_without_credentials_is_one_line(monkeypatch, tmp_path):
    s3 = pytest.importorskip("s3fs").S3FileSystem
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3.clear_instance_cache()
    found = run("verify", "s3://bucket/out")
    s3.clear_instance_cache()
    assert found.exit_code == 1
    assert found.output == "cauldron: Unable to locate credentials\n"


def test_a_root_that_is_not_there_is_one_line(tmp_path):
    found = run("build", "--root", f"{tmp_path}/absent")
    assert (found.exit_code, len(found.output.splitlines())) == (2, 1)
    assert "absent: no such folder" in found.output


def test_a_folder_named_hub_is_not_taken_for_the_hub(tmp_path, monkeypatch):
    (tmp_path / "hub").mkdir()
    monkeypatch.chdir(tmp_path)
    found = run("build", "--root", "hub")
    assert (found.exit_code, len(found.output.splitlines())) == (2, 1)
    assert "./hub" in found.output
    assert "leave --root out" in found.output
