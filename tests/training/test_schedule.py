"""Learning rates and seeds are functions of the step."""

from __future__ import annotations

import pytest
from cauldron.training.config import TrainRecipe
from cauldron.training.schedule import learning_rate
from cauldron.training.seeds import seed_of


def test_a_constant_rate_stays() -> None:
    rules = TrainRecipe(steps=10, learning_rate=0.5, schedule="constant")
    assert {learning_rate(rules, step) for step in range(10)} == {0.5}


def test_a_linear_rate_goes_down_to_zero_after_the_last_step() -> None:
    rules = TrainRecipe(steps=4, learning_rate=1.0, schedule="linear")
    assert [learning_rate(rules, step) for step in range(5)] == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_a_warm_up_comes_first() -> None:
    rules = TrainRecipe(steps=6, learning_rate=1.0, schedule="linear", warmup_steps=2)
    rates = [learning_rate(rules, step) for step in range(6)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.75, 0.5, 0.25])


def test_seeds_differ_by_every_part_and_its_place() -> None:
    seeds = {seed_of(a, b, c) for a in range(8) for b in range(8) for c in range(8)}
    assert len(seeds) == 512
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(1, 2) == 6_804_074_658_870_690_613
