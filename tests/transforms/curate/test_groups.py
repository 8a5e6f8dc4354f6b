"""Groups: one row stays by a stated rule, and no row takes over without bound."""

from __future__ import annotations

import numpy as np
from cauldron.transforms.curate import groups
from cauldron.transforms.curate.groups import cut_group, drop_others, group_rows
from cauldron.transforms.curate.records import DROPPED, MEMBER


def members(rows: list[tuple[int, int, int, int]], turns: int = 1, text: int = 100) -> np.ndarray:
    """Rows of (key, pixels, source, id)."""
    array = np.zeros(len(rows), dtype=MEMBER)
    for number, (key, pixels, source, name) in enumerate(rows):
        array[number]["key_high"], array[number]["key_low"] = 5, key
        array[number]["pixels"], array[number]["source"] = pixels, source
        array[number]["high"] = name
    array["turns"], array["text"], array["original"] = turns, text, True
    return array


def ids(group: np.ndarray) -> list[int]:
    return [int(name) for name in group["high"]]


def test_the_largest_picture_stays_then_the_first_source_then_the_smallest_id():
    found = group_rows(members([(1, 10, 0, 4), (1, 30, 2, 3), (1, 30, 1, 9), (1, 30, 1, 8)]))
    assert [ids(group) for group in found] == [[8, 9, 3, 4]]


def test_of_equally_large_pictures_the_least_lossy_stays_before_the_first_source():
    rows = members([(1, 30, 0, 1), (1, 30, 1, 2), (1, 30, 2, 3), (1, 40, 3, 4)])
    rows["loss"] = [700, 0, 64, 9_000]
    assert [ids(group) for group in group_rows(rows)] == [[4, 2, 3, 1]]


def test_a_row_with_the_very_picture_of_the_cluster_stays_before_larger_ones():
    rows = members([(1, 30, 0, 1), (1, 10, 0, 2), (1, 20, 0, 3)])
    rows["original"] = [False, True, False]
    assert [ids(group) for group in group_rows(rows)] == [[2, 1, 3]]


def test_rows_are_a_group_though_the_picture_of_the_cluster_is_in_none_of_them():
    rows = members([(2, 5, 0, 4), (2, 6, 0, 5)])
    rows["original"] = False
    assert [ids(group) for group in group_rows(rows)] == [[5, 4]]


def test_a_cut_group_goes_on_with_any_row():
    rows = members([(1, 10, 0, name) for name in range(6)], turns=400)
    rows["original"] = [True, False, False, False, True, True]
    (group,) = group_rows(rows)
    assert [ids(run) for run in cut_group(group)] == [[0, 4], [5, 1], [2, 3]]


def test_rows_alone_are_no_group_and_the_order_of_arrival_does_not_matter():
    rows = members([(1, 1, 0, 1), (2, 1, 0, 2), (3, 1, 0, 3), (2, 2, 0, 4), (3, 1, 1, 5)])
    expected = [[4, 2], [3, 5]]
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]):
        assert [ids(group) for group in group_rows(rows[order])] == expected
    assert group_rows(rows[:0]) == []


def test_a_group_of_too_many_turns_is_cut_and_every_piece_has_a_row_that_stays():
    (group,) = group_rows(members([(1, 1, 0, n) for n in range(10)], turns=300))
    assert [ids(run) for run in cut_group(group)] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_a_row_of_too_many_turns_takes_over_none():
    group = members([(1, 9, 0, 0), (1, 8, 0, 1), (1, 7, 0, 2)], turns=1)
    group["turns"][0] = groups.MAX_TURNS + 1
    assert [ids(run) for run in cut_group(group)] == [[1, 2]]
    group["turns"] = groups.MAX_TURNS
    assert list(cut_group(group)) == []


def test_a_group_of_too_much_text_is_cut():
    (group,) = group_rows(members([(1, 1, 0, n) for n in range(4)], text=groups.MAX_TEXT // 2))
    assert [ids(run) for run in cut_group(group)] == [[0, 1], [2, 3]]


def test_dropping_needs_no_cut():
    fates = drop_others(group_rows(members([(1, 1, 0, n) for n in range(5000)])))
    assert len(fates) == 4999
    assert set(fates["kind"].tolist()) == {DROPPED}


def test_a_million_rows_with_one_picture_are_one_group():
    rows = np.zeros(1_000_000, dtype=MEMBER)
    rows["high"] = np.arange(len(rows))[::-1]
    rows["turns"], rows["text"], rows["original"] = 1, 1_000, True
    (group,) = group_rows(rows)
    runs = list(cut_group(group))
    assert len(runs) == 1_000
    assert {len(run) for run in runs} == {1_000}
