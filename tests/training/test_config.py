"""The learning rate is a function of the step."""

from __future__ import annotations

import pytest
from cauldron.training.config import TrainRecipe


def test_a_constant_rate_stays() -> None:
    rules = TrainRecipe(steps=10, learning_rate=0.5, schedule="constant")
    assert {rules.learning_rate_at(step) for step in range(10)} == {0.5}


def test_a_linear_rate_goes_down_to_zero_after_the_last_step() -> None:
    rules = TrainRecipe(steps=4, learning_rate=1.0, schedule="linear")
    assert [rules.learning_rate_at(step) for step in range(5)] == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_a_warm_up_comes_first() -> None:
    rules = TrainRecipe(steps=6, learning_rate=1.0, schedule="linear", warmup_steps=2)
    rates = [rules.learning_rate_at(step) for step in range(6)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.75, 0.5, 0.25])
