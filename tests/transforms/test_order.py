"""Hash order: stable over machines, uniform, and independent between its uses."""

from __future__ import annotations

import hashlib

import numpy as np
from cauldron.transforms.order import id_halves, mix64, most_turns, turn_order


def ids(n: int) -> np.ndarray:
    return id_halves([hashlib.md5(str(i).encode()).hexdigest() for i in range(n)])


def test_the_hash_never_changes():
    # Every mixture ever built depends on these numbers.
    found = mix64(ids(3), 7, "select", 2)
    assert [hex(value) for value in found] == [
        "0x1d1b03f04e74440f",
        "0x3bf944f90a35409",
        "0xc5a4d560a81ba9cc",
    ]


def test_seed_purpose_and_pass_each_give_another_order():
    base = mix64(ids(100), 0, "select", 0)
    others = [
        mix64(ids(100), 1, "select", 0),
        mix64(ids(100), 0, "position", 0),
        mix64(ids(100), 0, "select", 1),
    ]
    for other in others:
        assert not np.any(base == other)
        assert abs(np.corrcoef(base.astype(float), other.astype(float))[0, 1]) < 0.3


def test_positions_fill_the_range_evenly():
    tenths = np.histogram(mix64(ids(20_000), 0, "position", 0).astype(float), 10, (0, 2.0**64))[0]
    assert tenths.min() > 1_800
    assert tenths.max() < 2_200


def test_equal_ids_with_another_low_half_differ():
    pair = np.array([[1, 2], [1, 3]], dtype=np.uint64)
    assert len(set(mix64(pair, 0, "select", 0).tolist())) == 2


def test_turn_order_is_a_permutation_that_changes_with_the_pass():
    first = turn_order("0" * 32, 0, 0, 20)
    assert sorted(first) == list(range(20))
    assert first == turn_order("0" * 32, 0, 0, 20)
    assert first != turn_order("0" * 32, 0, 1, 20)
    assert turn_order("0" * 32, 0, 0, 1) == [0]


def test_a_whole_cap_is_the_same_for_every_copy():
    names = [f"{number:032x}" for number in range(100)]
    assert {most_turns(name, 0, 0, 7) for name in names} == {7}
    assert {most_turns(name, 0, 0, 7.0) for name in names} == {7}
    assert most_turns("0" * 32, 0, 0, None) is None


def test_of_a_fractional_cap_a_part_of_the_copies_has_one_turn_more():
    names = [f"{number:032x}" for number in range(4_000)]
    first = [most_turns(name, 0, 0, 1.25) for name in names]
    assert set(first) == {1, 2}
    assert abs(sum(first) / len(first) - 1.25) < 0.03
    # Another pass and another seed choose others; the order of turns does not follow the choice.
    for other in ([most_turns(name, 0, 1, 1.25) for name in names],
                  [most_turns(name, 1, 0, 1.25) for name in names],
                  [1 + (turn_order(name, 0, 0, 2) == [1, 0]) for name in names]):  # fmt: skip
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.06
