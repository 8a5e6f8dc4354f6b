"""The search of a key against brute force, and its limits where all pictures look alike."""

from __future__ import annotations

import numpy as np
import pytest
from cauldron.transforms.compiled import compiled
from cauldron.transforms.matching.join import search
from cauldron.transforms.matching.join.blocks import Plan, spread
from cauldron.transforms.matching.join.crowds import CROWD, DELEGATES, MOST_BENCHMARKS, thin
from cauldron.transforms.matching.join.kernel import ORDERS, popcount
from cauldron.transforms.matching.join.pipeline import join_key
from cauldron.transforms.matching.join.search import DELEGATE, WINDOW, add_counts
from cauldron.transforms.matching.records import BENCHMARK, SIGNATURE, TRAINING

from tests.transforms.matching.join.drawn import (
    candidate_pairs,
    joined,
    match_job,
    mixed,
    nearest,
    noise,
    signatures,
)


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dense bins begin at 64 pictures."""
    monkeypatch.setattr(search, "DENSE", 64)


@pytest.mark.parametrize("together", [1, 2, 3, 4])
@pytest.mark.parametrize("radius", range(13))
def test_all_pairs_within_the_limits_are_found_and_no_others(radius, together):
    job = match_job(radius=radius)
    for size in (40, 400):
        records = mixed(radius + size, size)
        for key_bits in (0, 4):
            found, counts = joined(records, Plan(radius, together, key_bits), job)
            assert found == candidate_pairs(records, job)
            assert counts["pairs"] == len(found)
            assert counts["in_dense_bins"] == counts["in_crowds"] == 0
    assert len(found) > 100


@pytest.mark.parametrize("hot", [0, 1, 2])
def test_split_keys_find_the_same_pairs(hot):
    """Every key of up to `hot` blocks is split."""
    records, job = mixed(5, 200), match_job()
    plan = Plan(8, 3, 6)
    for _ in range(hot):
        keys = {key for sent in plan.assign(spread(records["phash"])) for key in sent.keys.tolist()}
        plan = Plan(8, 3, 6, tuple(sorted({*plan.hot, *keys})))
    found, counts = joined(records, plan, job)
    assert found == candidate_pairs(records, job)
    assert counts["largest_key"] <= 200


def test_two_benchmark_pictures_are_no_pair():
    records = signatures(0, [(30, 0.01)])
    records["kind"] = np.arange(30) % 3 + 1
    found, _ = joined(records, Plan(8, 2, 0), match_job())
    kinds = {tuple(sorted((records["kind"][i], records["kind"][j]))) for i, j in found}
    assert kinds == {(1, 1), (1, 2), (1, 3), (2, 3), (3, 3)}
    assert BENCHMARK == 2


def test_the_256_bit_hash_and_the_shape_decide_too():
    records = np.zeros(5, dtype=SIGNATURE)
    records["number"], records["kind"] = np.arange(5), 1
    records["phash256"][1, 0] = (1 << 56) - 1
    records["phash256"][2, 0] = (1 << 57) - 1
    # 3.5 % are 50 thousandths of an octave, and rounding may add one.
    records["aspect"][3], records["aspect"][4] = 51, 52
    found, _ = joined(records, Plan(8, 2, 0), match_job())
    assert found == {
        (0, 1): (0, 56),
        (1, 2): (0, 1),
        (0, 3): (0, 0),
        (1, 3): (0, 56),
        (3, 4): (0, 0),
    }


@pytest.mark.parametrize("size", [0, 1, 2])
def test_hardly_any_pictures(size):
    records = np.zeros(size, dtype=SIGNATURE)
    records["number"], records["kind"] = np.arange(size), 1
    found, counts = joined(records, Plan(8, 3, 0), match_job())
    assert found == ({(0, 1): (0, 0)} if size == 2 else {})
    assert counts["comparisons"] <= 165


def test_pieces_may_arrive_in_any_order():
    records, plan = mixed(9, 600), Plan(8, 2, 0)
    pieces = [records[start : start + 100].tobytes() for start in range(0, 600, 100)]
    pairs, counts = join_key(0, pieces, plan, match_job(neighbours=3))
    other_pairs, other_counts = join_key(0, pieces[::-1], plan, match_job(neighbours=3))
    assert pairs.tobytes() == other_pairs.tobytes()
    assert counts == other_counts


@pytest.mark.parametrize("room", [1 << 16, 1 << 11])
def test_a_picture_keeps_its_nearest_neighbours_and_a_pair_stays_if_either_does(room, monkeypatch):
    """With little room the worst are dropped many times on the way; the result is the same."""
    monkeypatch.setattr(search, "_ROOM", room)
    records = signatures(2, [(250, 0.0), (300, 0.02)])
    records["phash256"] ^= noise(np.random.default_rng(3), 550, 4, 0.05)
    # One key holds all pairs of equal hashes.
    records["phash"][:] = np.where(records["phash"] == records["phash"][0], 0, records["phash"])
    every = candidate_pairs(records, match_job())
    for neighbours in (1, 5, 60):
        job = match_job(neighbours=neighbours)
        # One block: its 56 bits beyond the key are equal in the pairs of the key.
        plan = Plan(0, 1, 8)
        equal = {pair: near for pair, near in every.items() if near[0] == 0}
        found, counts = joined(records, plan, match_job(radius=0, neighbours=neighbours))
        assert set(found) == nearest(equal, neighbours)
        assert counts["with_more_neighbours"] > 0
        several, _ = joined(records, Plan(8, 3, 0), job)
        assert nearest(every, neighbours) <= set(several) <= set(every)


def crowd(seed: int, size: int, share: float = 0.03) -> np.ndarray:
    """Near-blank pictures: one 64-bit hash, noise in the 256 bits."""
    records = signatures(seed, [(size, 0.0)])
    records["phash256"] ^= noise(np.random.default_rng(seed), size, 4, share)
    records["kind"] = TRAINING
    return records


def test_a_crowd_is_compared_once_and_sends_delegates():
    records, job = crowd(1, 1_200), match_job()
    left = thin(records, job, within_crowds=True)
    assert len(left.records) == left.delegates.sum() == DELEGATES
    assert left.counts["in_crowds"] == 1_200
    assert left.counts["comparisons"] <= ORDERS * WINDOW * 1_200
    every = candidate_pairs(records, job)
    told = [tuple(row) for row in left.pairs[["first", "second"]].tolist()]
    assert len(told) == len(set(told))
    assert set(told) <= set(every)
    # Nearly everybody has somebody.
    assert len({picture for pair in told for picture in pair}) > 1_190
    silent = thin(records, job, within_crowds=False)
    assert silent.records.tobytes() == left.records.tobytes()
    assert len(silent.pairs) == 0


def test_a_crowd_begins_where_pairs_become_too_many():
    assert len(thin(crowd(1, CROWD), match_job(), within_crowds=True).records) == CROWD
    assert len(thin(crowd(1, CROWD + 1), match_job(), within_crowds=True).records) == DELEGATES


def test_a_true_copy_in_a_crowd_is_mostly_found():
    """Copies that differ in 8 of 256 bits from another member, which differs in many from all."""
    records = crowd(4, 4_000, share=0.1)
    records["kind"], records["aspect"] = 1, 0
    copies = np.arange(0, 4_000, 2)
    rng = np.random.default_rng(0)
    for row in copies:
        records["phash256"][row] = records["phash256"][row + 1]
        for bit in rng.choice(256, 8, replace=False):
            records["phash256"][row, bit // 64] ^= np.uint64(1 << int(bit % 64))
    left = thin(records, match_job(), within_crowds=True)
    told = {tuple(row) for row in left.pairs[["first", "second"]].tolist()}
    assert sum((row, row + 1) in told for row in copies.tolist()) > 0.8 * len(copies)


def test_delegates_of_several_ranges_meet_and_no_pair_is_told_twice():
    job, plan = match_job(ranges=3), Plan(8, 3, 0)
    records = crowd(5, 1_200)
    records["number"] = (np.arange(1_200) // 400 << 32) + np.arange(1_200) % 400
    parts = [thin(part, job, within_crowds=True) for part in np.split(records, 3)]
    for part in parts:
        part.records["kind"][part.delegates] |= DELEGATE
    left = np.concatenate([part.records for part in parts])
    found, _ = joined(left, plan, job)
    across = {(i >> 32, j >> 32) for i, j in found}
    assert across == {(0, 1), (0, 2), (1, 2)}
    assert set(found) <= set(candidate_pairs(records, job))


def test_ranges_without_a_crowd_may_make_one_together():
    """A key thins what no range did; delegates of the key and of a range share it."""
    job, plan = match_job(ranges=4), Plan(8, 3, 0)
    records = crowd(6, 1_000)
    sizes = [400, 200, 200, 200]
    places = np.repeat(np.arange(4), sizes)
    records["number"] = (places << 32) + np.concatenate([np.arange(size) for size in sizes])
    part = thin(records[:400], job, within_crowds=True)
    part.records["kind"][part.delegates] |= DELEGATE
    sent = np.concatenate([part.records, records[400:]])
    sent["phash"] = spread(sent["phash"])
    keys = [key for keyed in plan.assign(sent["phash"][:1]) for key in keyed.keys.tolist()]
    results = [join_key(key, [sent.tobytes()], plan, job) for key in keys]
    pairs = np.concatenate([part.pairs, *(found for found, _ in results)])
    counts = add_counts(counts for _, counts in results)
    both = [tuple(row) for row in pairs[["first", "second"]].tolist()]
    assert len(both) == len(set(both))
    assert set(both) <= set(candidate_pairs(records, job))
    assert counts["in_crowds"] == 632
    assert counts["comparisons"] <= 632 * ORDERS * WINDOW + 9 * 165 * DELEGATES**2


@pytest.mark.parametrize("share", [0.02, 0.06])
def test_dense_bins_are_compared_in_their_neighbourhoods(share, small_limits):
    size = 1_000
    records, job = signatures(7, [(size, share)]), match_job()
    found, counts = joined(records, Plan(8, 3, 0), job)
    every = candidate_pairs(records, job)
    assert found.items() <= every.items()
    assert counts["in_dense_bins"] > size
    # 165 tables in all; crowds (the centre's own hash, at 2 %) come on top.
    assert counts["comparisons"] <= size * 165 * ORDERS * WINDOW + size * ORDERS * WINDOW
    linked = {picture for pair in found for picture in pair}
    assert len(linked) > 0.99 * len({picture for pair in every for picture in pair})


def test_dense_bins_do_not_depend_on_the_order_of_pieces(small_limits):
    records, plan = signatures(8, [(1_000, 0.02)]), Plan(8, 3, 0)
    pieces = [part.tobytes() for part in np.array_split(records, 5)]
    first = join_key(0, pieces, plan, match_job(neighbours=4))
    second = join_key(0, [pieces[n] for n in (3, 0, 4, 1, 2)], plan, match_job(neighbours=4))
    assert first[0].tobytes() == second[0].tobytes()
    assert first[1] == second[1]
    assert first[1]["in_dense_bins"] > 0


def test_bits_are_counted():
    @compiled
    def counts(numbers: np.ndarray) -> list:
        return [popcount(number) for number in numbers]

    numbers = np.random.default_rng(0).integers(0, 2**64, 50, dtype=np.uint64)
    numbers[:2] = 0, 2**64 - 1
    assert counts(numbers) == [int(number).bit_count() for number in numbers]


def most_left(records: np.ndarray) -> int:
    """How many pictures `thin` may leave: those of no crowd, and of each crowd its delegates and
    so many of its benchmark pictures."""
    _, crowds, sizes = np.unique(records["phash"], return_inverse=True, return_counts=True)
    benchmarks = np.bincount(crowds, records["kind"] & BENCHMARK != 0, len(sizes))
    few = sizes <= CROWD
    return int(sizes[few].sum() + (DELEGATES + np.minimum(benchmarks, MOST_BENCHMARKS))[~few].sum())


@pytest.mark.parametrize(
    ("share", "pairs_each", "with_benchmarks"),
    [
        pytest.param(0.0, 8, False, marks=pytest.mark.slow),
        pytest.param(0.0, 8, True, marks=pytest.mark.slow),
        # 30 core-seconds by itself, a minute and more beside other tests.
        pytest.param(0.03, 10 * 8, False, marks=pytest.mark.thorough),
    ],
)
def test_very_many_near_blank_pictures_cost_a_bounded_number_of_comparisons(
    share, pairs_each, with_benchmarks
):
    """All with one 64-bit hash, or all in a tight ball around it: in either case 2.5 * 10**12
    comparisons if every pair were looked at in each table where it agrees."""
    size, job = 100_000, match_job(neighbours=8)
    records = signatures(1, [(size, share)])
    records["phash256"] ^= noise(np.random.default_rng(2), size, 4, 0.03)
    if not with_benchmarks:
        records["kind"] = TRAINING
    thinned = thin(records, job, within_crowds=True)
    left = thinned.records
    assert len(left) <= most_left(records)
    # What the join knows of training pictures alone is no more for the benchmarks around them.
    training = records[records["kind"] == TRAINING]
    assert (left["kind"] == TRAINING).sum() <= most_left(training)
    found, counts = joined(left, Plan(8, 3, 3), job)
    in_tables = counts["comparisons"]
    assert thinned.counts["comparisons"] <= ORDERS * WINDOW * size
    assert in_tables <= len(left) * 165 * max(search.DENSE // 2, ORDERS * WINDOW)
    assert len(thinned.pairs) + len(found) <= size * pairs_each
