"""Packing: every item once, nothing over the brim, little room left."""

from __future__ import annotations

import numpy as np
import pytest

from cauldron.core.packing import best_fit, pack, subset_sums

CAPACITY = 10_240


def lengths_like_sft(count: int, seed: int = 0) -> list[int]:
    """Text of some hundred tokens, and mostly an image of 1, 3, 5, 9 or 21 tiles."""
    rng = np.random.Generator(np.random.Philox(seed))
    text = rng.integers(40, 500, count)
    image = rng.choice([0, 172, 515, 858, 1544, 3596], count, p=[0.15, 0.2, 0.15, 0.3, 0.1, 0.1])
    return [int(length) for length in text + image]


@pytest.mark.parametrize("fill", [pack, best_fit, subset_sums])
@pytest.mark.parametrize("seed", range(5))
def test_every_item_is_in_one_bin_and_no_bin_overflows(fill, seed):
    rng = np.random.Generator(np.random.Philox(seed))
    lengths = [int(n) for n in rng.integers(1, [50, 500, 3000, 9000, 10_240][seed] + 1, 300)]
    bins = fill(lengths, CAPACITY)
    assert sorted(item for items in bins for item in items) == list(range(300))
    assert all(sum(lengths[item] for item in items) <= CAPACITY for items in bins)


@pytest.mark.parametrize("fill", [pack, best_fit, subset_sums])
def test_the_edges_of_the_problem(fill):
    assert fill([], CAPACITY) == []
    assert fill([CAPACITY], CAPACITY) == [[0]]
    assert [sorted(items) for items in fill([4000, 6240, 5120, 5120], CAPACITY)] in (
        [[0, 1], [2, 3]],
        [[2, 3], [0, 1]],
    )


def test_a_window_of_1024_rows_wastes_less_than_a_percent():
    for seed in range(3):
        lengths = lengths_like_sft(1024, seed)
        bins = pack(lengths, CAPACITY)
        assert 1 - sum(lengths) / (len(bins) * CAPACITY) < 0.01


def test_packing_never_needs_more_bins_than_best_fit_decreasing():
    for lengths in (lengths_like_sft(500), [3600] * 40 + [2900] * 30 + [4500] * 50):
        assert len(pack(lengths, CAPACITY)) <= len(best_fit(lengths, CAPACITY))


def plain_subset_sums(lengths: list[int], capacity: int) -> list[list[int]]:
    """As `subset_sums`, by sets: one bin after the other, longest items first, until it is full."""
    left = sorted(range(len(lengths)), key=lambda item: -lengths[item])
    bins = []
    while left:
        first, *others = left
        room = capacity - lengths[first]
        # The items that were chosen for a sum, when it was first found.
        found: dict[int, list[int]] = {0: []}
        for item in others:
            if max(found) >= max(0, room - capacity // 1024):
                break
            for total, items in list(found.items()):
                if total + lengths[item] <= room:
                    found.setdefault(total + lengths[item], [*items, item])
        chosen = [first, *found[max(found)]]
        bins.append(chosen)
        left = [item for item in left if item not in chosen]
    return bins


@pytest.mark.parametrize("kinds", [[7], [7, 11], [3, 3, 40], [97, 310, 455, 99], [0, 5, 100]])
def test_equal_lengths_are_packed_as_if_each_item_was_looked_at(kinds):
    rng = np.random.Generator(np.random.Philox(len(kinds)))
    for capacity in (100, 1000):
        lengths = [min(capacity, int(n)) for n in rng.choice(kinds, 60)]
        assert subset_sums(lengths, capacity) == plain_subset_sums(lengths, capacity)
