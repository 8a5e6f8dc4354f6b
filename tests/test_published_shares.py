"""The packaged recipe over a hub with the published counts reaches the paper's shares."""

from __future__ import annotations

from pathlib import Path

import pytest

from cauldron.inspect.planning.plan import plans
from tests.published_shares import Hub, make_hub, total_variation

PLOTQA = "the_cauldron/plotqa"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Hub:
    return make_hub(tmp_path_factory.mktemp("published"))


def test_reached_shares_are_the_papers_within_a_point(hub: Hub) -> None:
    assert len(hub.table) == 64
    assert total_variation(hub, hub.reached(hub.select())) < 1


def test_every_source_reaches_what_is_asked_within_two_rows(hub: Hub) -> None:
    selection = hub.select()
    reached = hub.reached(selection)
    for item in selection.allocations:
        row = item.counts.answer_tokens / item.counts.rows
        planned = item.epochs * item.counts.delivered
        assert abs(reached[item.source] - planned) <= 2 * row, item.source
        # Inter-GPS has one row, whose 8.4 tokens are 8, and no more than 50 passes.
        assert item.planned_share == pytest.approx(item.share, rel=0.06)
        if item.source != PLOTQA:
            assert item.share == pytest.approx(hub.table[item.source].share, rel=0.02, abs=1e-4)


def test_plotqa_has_the_authors_passes_and_not_the_misprinted_share(hub: Hub) -> None:
    (plotqa,) = (item for item in hub.select().allocations if item.source == PLOTQA)
    assert (plotqa.epochs, plotqa.rows) == (0.375, 59)


def test_a_plan_over_the_output_tells_the_same(hub: Hub) -> None:
    (plan,) = plans(hub.recipe, ("sft",), hub.out)
    assert [line.allocation for line in plan.sources] == hub.select().allocations
    assert not plan.before_curation


def test_a_promise_of_epochs_keeps_the_authors_passes(tmp_path: Path) -> None:
    hub = make_hub(tmp_path, "epochs")
    selection = hub.select()
    for item in selection.allocations:
        assert item.epochs == pytest.approx(12.5 * hub.table[item.source].weight), item.source
    # Sets of many turns fall behind their share, because a copy keeps seven.
    assert 2 < total_variation(hub, hub.reached(selection)) < 5
