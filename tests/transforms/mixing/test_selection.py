"""The budget of a build of some rows of each source."""

from __future__ import annotations

import pytest
from cauldron.transforms.mixing.selection import Terms, part_of

from cauldron.core.sections.stage import StageRecipe
from cauldron.core.shares import SourceCounts, solve


def counts(rows: int) -> SourceCounts:
    return SourceCounts(rows, 10.0 * rows, 10.0 * rows)


PUBLISHED = {"large": counts(90_000), "small": counts(10_000)}
MIXTURE = {"large": 1, "small": 1, "own": 1}


def stage(**budget: float) -> StageRecipe:
    return StageRecipe.model_validate(
        {"budget": budget, "mixture": MIXTURE, "weigh_by": "published", "max_epochs": 50}
    )


def test_the_budget_of_answer_tokens_shrinks_with_the_rows():
    held = {"large": counts(500), "small": counts(500), "own": counts(7)}
    part = part_of(stage(answer_tokens=1e6), held, PUBLISHED)
    assert part.budget is not None
    assert part.budget.answer_tokens == 1e4
    assert max(item.epochs for item in solve(part, held, PUBLISHED)) < 3
    # As many rows as were published, or more: the whole budget.
    assert part_of(stage(answer_tokens=1e6), dict(PUBLISHED), PUBLISHED).budget == (
        stage(answer_tokens=1e6).budget
    )


@pytest.mark.parametrize("budget", [{"samples": 5}, {"epochs_of": {"large": 1}}])
def test_other_budgets_stay(budget):
    given = stage(**budget)
    assert part_of(given, {"large": counts(5)}, PUBLISHED) is given


def test_without_published_counts_the_budget_stays():
    given = stage(answer_tokens=1e6)
    assert part_of(given, {"own": counts(5)}, PUBLISHED) is given


def test_a_budget_of_sequences_is_the_part_that_is_read():
    given = stage(sequences=1_000)
    found = part_of(given, {"large": counts(9_000), "small": counts(1_000)}, PUBLISHED)
    assert found.budget == stage(sequences=100).budget


def test_sources_that_are_expected_size_the_budget_but_not_the_shares():
    given = stage(sequences=1_000)
    read = {"large": SourceCounts(9_000, 90_000.0, 90_000.0, (90.0,))}
    (found,) = Terms(given, ("large",), {}, limited=True, expected=PUBLISHED).solve(read)
    assert found.epochs * 90 == pytest.approx(100)
