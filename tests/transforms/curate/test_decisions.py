"""Decisions: the first copy stays, whatever order the rows arrive in."""

from __future__ import annotations

from typing import Any

import numpy as np
from cauldron.transforms.arrays import range_of, split_by
from cauldron.transforms.curate.decisions import decide, decision_table, judge, settle
from cauldron.transforms.curate.records import (
    CLUSTERED,
    CONTAMINATED,
    CONTRIBUTION,
    GONE,
    LOW_RATING,
    ROW,
    CurateJob,
    CurateSource,
)
from cauldron.transforms.order import id_halves

from tests.curated import cluster_name

SOURCES = (CurateSource("s", "c", 1), CurateSource("talk", "c", 1, dialogue=True))
JOB = CurateJob(SOURCES, 1, "folder", action="merge")
NOTHING = np.zeros(0, dtype=CONTRIBUTION)


def index(rows: list[tuple[int, int, int]], images: int = 0, source: int = 0) -> np.ndarray:
    """Rows of (id, part, row)."""
    array = np.zeros(len(rows), dtype=ROW)
    for number, (name, part, row) in enumerate(rows):
        array[number]["high"], array[number]["low"] = name, name
        array[number]["part"], array[number]["row"] = part, row
    array["images"], array["source"] = images, source
    return array


def clustered(images: list[tuple[int, int, int]]) -> np.ndarray:
    """Images of (id, image, cluster)."""
    array = np.zeros(len(images), dtype=CLUSTERED)
    for number, (name, image, cluster) in enumerate(images):
        array[number]["high"], array[number]["low"], array[number]["image"] = name, name, image
        high, low = id_halves([cluster_name(cluster)])[0]
        array[number]["cluster_high"], array[number]["cluster_low"] = high, low
    array["original"] = True
    return array


def judged(rows: np.ndarray, images: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return judge([rows.tobytes()], [clustered(images).tobytes()], [], JOB)[:2]


def table_of(pieces: list[bytes], gone: bytes = b"") -> list[dict[str, Any]]:
    found, _, _ = judge(pieces, [], [gone], JOB)
    return decided(found)


def decided(found: np.ndarray) -> list[dict[str, Any]]:
    rows, settled, without = settle([found.tobytes()], [])
    table: list[dict[str, Any]] = decision_table(rows, settled, NOTHING, without, JOB).to_pylist()
    return table


ROWS = [(7, 1, 0), (5, 0, 1), (7, 0, 3), (7, 0, 2), (9, 2, 2)]


def test_equal_ids_merge_into_the_first_by_part_and_row():
    table = table_of([index(ROWS).tobytes()])
    merged = {
        (r["part"], r["row"]): (r["into_source"], r["into_part"], r["into_row"])
        for r in table
        if r["reason"]
    }
    assert merged == {(1, 0): ("s", 0, 2), (0, 3): ("s", 0, 2)}
    assert [r["decision"] for r in table].count("keep") == 3
    assert {r["reason"] for r in table} == {None, "exact_copy"}
    assert {r["cluster"] for r in table} == {None}


def test_the_order_of_arrival_does_not_matter():
    pieces = [index([row]).tobytes() for row in ROWS]
    assert table_of(pieces) == table_of(pieces[::-1])


def test_ids_differing_in_the_low_half_alone_stay_apart():
    pair = index([(7, 0, 0), (7, 0, 1)])
    pair["low"][1] = 8
    assert [row["decision"] for row in table_of([pair.tobytes()])] == ["keep", "keep"]


def test_ids_that_end_in_zero_bytes_stay_apart():
    rows = index([(0, 0, n) for n in range(4)])
    rows["low"] = [0, 1 << 56, 1 << 48, 0]
    found = table_of([rows.tobytes()])
    assert [row["decision"] for row in found].count("keep") == 3
    gone = np.zeros(1, dtype=GONE)
    gone["why"] = CONTAMINATED
    found = table_of([rows.tobytes()], gone.tobytes())
    assert sorted(row["id"] for row in found if row["decision"] == "drop") == ["0" * 32] * 2


def test_copies_of_a_contaminated_row_are_dropped_for_the_same_reason():
    gone = np.zeros(1, dtype=GONE)
    gone["high"], gone["low"], gone["why"] = 7, 7, CONTAMINATED
    table = table_of([index(ROWS).tobytes()], gone.tobytes())
    dropped = [row for row in table if row["decision"] == "drop"]
    assert {(row["part"], row["row"]) for row in dropped} == {(1, 0), (0, 3), (0, 2)}
    assert {row["reason"] for row in dropped} == {"contaminated"}
    assert {row["into_source"] for row in dropped} == {None}


def test_a_row_that_is_rated_low_is_dropped_and_contamination_counts_first():
    gone = np.zeros(3, dtype=GONE)
    gone["high"] = gone["low"] = [2, 1, 2]
    gone["why"] = [LOW_RATING, LOW_RATING, CONTAMINATED]
    rows = index([(n, 0, n) for n in range(4)])
    table = table_of([rows.tobytes()], gone.tobytes())
    assert [row["reason"] for row in table] == [None, "low_rating", "contaminated", None]
    assert [row["decision"] for row in table] == ["keep", "drop", "drop", "keep"]


def test_rows_with_the_same_clusters_in_the_same_order_have_the_same_key():
    rows = index([(n, 0, n) for n in range(1, 6)], images=3)
    same = [(1, 10), (2, 11), (3, 12)]
    images = [(n, k, cluster) for n in (1, 2) for k, (_, cluster) in enumerate(same)]
    images += [(3, 0, 11), (3, 1, 10), (3, 2, 12)]  # another order
    images += [(4, 0, 10), (4, 1, 11)]  # the third picture is in no cluster
    images += [(5, 0, 10), (5, 1, 10), (5, 2, 12)]  # one picture twice
    _, members = judged(rows, images)
    keys = {int(m["high"]): (int(m["key_high"]), int(m["key_low"])) for m in members}
    assert set(keys) == {1, 2, 3, 5}
    assert keys[1] == keys[2]
    assert len(set(keys.values())) == 3


def test_the_number_of_pictures_counts():
    rows = index([(1, 0, 0), (2, 0, 1)])
    rows["images"] = [1, 2]
    _, members = judged(rows, [(1, 0, 10), (2, 0, 10), (2, 1, 10)])
    assert len(set(members["key_low"].tolist())) == 2


def test_texts_dialogues_copies_and_other_system_prompts_stay_out():
    plain = index([(1, 0, 0), (1, 0, 1), (2, 0, 2)], images=1)
    talk = index([(3, 0, 0)], images=1, source=1)
    texts = index([(4, 0, 5)])
    spoken = index([(5, 0, 6)], images=1)
    spoken["system"] = 99
    rows = np.concatenate([plain, talk, texts, spoken])
    _, members = judged(rows, [(n, 0, 10) for n in (1, 2, 3, 5)])
    assert sorted(members["high"].tolist()) == [1, 2, 5]
    keys = {int(m["high"]): int(m["key_low"]) for m in members}
    assert keys[1] == keys[2] != keys[5]


def test_a_row_with_nothing_but_blank_pictures_has_no_group():
    rows = index([(1, 0, 0), (2, 0, 1), (3, 0, 2)], images=1)
    rows["blank"] = [True, True, False]
    _, members = judged(rows, [(n, 0, 10) for n in (1, 2, 3)])
    assert members["high"].tolist() == [3]


def test_the_first_image_in_a_cluster_gives_the_rows():
    rows, _ = judged(index([(1, 0, 0), (2, 0, 1)], images=3), [(1, 2, 12), (1, 1, 11), (1, 1, 11)])
    assert [row["cluster"] for row in decided(rows)] == [cluster_name(11), None]


def test_buckets_are_ranges_of_ids_and_nothing_is_lost():
    high = np.random.default_rng(0).integers(0, 2**64, 1000, dtype=np.uint64)
    buckets = range_of(np.sort(high), 7)
    assert (np.diff(buckets) >= 0).all()
    assert set(buckets.tolist()) == set(range(7))
    array = index([(0, 0, n) for n in range(1000)])
    array["high"] = high
    pieces = dict(split_by(array, range_of(high, 7)))
    assert sum(len(piece) for piece in pieces.values()) == array.nbytes
    assert list(split_by(array[:0], range_of(high[:0], 7))) == []


def test_an_empty_bucket_is_a_table_without_rows():
    assert table_of([b""]) == []
    assert len(decide([b""])[0]) == 0
