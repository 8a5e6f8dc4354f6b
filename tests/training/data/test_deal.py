"""Dealing: everybody the same number of packs, and nobody waits long."""

from __future__ import annotations

import numpy as np
import pytest
from cauldron.training.data.deal import deal, waiting


def costs_of(count: int, seed: int = 0) -> list[float]:
    """Packs of text, and packs of images that cost up to twice as much."""
    rng = np.random.Generator(np.random.Philox(seed))
    return list(np.where(rng.random(count) < 0.3, 1.0, 1.2 + rng.random(count) * 0.9))


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_every_pack_goes_to_one_rank_and_ranks_get_equally_many(world):
    hands = deal(costs_of(48), world)
    assert sorted(pack for hand in hands for pack in hand) == list(range(48))
    assert {len(hand) for hand in hands} == {48 // world}


def test_packs_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="10 packs cannot be dealt to 3 ranks"):
        deal([1.0] * 10, 3)


@pytest.mark.parametrize("lockstep", [False, True])
def test_eight_ranks_wait_less_than_five_percent(lockstep):
    for seed in range(5):
        costs = costs_of(64, seed)
        dealt = waiting(costs, deal(costs, 8), lockstep=lockstep)
        in_turn = waiting(costs, [list(range(rank, 64, 8)) for rank in range(8)], lockstep=lockstep)
        assert dealt < 0.05
        assert dealt < in_turn


def test_waiting_is_the_part_of_time_that_ranks_stand_idle():
    assert waiting([1.0, 3.0], [[0], [1]], lockstep=False) == pytest.approx(1 / 3)
    costs, hands = [1.0, 3.0, 3.0, 1.0], [[0, 2], [1, 3]]
    assert waiting(costs, hands, lockstep=False) == 0
    assert waiting(costs, hands, lockstep=True) == pytest.approx(1 / 3)
