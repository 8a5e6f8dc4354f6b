"""Decisions: the first copy stays, whatever order the rows arrive in."""

from __future__ import annotations

import numpy as np

from transforms.curate import INDEX, bucket_of, decide, decision_table, split_by


def index(rows: list[tuple[int, int, int]]) -> np.ndarray:
    """Rows of (id, part, row)."""
    array = np.zeros(len(rows), dtype=INDEX)
    for number, (name, part, row) in enumerate(rows):
        array[number]["high"], array[number]["low"] = name, name
        array[number]["part"], array[number]["row"] = part, row
    return array


ROWS = [(7, 1, 0), (5, 0, 1), (7, 0, 3), (7, 0, 2), (9, 2, 2)]


def test_equal_ids_merge_into_the_first_by_part_and_row():
    table = decision_table(*decide([index(ROWS).tobytes()]), ("s",)).to_pylist()
    merged = {(r["part"], r["row"]): (r["into_part"], r["into_row"]) for r in table if r["reason"]}
    assert merged == {(1, 0): (0, 2), (0, 3): (0, 2)}
    assert [r["decision"] for r in table].count("keep") == 3
    assert {r["reason"] for r in table} == {None, "exact_copy"}


def test_the_order_of_arrival_does_not_matter():
    pieces = [index([row]).tobytes() for row in ROWS]
    forward, backward = decide(pieces), decide(pieces[::-1])
    assert forward[0].tobytes() == backward[0].tobytes()
    assert forward[1].tolist() == backward[1].tolist()


def test_ids_differing_in_the_low_half_alone_stay_apart():
    pair = index([(7, 0, 0), (7, 0, 1)])
    pair["low"][1] = 8
    table = decision_table(*decide([pair.tobytes()]), ("s",))
    assert table["decision"].to_pylist() == ["keep", "keep"]


def test_buckets_are_ranges_of_ids_and_nothing_is_lost():
    high = np.random.default_rng(0).integers(0, 2**64, 1000, dtype=np.uint64)
    buckets = bucket_of(np.sort(high), 7)
    assert (np.diff(buckets) >= 0).all()
    assert set(buckets.tolist()) == set(range(7))
    array = index([(0, 0, n) for n in range(1000)])
    array["high"] = high
    pieces = dict(split_by(array, bucket_of(high, 7)))
    assert sum(len(piece) for piece in pieces.values()) == array.nbytes
    assert list(split_by(array[:0], bucket_of(high[:0], 7))) == []


def test_an_empty_bucket_is_a_table_without_rows():
    assert decision_table(*decide([b""]), ("s",)).num_rows == 0
