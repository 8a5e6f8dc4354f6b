"""From shares to epochs: published figures, caps, budgets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.sections.stage import StageRecipe
from cauldron.core.shares import Allocation, SourceCounts, solve
from cauldron.inspect.statistics import AGREEMENT, published, published_counts
from cauldron.recipe import load_recipe, with_weights

PLOTQA = "the_cauldron/plotqa"


def stage(mixture: dict, **budget: Any) -> StageRecipe:
    max_epochs = budget.pop("max_epochs", 50)
    return StageRecipe.model_validate(
        {"mixture": mixture, "budget": budget, "max_epochs": max_epochs}
    )


def table_stage(mixture: dict, **fields: object) -> StageRecipe:
    """A stage whose weights multiply published tokens."""
    return StageRecipe.model_validate({"mixture": mixture, "weigh_by": "published", **fields})


def counts(rows: int, tokens: float, delivered: float | None = None) -> SourceCounts:
    return SourceCounts(rows, tokens, tokens if delivered is None else delivered)


def by_name(allocations: list[Allocation]) -> dict[str, Allocation]:
    return {item.source: item for item in allocations}


@pytest.fixture(scope="module")
def idefics3() -> dict[str, Allocation]:
    counts = published_counts("idefics3_sft")
    return by_name(solve(load_recipe("idefics3").stage("sft"), counts, counts))


def test_published_weights_give_the_published_shares_of_all_64_sources(idefics3):
    table = published("idefics3_sft")
    assert set(idefics3) == set(table)
    assert len(table) == 64
    for name, row in table.items():
        assert 100 * idefics3[name].share == pytest.approx(row.percent_from_weights, abs=0.02)
        # PlotQA has epochs, because its printed tokens are shifted by ten.
        assert idefics3[name].weight == (None if name == PLOTQA else row.weight)


def test_the_printed_column_agrees_but_for_the_six_chart_rows(idefics3):
    table = published("idefics3_sft")
    agree = [
        name
        for name, row in table.items()
        if abs(100 * idefics3[name].share - row.percent_printed) <= AGREEMENT
    ]
    assert len(agree) == 58
    misprints = {row.title for row in table.values() if row.misprint}
    assert misprints == {"Chart2Text", "DVQA", "ChartQA", "PlotQA", "FigureQA", "MapQA"}
    assert not misprints & {table[name].title for name in agree}


def test_the_default_budget_is_the_fifty_mini_epochs_of_the_authors(idefics3):
    assert idefics3["the_cauldron/vsr"].epochs == pytest.approx(50)
    assert idefics3["the_cauldron/cocoqa"].epochs == pytest.approx(12.5)
    assert idefics3["sharegpt_4o"].epochs == pytest.approx(1.25)


def test_weights_share_in_proportion_to_tokens_times_weight():
    found = by_name(
        solve(
            stage({"a": 1, "b": 0.5}, answer_tokens=300),
            {"a": counts(10, 100), "b": counts(10, 400)},
        )
    )
    assert found["a"].share == pytest.approx(1 / 3)
    assert found["a"].epochs == pytest.approx(1.0)
    assert found["b"].epochs == pytest.approx(0.5)


def test_a_share_is_kept_and_weights_divide_the_rest():
    found = by_name(
        solve(
            stage({"a": {"share": 0.5}, "b": 1, "c": 3}, answer_tokens=800),
            {"a": counts(1, 100), "b": counts(1, 100), "c": counts(1, 100)},
        )
    )
    assert [found[n].share for n in "abc"] == pytest.approx([0.5, 0.125, 0.375])
    assert found["a"].epochs == pytest.approx(4)


def test_what_the_cap_takes_goes_to_the_others_in_proportion():
    found = by_name(
        solve(
            stage({"a": {"share": 0.5}, "b": 1, "c": 3}, answer_tokens=800, max_epochs=2),
            {"a": counts(1, 100), "b": counts(1, 500), "c": counts(1, 500)},
        )
    )
    # a is stopped at 200 of its 400 tokens; b and c share the other 600 as 1 to 3.
    assert found["a"].capped
    assert found["a"].epochs == 2
    assert found["b"].epochs * 500 == pytest.approx(150)
    assert found["c"].epochs * 500 == pytest.approx(450)
    assert sum(item.planned_share for item in found.values()) == pytest.approx(1)


def test_when_everything_is_capped_the_mixture_stays_below_its_budget():
    found = solve(
        stage({"a": 1, "b": 1}, answer_tokens=1e9, max_epochs=3),
        {"a": counts(5, 10), "b": counts(5, 10)},
    )
    assert [item.epochs for item in found] == [3, 3]


def test_a_budget_in_samples_counts_rows():
    found = solve(stage({"a": 1, "b": 1}, samples=30), {"a": counts(10, 100), "b": counts(20, 100)})
    assert sum(item.epochs * item.counts.rows for item in found) == pytest.approx(30)


def test_epochs_follow_what_a_pass_delivers_after_the_cap_on_turns():
    found = by_name(
        solve(
            stage({"a": 1, "plotqa": 1}, answer_tokens=200),
            {"a": counts(10, 100), "plotqa": counts(10, 100, delivered=10)},
        )
    )
    assert found["plotqa"].share == pytest.approx(0.5)
    assert found["plotqa"].epochs == pytest.approx(10)


def test_a_source_without_rows_leaves_its_share_to_the_others():
    found = by_name(
        solve(
            stage({"a": 1, "none": {"share": 0.4}}, epochs_of={"a": 1}),
            {"a": counts(10, 100), "none": counts(0, 0)},
        )
    )
    assert found["a"].share == 1
    assert found["none"].epochs == 0


def test_no_answer_tokens_at_all_is_an_error():
    with pytest.raises(CauldronError, match="answer tokens"):
        solve(stage({"a": 1}, samples=1), {"a": counts(0, 0)})


def tokens_of(found: dict[str, Allocation]) -> dict[str, float]:
    return {name: item.epochs * item.counts.delivered for name, item in found.items()}


def test_plotqa_is_passed_over_as_often_as_the_authors_did(idefics3):
    assert idefics3[PLOTQA].epochs == 0.375
    assert idefics3[PLOTQA].rows == 58_901
    # A build counts ten times the printed tokens; the copies stay the same.
    published_ = published_counts("idefics3_sft")
    real = published_ | {PLOTQA: published("idefics3_sft")[PLOTQA].expected(None, 7)}
    found = by_name(solve(load_recipe("idefics3").stage("sft"), real, published_))
    assert found[PLOTQA].epochs == 0.375
    assert found[PLOTQA].share == pytest.approx(found[PLOTQA].planned_share)
    assert sum(tokens_of(found).values()) == pytest.approx(380_632_226)


def test_the_budget_is_published_tokens_times_weight_times_the_authors_passes():
    stage = load_recipe("idefics3").stage("sft")
    table = published("idefics3_sft").values()
    total = sum(row.answer_tokens * row.weight for row in table) * stage.epochs_per_weight
    assert stage.budget is not None
    assert stage.budget.answer_tokens == pytest.approx(total, abs=1)


def test_a_changed_weight_changes_one_share_and_not_the_size(idefics3):
    recipe = with_weights(load_recipe("idefics3"), ("docmatix=0.02",))
    counts = published_counts("idefics3_sft")
    found = by_name(solve(recipe.stage("sft"), counts, counts))
    assert sum(tokens_of(found).values()) == pytest.approx(sum(tokens_of(idefics3).values()))
    before, after = idefics3["docmatix"].share, found["docmatix"].share
    assert after == pytest.approx(2.5 * before / (1 + 1.5 * before), rel=0.01)
    others = [found[n].share / idefics3[n].share for n in found if n not in ("docmatix", PLOTQA)]
    assert max(others) == pytest.approx(min(others))
    assert not any(item.capped for item in found.values())


def test_a_smaller_copy_asks_for_the_published_share():
    """10,000 of 999,000 rows of rendered_text had 0.08 % asked instead of 7.15 %."""
    table = {"small": counts(1000, 1000), "whole": counts(1000, 1000)}
    held = {"small": counts(250, 250), "whole": counts(1000, 1000)}
    found = by_name(
        solve(table_stage({"small": 1, "whole": 1}, budget={"answer_tokens": 2000}), held, table)
    )
    assert [found[n].share for n in ("small", "whole")] == [0.5, 0.5]
    assert [found[n].epochs for n in ("small", "whole")] == [4, 1]
    measured = stage({"small": 1, "whole": 1}, answer_tokens=2000)
    assert by_name(solve(measured, held, table))["small"].share == pytest.approx(0.2)


def test_a_source_that_is_not_in_the_table_is_weighed_by_measured_tokens():
    found = by_name(
        solve(
            table_stage({"a": 1, "own": 1}, budget={"answer_tokens": 400}),
            {"a": counts(10, 50), "own": counts(10, 300)},
            {"a": counts(20, 100)},
        )
    )
    assert found["own"].share == pytest.approx(0.75)


def test_a_smaller_copy_is_passed_over_four_times_or_as_often_as_the_authors_did():
    table = dict.fromkeys(("text", "vsr", "whole"), counts(1000, 1000))
    held = {"text": counts(10, 10), "vsr": counts(899, 899), "whole": counts(900, 900)}
    mixture = {"text": 0.08, "vsr": 4, "whole": 4}
    size = {"budget": {"answer_tokens": 200_000}}
    found = by_name(solve(table_stage(mixture, max_epochs_incomplete=4, **size), held, table))
    assert [found[n].ceiling for n in mixture] == [4, 50, 50]
    assert [found[n].epochs for n in mixture] == [4, 50, 50]
    assert all(found[n].capped for n in mixture)
    found = by_name(solve(table_stage(mixture, **size), held, table))
    assert [found[n].ceiling for n in mixture] == [50, 50, 50]


def test_what_a_smaller_copy_cannot_give_goes_to_the_others():
    table = {"small": counts(1000, 1000), "a": counts(100, 100), "b": counts(100, 300)}
    held = table | {"small": counts(10, 10)}
    stage_ = table_stage(
        {"small": 1, "a": 1, "b": 1}, budget={"answer_tokens": 1400}, max_epochs_incomplete=4
    )
    found = by_name(solve(stage_, held, table))
    assert (found["small"].epochs, found["small"].capped) == (12.5, True)
    assert sum(tokens_of(found).values()) == pytest.approx(1400)
    assert tokens_of(found)["b"] == pytest.approx(3 * tokens_of(found)["a"])


def test_an_unavailable_source_makes_the_mixture_smaller():
    table = {"a": counts(10, 100), "b": counts(10, 100), "gone": counts(10, 200)}
    held = {name: table[name] for name in "ab"}
    mixture = {"a": 1, "b": 3, "gone": 2}
    found = by_name(solve(table_stage(mixture, budget={"answer_tokens": 800}), held, table))
    # Of 800 tokens a, b and the third were to get 100, 300 and 400.
    assert tokens_of(found) == pytest.approx({"a": 100, "b": 300})
    assert found["b"].share == pytest.approx(0.75)
    found = by_name(solve(table_stage(mixture, budget={"samples": 80}), held, table))
    assert found["a"].epochs == pytest.approx(80 / (10 + 30 + 20))
    found = by_name(solve(stage(mixture, answer_tokens=800), held, table))
    assert sum(tokens_of(found).values()) == pytest.approx(800)


def test_epochs_are_taken_first_and_the_rest_of_the_budget_is_divided():
    held = {n: counts(10, 100) for n in "abcd"}
    mixture = {"a": {"epochs": 2}, "b": {"share": 0.1}, "c": 1, "d": 3}
    found = by_name(solve(stage(mixture, answer_tokens=1000), held))
    assert tokens_of(found) == pytest.approx({"a": 200, "b": 100, "c": 175, "d": 525})
    assert [found[n].share for n in "abcd"] == pytest.approx([0.2, 0.1, 0.175, 0.525])
    found = by_name(solve(stage(mixture, samples=100), held))
    assert sum(item.rows for item in found.values()) == 100
    assert found["b"].planned_share == pytest.approx(0.1)


def test_epochs_that_leave_nothing_of_the_budget_are_an_error():
    held = {n: counts(10, 100) for n in "ab"}
    with pytest.raises(CauldronError, match="raise the budget or lower the epochs"):
        solve(stage({"a": {"epochs": 2}, "b": 1}, answer_tokens=100), held)


def test_the_named_source_has_its_epochs_whatever_is_capped():
    held = {"a": counts(10, 100), "b": counts(10, 100), "c": counts(1, 10)}
    mixture = {"a": 1, "b": 2, "c": {"share": 0.5}}
    found = by_name(solve(stage(mixture, epochs_of={"b": 3}, max_epochs=5), held))
    assert [found[n].epochs for n in "abc"] == pytest.approx([1.5, 3, 5])
    assert [found[n].capped for n in "abc"] == [False, False, True]


def test_the_budget_of_a_source_without_rows_says_so():
    with pytest.raises(CauldronError, match="b is not here, or has no rows"):
        solve(stage({"a": 1, "b": 1}, epochs_of={"b": 1}), {"a": counts(1, 1), "b": counts(0, 0)})


def test_a_promise_of_epochs_passes_over_a_source_as_its_weight_says():
    stage_ = StageRecipe.model_validate(
        {"promise": "epochs", "mixture": {"a": 4, "b": 0.1, "c": {"epochs": 2}, "d": 8}}
    )
    held = {"a": counts(10, 100, 61), "b": counts(1000, 5000), "c": counts(1, 1), "d": counts(1, 1)}
    found = by_name(solve(stage_, held))
    assert [found[n].epochs for n in "abcd"] == [50, 1.25, 2, 50]
    assert [found[n].capped for n in "abcd"] == [False, False, False, True]
    assert found["a"].planned_share == pytest.approx(50 * 61 / (50 * 61 + 6250 + 2 + 50))


def test_the_packaged_recipe_can_promise_epochs(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("{extends: idefics3, name: e, stages: {sft: {promise: epochs, budget: null}}}")
    held = published_counts("idefics3_sft")
    found = by_name(solve(load_recipe(str(path)).stage("sft"), held, held))
    assert found["the_cauldron/vsr"].epochs == 50
    assert found["docmatix"].epochs == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"budget": {"epochs_of_largest": 1}}, "epochs_of: {SOURCE: X}"),
        ({"budget": {"samples": 1, "answer_tokens": 1}}, "exactly one of"),
        ({"budget": {"epochs_of": {"a": 1, "b": 1}}}, "at most 1"),
        ({"budget": {"epochs_of": {"c": 1}}}, "does not mix c"),
        ({"budget": {"epochs_of": {"b": 1}}, "mixture": {"a": 1, "b": {"epochs": 1}}}, "another"),
        ({}, "needs a budget"),
        ({"promise": "epochs", "budget": {"samples": 1}}, "say budget: null"),
        ({"promise": "epochs", "mixture": {"a": {"share": 1}}}, "no share"),
        ({"budget": {"samples": 1}, "mixture": {"a": {"epochs": 1}}}, "say promise: epochs"),
        ({"budget": {"samples": 1}, "mixture": {"a": 1, "b": {"epochs": 51}}}, "max_epochs, 50"),
        ({"budget": {"samples": 1}, "mixture": {"a": {"weight": 1, "epochs": 1}}}, "a weight, a"),
    ],
)
def test_what_a_stage_cannot_say(fields, message):
    with pytest.raises(ValidationError, match=message):
        StageRecipe.model_validate({"mixture": {"a": 1, "b": 1}, **fields})


def test_weights_of_published_tokens_need_a_table(tmp_path):
    path = tmp_path / "r.yaml"
    stage_ = "{weigh_by: published, budget: {samples: 1}, mixture: {lima: 1}}"
    path.write_text(f"{{name: r, stages: {{sft: {stage_}}}}}")
    with pytest.raises(UsageError, match="`statistics`"):
        load_recipe(str(path))


@pytest.mark.parametrize(
    ("change", "size"),
    [
        ("budget: {samples: 5}", {"samples": 5}),
        ("budget: {epochs_of: {lima: 2}}", {"epochs_of": {"lima": 2}}),
    ],
)
def test_another_budget_takes_the_place_of_the_parents(tmp_path, change, size):
    path = tmp_path / "r.yaml"
    plotqa = "{weight: 0.03}"
    path.write_text(
        f"{{extends: idefics3, name: r, stages: {{sft: {{{change}, "
        f"mixture: {{{PLOTQA}: {plotqa}, lima: {{share: 0.1}}}}}}}}}}"
    )
    stage_ = load_recipe(str(path)).stage("sft")
    assert stage_.budget is not None
    assert stage_.budget.model_dump(exclude_none=True) == size
    assert (stage_.mixture[PLOTQA].weight, stage_.mixture["lima"].share) == (0.03, 0.1)


def test_a_table_of_ones_own(tmp_path):
    path = Path(tmp_path, "own.csv")
    fields = "group,dataset,source,images,qa_pairs,answer_tokens,corrected_tokens,weight"
    path.write_text(
        f"{fields},percent_printed,percent_from_weights\nx,Lima,lima,0,1052,633867,,0.25,100,100\n"
    )
    assert published(str(path))["lima"].rows == 1052
    path.write_text("source,rows\nlima,1\n")
    with pytest.raises(UsageError, match=r"own\.csv"):
        published(str(path))
    with pytest.raises(UsageError, match="neither a packaged table nor a file"):
        published("nothing")
