"""Shards chosen by their names."""

from __future__ import annotations

from cauldron.sources.files import FileInfo
from cauldron.sources.shards import Shards, choose_shards


def info(path: str, size: int = 100) -> FileInfo:
    return FileInfo(path, size, "v")


def test_one_of_two_sets_of_different_length_is_read() -> None:
    four = [info(f"c/train-{i:05d}-of-00004-aa.parquet") for i in range(4)]
    nine = [info(f"c/train-{i:05d}-of-00009-bb.parquet") for i in range(9)]
    both = choose_shards(four + nine)
    assert both.files == nine  # as complete, and more bytes
    assert "sets of 4 and 9 shards" in both.notes[0]
    assert "only the 9 are read" in both.notes[0]
    assert four[0].path in both.notes[0]
    # A set that is not whole is never preferred.
    assert choose_shards(four + nine[1:]).files == four
    heavy = [info(file.path, 10_000) for file in four]
    assert choose_shards(heavy + nine).files == heavy


def test_of_shards_that_are_there_twice_one_each_is_read() -> None:
    old = [info(f"c/train-{i:05d}-of-00003-{i}a.parquet") for i in range(3)]
    new = [info(f"c/train-{i:05d}-of-00003-{i}b.parquet", 100 + i) for i in range(3)]
    chosen = choose_shards(new + old)
    assert chosen.files == [old[0], new[1], new[2]]  # the larger, then the first by name
    assert "3 of 3 shards are there more than once" in chosen.notes[0]
    assert chosen == choose_shards(old + new)


def test_an_upload_that_broke_off_does_not_replace_a_whole_shard() -> None:
    whole = [info(f"train-{i:05d}-of-00002-a{i}.parquet") for i in range(2)]
    assert choose_shards([*whole, info("train-00000-of-00002-00.parquet", 0)]).files == whole


def test_splits_are_sets_of_their_own() -> None:
    test = [info(f"data/test-{i:05d}-of-00002.parquet") for i in range(2)]
    train = [info(f"data/train-{i:05d}-of-00003.parquet") for i in range(3)]
    assert choose_shards(train + test) == Shards((*test, *train))


def test_files_without_numbers_are_read_where_none_have_them() -> None:
    plain = [info("c/train/0000.parquet"), info("c/train/0001.parquet")]
    assert choose_shards(plain) == Shards(tuple(plain))
    numbered = info("c/train-00000-of-00001.parquet")
    both = choose_shards([*plain, numbered])
    assert both.files == [numbered]
    assert "c/train/0000.parquet" in both.notes[0]


def test_a_number_beyond_the_count_is_told() -> None:
    chosen = choose_shards([info("t-00000-of-00001.parquet"), info("t-00003-of-00001.parquet")])
    assert len(chosen.files) == 1
    assert "t-00003-of-00001.parquet" in chosen.notes[0]
