"""A run goes on with any number of ranks and workers: no row twice, none missing."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from cauldron.core.errors import CauldronError
from tests.training.data.conftest import numbers_of, take
from tests.training.data.tiny import TILE


def run(opened, world: int, steps: int, state=None, **changes) -> tuple[list[list[int]], dict]:
    """Rows of each step, over all ranks, and the state after the last."""
    loaders = [opened(rank, world, state, **changes) for rank in range(world)]
    rows = []
    for _ in range(steps):
        step = [pack for loader in loaders for pack in next(loader)]
        rows.append(sorted(number for pack in step for number in numbers_of(pack)))
    states = [loader.state() for loader in loaders]
    assert all(other == states[0] for other in states)
    for loader in loaders:
        loader.close()
    return rows, json.loads(json.dumps(states[0]))


@pytest.mark.parametrize("world", [1, 2, 3, 6])
def test_steps_hold_the_same_rows_on_any_number_of_ranks(opened, world):
    assert run(opened, world, 8)[0] == run(opened, 1, 8)[0]


def test_steps_hold_the_same_rows_with_any_number_of_workers(opened):
    alone = run(opened, 1, 6)
    for workers, world in [(1, 1), (2, 1), (5, 1), (2, 2)]:
        assert run(opened, world, 6, workers=workers) == alone


@pytest.mark.parametrize("seed", range(6))
def test_killed_and_resumed_on_other_ranks_a_run_sees_the_same_steps(opened, seed):
    """1, 2, 3 and more ranks in turn, killed at any step, over several epochs."""
    rng = np.random.Generator(np.random.Philox(seed))
    through, _ = run(opened, 1, 20)
    seen, state = [], None
    while len(seen) < 20:
        steps = min(int(rng.integers(1, 5)), 20 - len(seen))
        world = int(rng.choice([1, 2, 3, 6]))
        # A killed run had prepared more than it had handed out: its state does not know.
        rows, state = run(opened, world, steps, state, ahead=int(rng.integers(1, 9)))
        seen += rows
    assert seen == through


def test_resumed_with_workers_a_run_sees_the_same_steps(opened):
    through, _ = run(opened, 1, 9)
    first, state = run(opened, 1, 2, workers=2)
    second, state = run(opened, 2, 3, state, workers=1)
    third, _ = run(opened, 3, 4, state)
    assert first + second + third == through


def test_the_tensors_are_the_same_to_the_last_bit(opened):
    through = take(opened(), 4)
    halted = opened(workers=2)
    take(halted, 2)
    resumed = take(opened(state=halted.state(), workers=1), 2)
    for step, again in zip(through[2:], resumed, strict=True):
        for pack, other in zip(step, again, strict=True):
            assert pack.position == other.position
            for name in ("input_ids", "labels", "boundaries", "tiles", "image_positions"):
                assert torch.equal(getattr(pack, name), getattr(other, name))


def test_a_run_resumes_between_two_longest_edges(opened):
    edges = ((0, TILE), (1, 2 * TILE), (3, 4 * TILE))
    changes = {"longest_edge": edges, "upscale": "published", "batch": 2}
    through, _ = run(opened, 1, 12, **changes)
    for halt in range(1, 6):
        first, state = run(opened, 1, halt, **changes)
        assert first + run(opened, 2, 12 - halt, state, **changes)[0] == through


def test_another_batch_goes_on_with_the_rows_that_are_left(opened):
    first, state = run(opened, 1, 2, batch=6)
    rest, _ = run(opened, 1, 3, state, batch=4)
    through, _ = run(opened, 1, 4, batch=6)
    flat = sorted(number for step in first + rest for number in step)
    assert flat == sorted(number for step in through for number in step)


def test_the_state_before_the_first_step_is_the_start(opened):
    state = opened().state()
    assert run(opened, 1, 2, json.loads(json.dumps(state)))[0] == run(opened, 1, 2)[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "seed was 0 and is 1"),
        ({"window_rows": 31}, "window_rows was 30 and is 31"),
        ({"exclude": ("pairs",)}, "left_out"),
    ],
)
def test_a_state_of_another_order_is_refused(opened, changes, message):
    state = opened().state()
    with pytest.raises(CauldronError, match=message):
        opened(state=state, **changes)
