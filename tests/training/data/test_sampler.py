"""The order of row groups, each once an epoch, and the assignment of packs to ranks."""

from __future__ import annotations

import numpy as np
import pytest
from cauldron.training.data.sampler import (
    Order,
    RowGroup,
    assign_packs,
    idle_share,
    permutation,
)


def groups(count: int, rows: int = 300) -> tuple[RowGroup, ...]:
    sizes = np.random.Generator(np.random.Philox(0)).integers(1, 2 * rows, count)
    return tuple(RowGroup(i // 8, i % 8, int(size)) for i, size in enumerate(sizes))


def flat(rounds) -> list[RowGroup]:
    return [group for windows in rounds for window in windows for group in window]


def test_permutations_are_the_same_on_every_machine():
    assert permutation(8, 0, "rows", 1, 2).tolist() == [6, 7, 4, 3, 5, 2, 0, 1]


def test_purpose_seed_and_place_change_a_permutation():
    found = {
        tuple(permutation(20, *arguments).tolist())
        for arguments in [
            (0, "rows", 1, 2),
            (0, "rows", 12),
            (0, "rows", 2, 1),
            (1, "rows", 1, 2),
            (0, "packs", 1, 2),
        ]
    }
    assert len(found) == 5


def test_an_epoch_has_every_row_group_once():
    everything = groups(500)
    order = Order(everything, seed=3, window_rows=1024, windows=8)
    for epoch in range(3):
        assert sorted(flat(order.rounds(epoch)), key=everything.index) == list(everything)
    assert flat(order.rounds(0)) != flat(order.rounds(1))
    assert flat(order.rounds(0)) == flat(order.rounds(0))


def test_windows_are_of_about_the_rows_asked_for():
    rounds = Order(groups(2000), 0, window_rows=1500, windows=4).rounds(0)
    assert {len(windows) for windows in rounds} == {4}
    rows = [sum(group.rows for group in window) for windows in rounds for window in windows]
    assert min(rows) > 900
    assert max(rows) < 2100


def test_little_data_makes_few_windows_and_none_is_empty():
    for count in (1, 2, 3, 9):
        rounds = Order(groups(count), 0, window_rows=300, windows=8).rounds(0)
        assert all(window for windows in rounds for window in windows)
        assert len(flat(rounds)) == count
    one_large = (RowGroup(0, 0, 5), RowGroup(0, 1, 5000), RowGroup(0, 2, 5))
    assert len(flat(Order(one_large, 0, 100, 8).rounds(0))) == 3


def test_windows_span_more_row_groups_where_rows_are_left_out():
    rounds = Order(groups(2000), 0, window_rows=100, windows=2, kept=0.1).rounds(0)
    rows = [sum(group.rows for group in window) for windows in rounds for window in windows]
    assert min(rows) > 0.5 * 1000
    assert max(rows) < 1.6 * 1000


def costs_of(count: int, seed: int = 0) -> list[float]:
    """Packs of text, and packs of images that cost up to twice as much."""
    rng = np.random.Generator(np.random.Philox(seed))
    return list(np.where(rng.random(count) < 0.3, 1.0, 1.2 + rng.random(count) * 0.9))


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_every_pack_goes_to_one_rank_and_ranks_get_equally_many(world):
    assignments = assign_packs(costs_of(48), world)
    assert sorted(pack for packs in assignments for pack in packs) == list(range(48))
    assert {len(packs) for packs in assignments} == {48 // world}


def test_packs_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="10 packs cannot be divided evenly among 3 ranks"):
        assign_packs([1.0] * 10, 3)


@pytest.mark.parametrize("lockstep", [False, True])
def test_eight_ranks_wait_less_than_five_percent(lockstep):
    for seed in range(5):
        costs = costs_of(64, seed)
        balanced = idle_share(costs, assign_packs(costs, 8), lockstep=lockstep)
        in_turn = idle_share(
            costs, [list(range(rank, 64, 8)) for rank in range(8)], lockstep=lockstep
        )
        assert balanced < 0.05
        assert balanced < in_turn


def test_waiting_is_the_part_of_time_that_ranks_stand_idle():
    assert idle_share([1.0, 3.0], [[0], [1]], lockstep=False) == pytest.approx(1 / 3)
    costs, assignments = [1.0, 3.0, 3.0, 1.0], [[0, 2], [1, 3]]
    assert idle_share(costs, assignments, lockstep=False) == 0
    assert idle_share(costs, assignments, lockstep=True) == pytest.approx(1 / 3)
