"""The order of row groups: each once an epoch, and nothing but numbers decides it."""

from __future__ import annotations

import numpy as np
from cauldron.training.data.order import Order, RowGroup, permutation


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
