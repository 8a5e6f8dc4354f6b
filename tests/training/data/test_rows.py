"""Row groups read in two halves, text and images, from disks and buckets."""

from __future__ import annotations

from pathlib import Path

import pytest
from cauldron.training.data.rows import ShardReader, row_groups
from cauldron.training.data.sampler import RowGroup

from cauldron.core.errors import CauldronError
from tests.doubles.gcs import FakeGcs
from tests.training.data.mixtures import make_row, messages_of_row, mixed_rows, write_mixture

ROWS = mixed_rows(35)


def assert_reads(folder: str) -> None:
    """Everything of `ROWS`, which `folder` holds in 2 shards of row groups of 10."""
    mixture = write_mixture(folder, ROWS)
    groups = row_groups(mixture.shards)
    assert groups == (RowGroup(0, 0, 10), RowGroup(0, 1, 8), RowGroup(1, 0, 10), RowGroup(1, 1, 7))
    reader, rows = ShardReader(mixture.shards), iter(ROWS)
    for group in groups:
        text, images = reader.text(group), reader.images(group)
        for number in range(group.rows):
            row = next(rows)
            assert text.ids[number] == row["id"]
            assert text.sources[number] == row["source"]
            assert text.messages[number] == messages_of_row(row["messages"])
            sizes = [(info["width"], info["height"]) for info in row["image_info"]]
            assert text.sizes[number] == sizes
            stored = [image["bytes"] for image in row["images"]]
            assert [bytes(image) for image in images[number]] == stored


def test_rows_are_read_as_they_were_written(tmp_path):
    assert_reads(str(tmp_path))


def test_rows_are_read_from_a_bucket(monkeypatch):
    with FakeGcs(["bucket"]) as store:
        store.use(monkeypatch)
        assert_reads("gs://bucket/out/mixtures/sft")


def test_images_of_sources_that_are_left_out_are_not_kept(tmp_path):
    mixture = write_mixture(tmp_path, ROWS)
    group = row_groups(mixture.shards)[0]
    images = ShardReader(mixture.shards).images(group, frozenset(["pictures"]))
    assert [bytes(data) for data in images[3]] == [image["bytes"] for image in ROWS[3]["images"]]
    assert images[4] == []
    with pytest.raises(KeyError):
        images[0]


def test_a_missing_shard_is_told_in_one_line(tmp_path):
    mixture = write_mixture(tmp_path, ROWS)
    Path(mixture.shards[1]).unlink()
    with pytest.raises(CauldronError, match=r"train-00001-of-00002\.parquet: .* not there"):
        row_groups(mixture.shards)


def test_a_damaged_shard_is_told_in_one_line(tmp_path):
    mixture = write_mixture(tmp_path, ROWS)
    path = Path(mixture.shards[0])
    path.write_bytes(path.read_bytes()[:-8] + b"\0" * 8)
    with pytest.raises(CauldronError, match="not a readable shard"):
        row_groups(mixture.shards)


def test_turns_of_an_excluded_source_are_left_out_of_merged_rows(tmp_path):
    rows = [make_row(number, "pictures", ((20, 20),)) for number in range(4)]
    rows[0]["turn_sources"] = ["words", "pictures"]
    rows[1] |= {"source": "words", "turn_sources": ["words", "pictures"]}
    rows[2] |= {"source": "words", "turn_sources": ["words", "words"]}
    mixture = write_mixture(tmp_path, rows, shards=1)
    (group,) = row_groups(mixture.shards)
    reader = ShardReader(mixture.shards)
    whole, without = reader.text(group), reader.text(group, frozenset({"words"}))
    assert (whole.used, without.used) == ([0, 1, 2, 3], [0, 1, 3])
    for row in (0, 1):
        assert whole.messages[row][0] == ("user", [None, f"What is {row}?"])
        assert without.messages[row] == [
            ("user", [None, "And more?"]),
            ("assistant", ["Nothing more."]),
        ]
    assert without.messages[3] == whole.messages[3]
    assert [without.sources[row] for row in without.used] == ["pictures"] * 3
    images, kept = reader.images(group), reader.images(group, frozenset({"words"}))
    assert all(bytes(kept[row][0]) == bytes(images[row][0]) for row in without.used)
