"""The steps of a run, one after another, with what happens between them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from cauldron.training.checkpoint import Checkpoints
from cauldron.training.config import TrainRecipe
from cauldron.training.data.loader import PackLoader
from cauldron.training.metrics import Metrics
from cauldron.training.step import Stepper, Stopped


def run_steps(
    first: int,
    rules: TrainRecipe,
    loader: PackLoader,
    stepper: Stepper,
    checkpoints: Checkpoints,
    state: Callable[[], dict[str, Any]],
    metrics: Metrics | None,
    say: Callable[[str], None],
) -> bool:
    """Train from a step on; whether it came to the end, and was not told to stop before.

    Either way a checkpoint of the last finished step is on disk on return.

    Args:
        state: what a checkpoint holds, in use.
        metrics: of the first rank.
    """
    for number in range(first, rules.steps):
        position = loader.state()
        start = time.perf_counter()
        try:
            result = stepper.step(number, next(loader))
        except Stopped:
            # The step is done again on resuming: a batch of 1,024 may take longer than the
            # seconds that a scheduler leaves.
            if number:
                checkpoints.save(number, position, state())
            checkpoints.finish()
            return False
        seconds = time.perf_counter() - start
        if metrics is not None:
            skipped = sum(loader.bad_rows.values())
            say(metrics.step(number, result, seconds, skipped))
        checkpoints.poll()
        done = number + 1
        if done % rules.checkpoint_every == 0 or done == rules.steps:
            checkpoints.save(done, loader.state(), state())
    checkpoints.finish()
    return True
