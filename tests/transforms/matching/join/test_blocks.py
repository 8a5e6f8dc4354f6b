"""Every pair within the radius has one table, and meets in the keys on the way to it."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from cauldron.transforms.matching.join.blocks import KEY_END, Plan, spread
from cauldron.transforms.matching.join.passes import (
    KEY_COUNT,
    MOST_MEMBERS,
    WANTED_MEMBERS,
    one_pass,
    plan_blocks,
    plan_passes,
    plan_values,
    read_plan,
    split_hot,
)
from cauldron.transforms.matching.join.search import DENSE
from cauldron.transforms.matching.records import SIGNATURE

from tests.transforms.matching.join.drawn import noise

PLANS = [
    Plan(radius, together, min(key_bits, 64 // (radius + together)))
    for radius in range(13)
    for together, key_bits in ((1, 64), (2, 3), (3, 0), (4, 6))
]


def hashes(number: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, number, dtype=np.uint64)


def keys_of(plan: Plan, values: np.ndarray) -> list[set[int]]:
    keys: list[set[int]] = [set() for _ in values]
    for sent in plan.assign(values):
        for key, row in zip(sent.keys.tolist(), sent.rows.tolist(), strict=True):
            assert key not in keys[row]
            keys[row].add(key)
    return keys


def asks_for(table, bits: int) -> bool:
    return not bits & table.agree and all(bits & mask for mask in table.differ)


def near_pairs(radius: int, number: int = 60) -> np.ndarray:
    """Pairs of hashes at every distance from 0 to the radius, differing anywhere."""
    rng = np.random.default_rng(radius)
    first = hashes(number, seed=radius)
    second = first.copy()
    for row in range(number):
        for bit in rng.choice(64, row % (radius + 1), replace=False):
            second[row] ^= np.uint64(1 << int(bit))
    return np.stack([first, second], axis=1)


def test_spreading_bits_keeps_distances_and_loses_nothing():
    first, second = hashes(1000), hashes(1000, seed=1)
    before = np.bitwise_count(first ^ second)
    assert np.array_equal(np.bitwise_count(spread(first) ^ spread(second)), before)
    single = spread(np.uint64(1) << np.arange(64, dtype=np.uint64))
    assert sorted(single.tolist()) == [1 << bit for bit in range(64)]


def test_neighbouring_frequencies_lie_in_different_blocks():
    plan = Plan(8, 3, 6)
    block = {shift + bit: n for n, (shift, bits) in enumerate(plan.blocks) for bit in range(bits)}
    places = [
        int(one).bit_length() - 1 for one in spread(np.uint64(1) << np.arange(64, dtype="u8"))
    ]
    grid = np.array([block[place] for place in places]).reshape(8, 8)
    assert (grid[:, 1:] != grid[:, :-1]).all()
    assert (grid[1:] != grid[:-1]).all()


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_blocks_take_each_bit_once_and_differ_by_one_at_most(plan):
    masks = [((1 << bits) - 1) << shift for shift, bits in plan.blocks]
    assert sum(masks) == (1 << 64) - 1
    assert max(plan.blocks).shift + max(plan.blocks).bits == 64
    widths = [bits for _, bits in plan.blocks]
    assert max(widths) - min(widths) <= 1


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_a_near_pair_has_one_table_and_meets_in_the_keys_on_the_way_to_it(plan):
    pairs = near_pairs(plan.radius)
    first, second = keys_of(plan, pairs[:, 0]), keys_of(plan, pairs[:, 1])
    for row, (one, other) in enumerate(pairs.tolist()):
        telling = [
            table
            for key in first[row] & second[row]
            for table in plan.tables(plan.prefix_of(key))
            if asks_for(table, one ^ other)
        ]
        assert len(telling) == 1
        for shift, bits in telling[0].fields:
            assert not (one ^ other) >> shift & ((1 << bits) - 1)


def test_a_hash_goes_to_one_key_more_than_the_radius_however_long_keys_are():
    for plan in PLANS:
        assert {len(keys) for keys in keys_of(plan, hashes(20))} == {plan.radius + 1}


def hot_plan(values: np.ndarray, most: int) -> Plan:
    """Split keys of more than `most` until there are none."""
    plan = Plan(4, 3, 2)
    while True:
        found, members = np.unique(
            np.concatenate([sent.keys for sent in plan.assign(values)]), return_counts=True
        )
        hot = {key for key, size in zip(found, members, strict=True) if size > most}
        hot = {int(key) for key in hot if len(plan.prefix_of(key)) < plan.together}
        if not hot:
            return plan
        plan = Plan(4, 3, 2, tuple(sorted({*plan.hot, *hot})), cut=1 << 40)


def test_splitting_a_key_moves_its_members_to_longer_keys_and_loses_no_pair():
    centre = hashes(1)[0]
    near = centre ^ noise(np.random.default_rng(0), 150, 1, 0.03)[:, 0]
    values = np.concatenate([near, hashes(300, seed=3)])
    plan = hot_plan(values, 40)
    assert any(len(plan.prefix_of(key)) == 2 for key in plan.hot)
    keys = keys_of(plan, values)
    assert not {key for own in keys for key in own} & set(plan.hot)
    told = 0
    for i in range(150):
        for j in range(i):
            bits = int(values[i] ^ values[j])
            if bits.bit_count() <= plan.radius:
                tables = [plan.tables(plan.prefix_of(key)) for key in keys[i] & keys[j]]
                assert sum(asks_for(table, bits) for found in tables for table in found) == 1
                told += 1
    assert told > 5_000


def test_a_key_that_cannot_be_split_is_thinned_to_a_share_of_each_range():
    values = np.repeat(hashes(2), [500, 3])
    plain = Plan(2, 2, 4)
    hot = tuple(sorted({key for sent in plain.assign(values[:1]) for key in sent.keys.tolist()}))
    deeper = {key for sent in Plan(2, 2, 4, hot).assign(values[:1]) for key in sent.keys.tolist()}
    plan = Plan(2, 2, 4, tuple(sorted({*hot, *deeper})), cut=7)
    sent = list(plan.assign(values))
    for key in deeper:
        rows = np.concatenate([one.rows[one.keys == key] for one in sent])
        assert rows.tolist() == list(range(7))
    assert sum(one.left_out for one in sent) == len(deeper) * 493
    others = np.concatenate([one.rows for one in sent])
    assert np.bincount(others, minlength=503)[500:].tolist() == [3, 3, 3]


def test_stretches_of_keys_hold_every_key_once():
    values, plan = hashes(500), Plan(8, 3, 6)

    def keys(start: int, stop: int) -> list[int]:
        return sorted(
            key for sent in plan.assign(values, start, stop) for key in sent.keys.tolist()
        )

    whole = keys(0, KEY_END)
    assert len(whole) == 9 * 500
    cuts = [0, whole[100], whole[2000], whole[2000] + 1, KEY_END]
    assert [key for start, stop in pairwise(cuts) for key in keys(start, stop)] == whole


def test_keys_lengthen_with_the_number_of_pictures():
    plans = [plan_blocks(10**power, 8) for power in range(10)]
    lengths = [plan.together * 64 / len(plan.blocks) for plan in plans]
    assert lengths == sorted(lengths)
    assert [plan.together for plan in plans][5:] == [2, 2, 3, 4, 5]
    for power, plan in enumerate(plans):
        whole = plan.key_bits == plan.blocks[0].bits
        assert whole or 10**power / 2**plan.key_bits <= WANTED_MEMBERS
        assert 10**power / 2 ** lengths[power] < DENSE / 2


@pytest.mark.parametrize("radius", range(13))
def test_every_radius_has_a_plan(radius):
    for pictures in (0, 1, 1000, 10**6, 10**9):
        plan = plan_blocks(pictures, radius)
        assert len(plan.blocks) == radius + plan.together
        assert read_plan(json.loads(json.dumps(plan_values(plan)))) == plan


def test_a_plan_without_blocks_is_refused():
    with pytest.raises(ValueError, match="radius 64 with 1"):
        Plan(64, 1, 0)


def counted(members: list[int]) -> np.ndarray:
    counts = np.zeros(len(members), dtype=KEY_COUNT)
    counts["key"], counts["members"] = np.arange(len(members)) * 10 + 5, members
    return counts


def test_passes_hold_what_they_may_and_at_least_one_key():
    counts = counted([3, 3, 3, 50, 1, 1, 8])
    passes = plan_passes(counts, 9 * SIGNATURE.itemsize)
    assert [one.size // SIGNATURE.itemsize for one in passes] == [9, 50, 2, 8]
    assert [one.start for one in passes] == [0, 35, 45, 65]
    assert [one.stop for one in passes] == [35, 45, 65, KEY_END]
    assert plan_passes(counts, 10**9) == [(0, KEY_END, 69 * SIGNATURE.itemsize)]
    assert plan_passes(counted([]), 1) == [(0, KEY_END, 0)]


def test_a_small_join_is_one_pass_of_known_size():
    plan = plan_blocks(1000, 8)
    assert one_pass(plan, 1000) == (0, KEY_END, 9 * 1000 * SIGNATURE.itemsize)


def test_only_keys_with_too_many_members_become_hot():
    plan = Plan(8, 3, 6)
    assert split_hot(plan, counted([MOST_MEMBERS, 1]), 4) == plan
    split = split_hot(plan, counted([MOST_MEMBERS + 1, 1, MOST_MEMBERS + 1]), 4)
    assert (split.hot, split.cut) == ((5, 25), MOST_MEMBERS // 4)
