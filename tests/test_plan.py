"""`cauldron plan`: what a build is going to make, what it rests on, and what a change does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cauldron.cli import main
from cauldron.core.output.manifests import MixtureManifest
from cauldron.core.shares import SourceCounts, solve
from cauldron.inspect.causes import causes, shortfall
from cauldron.inspect.planning.difference import difference
from cauldron.inspect.planning.plan import Plan, plans
from cauldron.inspect.statistics import published, published_counts
from cauldron.recipe import load_recipe, with_weights

Built = tuple[Path, MixtureManifest]


def plan_json(*arguments: str) -> dict[str, Any]:
    found = CliRunner().invoke(main, ["plan", *arguments, "--stage", "sft", "--json"])
    assert found.exit_code == 0, found.output
    plan: dict[str, Any] = json.loads(found.output)
    return plan


def lines_of(plan: Plan) -> dict[str, Any]:
    return {line.allocation.source: line for line in plan.sources}


def test_plan_and_build_of_the_sample_agree_for_every_source(built: Built) -> None:
    output, manifest = built
    plan = plan_json("sample", "--output", str(output))
    assert {line["source"] for line in plan["sources"]} == set(manifest.sources)
    for line in plan["sources"]:
        source = manifest.sources[line["source"]]
        assert line["basis"] == "decisions"
        assert (line["epochs"], line["rows"]) == (source.epochs, source.rows), line["source"]
        assert (line["share_asked"], line["pass_rows"]) == (source.share_asked, source.pass_rows)
        assert line["share_published"] == source.share_published
    assert plan["totals"]["answer_tokens"] == pytest.approx(manifest.totals.answer_tokens, rel=0.1)
    assert plan["totals"]["bytes"] == pytest.approx(manifest.totals.bytes, rel=0.2)


def test_the_sample_reaches_what_is_asked_within_a_row(built: Built) -> None:
    _, manifest = built
    assert 1_000 < manifest.totals.rows <= 1_536
    apart = sum(abs(s.share_asked - s.share_reached) for s in manifest.sources.values()) / 2
    assert apart < 0.06
    for name, source in manifest.sources.items():
        assert "capped" not in source.reason, name
        short = source.share_reached < 0.9 * source.share_asked
        assert bool(source.reason) >= short, name


def test_corpora_alone_are_planned_with_before_curation(built: Built, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(built[0], out, ignore=shutil.ignore_patterns("curation", "mixtures", "*.tar"))
    found = CliRunner().invoke(main, ["plan", "sample", "--output", str(out)])
    assert found.exit_code == 0
    assert "(from the corpora, before curation)" in found.output
    # Some of its sources have the sizes of the small hub, others those of the published sets.
    assert "No plan of stage stage3: the sources with `epochs`" in found.output
    one = CliRunner().invoke(main, ["plan", "sample", "--stage", "stage3", "--output", str(out)])
    assert (one.exit_code, one.output.count("\n")) == (1, 1)
    lines = plan_json("sample", "--output", str(out))["sources"]
    assert {line["basis"] for line in lines} == {"corpus"}
    counts = {name: source.counts for name, source in built[1].sources.items()}
    for line in lines:
        before = counts[line["source"]]
        near = before.merged.get("near_duplicate", 0) + before.merged.get("exact_copy", 0)
        assert line["pass_rows"] in (before.kept, before.kept + near, before.rows_in), line


def test_another_rule_on_duplicates_does_not_use_the_decisions(built: Built) -> None:
    recipe = load_recipe("sample")
    assert recipe.duplicates is not None
    rules = recipe.duplicates.model_copy(update={"action": "drop"})
    (plan,) = plans(recipe.model_copy(update={"duplicates": rules}), ("sft",), str(built[0]))
    assert plan.before_curation


def test_a_source_that_the_build_did_not_read_is_named(built: Built) -> None:
    recipe = load_recipe("sample")
    stage = recipe.stage("sft")
    mixture = {**stage.mixture, "the_cauldron/vqarad": stage.mixture["the_cauldron/vsr"]}
    stages = {"sft": stage.model_copy(update={"mixture": mixture})}
    (plan,) = plans(recipe.model_copy(update={"stages": stages}), ("sft",), str(built[0]))
    assert plan.absent == ("the_cauldron/vqarad",)


def test_decisions_over_sources_that_are_no_longer_allowed_are_not_used(built: Built) -> None:
    recipe = load_recipe("sample")
    rules = recipe.licenses.model_copy(update={"allow": ("cc-by-4.0", "mit")})
    (plan,) = plans(recipe.model_copy(update={"licenses": rules}), ("sft",), str(built[0]))
    assert plan.before_curation
    assert len(plan.sources) + len(plan.left_out) == 64


def test_a_small_copy_on_the_hub_is_planned_with_its_cap() -> None:
    lines = lines_of(plans(load_recipe("idefics3"), ("sft",), None)[0])
    line = lines["the_cauldron/rendered_text"]
    assert line.allocation.epochs == 4
    assert line.cause == "smaller copy: 10,000 of 999,000 rows; capped at 4 epochs"
    assert line.allocation.share == pytest.approx(0.0717, abs=1e-3)
    assert line.allocation.planned_share < 0.004
    # Twelve and a half thousandths of an epoch would be enough of the whole set.
    websight = lines["the_cauldron/websight"]
    assert not websight.allocation.capped
    assert websight.cause == "smaller copy: 10,000 of 500,000 rows"
    assert lines["the_cauldron/clevr_math"].cause == "the cap on turns delivers 62%"
    assert lines["the_cauldron/plotqa"].cause.startswith("epochs fixed at 0.375; misprint")
    assert lines["lnqa"].cause == "takes up what other sources leave"


def test_a_licence_that_is_not_allowed_makes_the_mixture_smaller() -> None:
    recipe = load_recipe("idefics3")
    rules = recipe.licenses.model_copy(update={"allow": ("cc-by-4.0", "mit")})
    (plan,) = plans(recipe.model_copy(update={"licenses": rules}), ("sft",), None)
    assert 0 < plan.answer_tokens < 380e6
    assert len(plan.left_out) + len(plan.sources) == 64


def test_a_changed_weight_is_compared_with_the_recipe() -> None:
    change = plan_json("--weight", "docmatix=0.02")["difference"]
    assert change["parent"] == "idefics3"
    assert abs(change["answer_tokens"]) < 10
    first, *_ = change["shares"]
    assert first == "docmatix"
    assert change["shares"]["docmatix"]["after"] > 2 * change["shares"]["docmatix"]["before"]


def test_a_recipe_is_compared_with_the_one_that_it_extends(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    mixture = "{the_cauldron/websight: null, the_cauldron/vqarad: {share: 0.01}}"
    path.write_text(f"{{extends: idefics3, name: r, stages: {{sft: {{mixture: {mixture}}}}}}}")
    shares = plan_json(str(path))["difference"]["shares"]
    assert shares["the_cauldron/websight"]["after"] == 0
    found = CliRunner().invoke(main, ["plan", str(path)])
    assert "Against idefics3: " in found.output
    assert "difference" not in plan_json("idefics3")


def test_a_plan_differs_in_nothing_from_itself() -> None:
    (plan,) = plans(load_recipe("idefics3"), ("sft",), None)
    same = difference("idefics3", plan, plan)
    assert (same.rows, same.answer_tokens, same.bytes, same.shares) == (0, 0, 0, {})


def test_a_promise_of_epochs_is_compared_with_shares(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("{extends: idefics3, name: r, stages: {sft: {promise: epochs, budget: null}}}")
    (plan,) = plans(load_recipe(str(path)), ("sft",), None)
    line = lines_of(plan)["the_cauldron/clevr_math"]
    assert line.allocation.epochs == line.authors_epochs == 2.5
    assert line.difference < -0.2
    assert line.cause == "the cap on turns delivers 62%"


def test_what_falls_short_is_named_with_the_reason() -> None:
    recipe, table = load_recipe("idefics3"), published("idefics3_sft")
    counts = published_counts("idefics3_sft")
    name = "the_cauldron/rendered_text"
    small = counts | {name: SourceCounts(10_000, 272_000, 272_000)}
    stage = recipe.stage("sft")
    found = {item.source: item for item in solve(stage, small, counts)}
    why = shortfall(stage, found[name], table[name], found[name].planned_share)
    assert why == "smaller copy: 10,000 of 999,000 rows; capped at 4 epochs"
    lnqa = found["lnqa"]
    assert shortfall(stage, lnqa, table["lnqa"], lnqa.planned_share) == ""
    assert "differ in length" in shortfall(stage, lnqa, table["lnqa"], 0.5 * lnqa.share)


def test_raising_one_weight_names_no_other_source() -> None:
    recipe = with_weights(load_recipe("idefics3"), ("docmatix=0.08",))
    stage, counts = recipe.stage("sft"), published_counts("idefics3_sft")
    found = solve(stage, counts, counts)
    table = published("idefics3_sft")
    named = {
        item.source
        for item in found
        if shortfall(stage, item, table[item.source], item.planned_share)
    }
    assert named == set()


def test_measured_weights_say_why_a_published_share_is_not_reached() -> None:
    recipe, counts = load_recipe("idefics3"), published_counts("idefics3_sft")
    name = "the_cauldron/rendered_text"
    small = counts | {name: SourceCounts(10_000, 272_000, 272_000)}
    stage = recipe.stage("sft").model_copy(update={"weigh_by": "measured"})
    (item,) = (one for one in solve(stage, small, counts) if one.source == name)
    row = published("idefics3_sft")[name]
    assert item.share < 0.001
    assert shortfall(stage, item, row, item.share) == "smaller copy: 10,000 of 999,000 rows"


def test_a_source_without_rows_is_said_to_have_none() -> None:
    recipe, counts = load_recipe("idefics3"), published_counts("idefics3_sft")
    none = counts | {"lima": SourceCounts(0, 0, 0)}
    (item,) = (one for one in solve(recipe.stage("sft"), none, counts) if one.source == "lima")
    assert causes(item, published("idefics3_sft")["lima"]) == ["no turn is left after curation"]
