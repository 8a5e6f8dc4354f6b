"""The learning rate as a function of the step, so that nothing of it needs saving."""

from __future__ import annotations

from cauldron.training.config import TrainRecipe


def learning_rate(rules: TrainRecipe, step: int) -> float:
    """Of a step, from 0: up during the warm-up, then constant, or down to zero at `steps`."""
    if step < rules.warmup_steps:
        return rules.learning_rate * (step + 1) / rules.warmup_steps
    if rules.schedule == "constant":
        return rules.learning_rate
    left = (rules.steps - step) / max(1, rules.steps - rules.warmup_steps)
    return rules.learning_rate * max(0.0, left)
