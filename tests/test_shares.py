"""From shares to epochs: published figures, caps, budgets."""

from __future__ import annotations

import pytest

from cauldron.core.errors import CauldronError
from cauldron.core.shares import Allocation, SourceCounts, solve
from cauldron.core.stage import StageRecipe
from cauldron.inspect.statistics import AGREEMENT, published
from cauldron.recipe import load_recipe


def stage(mixture: dict, **budget: float) -> StageRecipe:
    max_epochs = budget.pop("max_epochs", 50)
    return StageRecipe.model_validate(
        {"mixture": mixture, "budget": budget, "max_epochs": max_epochs}
    )


def counts(rows: int, tokens: float, delivered: float | None = None) -> SourceCounts:
    return SourceCounts(rows, tokens, tokens if delivered is None else delivered)


def by_name(allocations: list[Allocation]) -> dict[str, Allocation]:
    return {item.source: item for item in allocations}


@pytest.fixture(scope="module")
def idefics3() -> dict[str, Allocation]:
    recipe = load_recipe("idefics3")
    table = published("idefics3_sft")
    return by_name(solve(recipe.stage("sft"), {n: row.counts() for n, row in table.items()}))


def test_published_weights_give_the_published_shares_of_all_64_sources(idefics3):
    table = published("idefics3_sft")
    assert set(idefics3) == set(table)
    assert len(table) == 64
    for name, row in table.items():
        assert 100 * idefics3[name].share == pytest.approx(row.percent_from_weights, abs=0.02)
        assert idefics3[name].weight == row.weight


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
            stage({"a": 1, "none": {"share": 0.4}}, epochs_of_largest=1),
            {"a": counts(10, 100), "none": counts(0, 0)},
        )
    )
    assert found["a"].share == 1
    assert found["none"].epochs == 0


def test_no_answer_tokens_at_all_is_an_error():
    with pytest.raises(CauldronError, match="answer tokens"):
        solve(stage({"a": 1}, samples=1), {"a": counts(0, 0)})
