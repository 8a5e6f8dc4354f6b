"""Images to pictures: each once, whoever shows it and in whatever order they come."""

from __future__ import annotations

import numpy as np
from cauldron.transforms.arrays import from_table, read_array, to_table, write_array
from cauldron.transforms.matching.pictures import group_pictures
from cauldron.transforms.matching.records import BENCHMARK, OCCURRENCE, TRAINING

NO_BENCHMARKS: frozenset[int] = frozenset()


def images(*rows: tuple[int, int, int, int, int]) -> np.ndarray:
    """(key, source, id, row, image) for each image."""
    records = np.zeros(len(rows), dtype=OCCURRENCE)
    for at, (key, source, id_, row, image) in enumerate(rows):
        records[at]["key_high"], records[at]["key_low"] = key, key + 1
        records[at]["source"], records[at]["row"], records[at]["image"] = source, row, image
        records[at]["id_high"] = records[at]["id_low"] = id_
        records[at]["phash"], records[at]["phash256"] = key * 3, [key, 0, 1, 2]
        records[at]["offset"] = 1000 * source + row
    return records


def test_a_picture_is_taken_once_and_knows_how_often_it_occurs():
    pictures, occurrences = group_pictures(
        images((5, 0, 1, 0, 0), (9, 0, 2, 1, 0), (5, 1, 3, 0, 0), (5, 0, 4, 2, 1)), NO_BENCHMARKS
    )
    assert pictures["key_high"].tolist() == [5, 9]
    assert pictures["occurrences"].tolist() == [3, 1]
    assert occurrences["key_high"].tolist() == [5, 5, 5, 9]


def test_the_first_place_of_the_first_source_stands_for_a_picture():
    pictures, _ = group_pictures(images((5, 1, 3, 0, 0), (5, 0, 4, 7, 0)), NO_BENCHMARKS)
    assert (pictures["source"][0], pictures["offset"][0]) == (0, 7)
    assert pictures["phash256"][0].tolist() == [5, 0, 1, 2]


def test_exact_copies_of_a_row_are_left_out_and_the_first_stays():
    _, occurrences = group_pictures(
        images((5, 0, 1, 8, 0), (5, 0, 1, 2, 0), (5, 0, 1, 8, 1), (5, 0, 1, 2, 1)), NO_BENCHMARKS
    )
    assert occurrences["row"].tolist() == [2, 2]
    assert occurrences["image"].tolist() == [0, 1]


def test_the_kind_tells_training_benchmark_and_both():
    found, _ = group_pictures(
        images((1, 0, 1, 0, 0), (2, 1, 2, 0, 0), (3, 0, 3, 1, 0), (3, 1, 4, 1, 0)), frozenset({1})
    )
    assert found["kind"].tolist() == [TRAINING, BENCHMARK, TRAINING | BENCHMARK]


def test_the_order_of_arrival_changes_nothing():
    rows = [(key % 7, source, key, key, 0) for key in range(40) for source in (0, 1)]
    wanted = group_pictures(images(*rows), frozenset({1}))
    shuffled = images(*rows)[np.random.default_rng(3).permutation(len(rows))]
    found = group_pictures(shuffled, frozenset({1}))
    for a, b in zip(wanted, found, strict=True):
        assert a.tobytes() == b.tobytes()


def test_no_images_are_no_pictures():
    pictures, occurrences = group_pictures(images(), NO_BENCHMARKS)
    assert len(pictures) == len(occurrences) == 0


def test_packed_records_survive_parquet(tmp_path):
    pictures, occurrences = group_pictures(
        images((2**61 - 2, 0, 1, 0, 0), (9, 0, 2, 1, 0)), NO_BENCHMARKS
    )
    for records in (pictures, occurrences, occurrences[:0]):
        path = str(tmp_path / "records.parquet")
        entry = write_array(path, records)
        assert entry["rows"] == len(records)
        assert read_array(path, records.dtype).tobytes() == records.tobytes()
        sliced = to_table(records).slice(1)
        assert from_table(sliced, records.dtype).tobytes() == records[1:].tobytes()
