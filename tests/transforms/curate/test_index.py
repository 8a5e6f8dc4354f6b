"""What is read of corpus parts, of clusters and of contamination."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cauldron.transforms.curate.index import (
    PartPath,
    clustered_images,
    contaminated_rows,
    index_part,
)
from cauldron.transforms.order import id_halves
from cauldron.transforms.record_files import read_sample

from cauldron.core import storage
from cauldron.core.output.manifests import corpus_folder
from cauldron.core.stores.ranges import Range, read_ranges
from tests.curated import VQA, World, picture, row, write_clusters, write_contamination

ROWS = [
    row(VQA, [("Q", "a")]),
    row(VQA, [("Q", "a b")], 1, 2, size=(10, 7), system="Answer briefly."),
    row(VQA, [("Q", "a"), ("R", "b")], 3, size=(4, 5)),
    row(VQA, [("Q", "a")], 4, system="Answer at length."),
    row(VQA, [("Q", "x")], 5, system="Answer briefly."),
    row(VQA, [("Q", "a")], system="No picture here."),
]


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(str(tmp_path))
    world.add(VQA, [], ROWS)
    return world


def part_of(world: World) -> PartPath:
    folder = corpus_folder(world.out, VQA, "f0")
    return PartPath(3, 1, storage.join(folder, "part-00001-of-00002.parquet"))


def test_a_part_is_indexed_in_its_order(world):
    rows = index_part(part_of(world), pictures=True)
    halves = id_halves([sample.id for sample, _ in ROWS])
    assert (np.stack([rows["high"], rows["low"]], axis=1) == halves).all()
    assert set(rows["source"].tolist()) == {3}
    assert rows["row"].tolist() == list(range(6))
    assert rows["images"].tolist() == [0, 2, 1, 1, 1, 0]
    assert rows["pixels"].tolist() == [0, 140, 20, 48, 48, 0]
    assert rows["turns"].tolist() == [1, 1, 2, 1, 1, 1]


def test_a_row_is_blank_if_all_its_pictures_are(tmp_path):
    world = World(str(tmp_path), blank=frozenset([picture(2), picture(3)]))
    rows = [row(VQA, [("Q", "a")], *pictures) for pictures in ((1, 2), (2,), (), (2, 3), (1,))]
    world.add(VQA, [], rows)
    found = index_part(part_of(world), pictures=True)
    assert found["blank"].tolist() == [False, True, False, True, False]


def test_the_text_of_a_record_is_read_without_its_pictures(world):
    rows = index_part(part_of(world), pictures=True)
    pack = storage.join(corpus_folder(world.out, VQA, "f0"), "images-00001-of-00002.tar")
    for number in (1, 2, 3, 4):
        where = Range(pack, int(rows["offset"][number]), int(rows["text"][number]))
        (data,) = read_ranges([where])
        assert read_sample(data) == ROWS[number][0]
        assert b"JFIF" not in data
        with pytest.raises(ValueError, match="image record"):
            read_sample(data[:-512])


def test_system_prompts_are_told_apart(world):
    system = index_part(part_of(world), pictures=True)["system"].tolist()
    assert system[0] == system[2] == system[5] == 0
    assert system[1] == system[4] != system[3]
    assert 0 not in (system[1], system[3])


def test_without_decisions_on_pictures_only_numbers_are_read(world):
    with_pictures, without = (index_part(part_of(world), pictures) for pictures in (True, False))
    names = ["high", "low", "source", "part", "row", "answer_tokens", "turns", "offset", "length"]
    assert (with_pictures[names] == without[names]).all()
    assert not without["images"].any()


def test_an_empty_part_has_no_rows(world):
    folder = corpus_folder(world.out, VQA, "f0")
    part = PartPath(0, 0, storage.join(folder, "part-00000-of-00002.parquet"))
    assert len(index_part(part, pictures=True)) == 0


def test_clusters_and_contamination_name_rows(tmp_path):
    folder = str(tmp_path)
    file = write_clusters(folder, {1: [(ROWS[1], 0), (ROWS[2], 0)], 2: [(ROWS[1], 1)]})
    images = clustered_images(f"{folder}/{file.name}")
    assert images["image"].tolist() == [0, 0, 1]
    assert images["cluster_high"][0] == images["cluster_high"][1] != images["cluster_high"][2]
    assert images["high"][0] == images["high"][2] == id_halves([ROWS[1][0].id])[0, 0]
    for removed, rows in ((True, 1), (False, 0)):
        file = write_contamination(folder, [(ROWS[1], 0)], removed)
        assert len(contaminated_rows(f"{folder}/{file.name}")) == rows
    file = write_clusters(folder, {})
    assert len(clustered_images(f"{folder}/{file.name}")) == 0
