"""Clusters on disk: from pictures, occurrences and verdicts to files, on any runner."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from cauldron.transforms import arrays
from cauldron.transforms.matching.cluster import ClusterJob, ClusterPictures, components

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.schema import CLUSTER_SCHEMA
from cauldron.pipeline.runners.runner import run
from tests.transforms.made_pictures import encoded, photograph
from tests.transforms.matching.cluster.world import (
    FILES,
    RANGES,
    World,
    cluster,
    folder_bytes,
    make_judge,
    make_world,
    markers,
    plainly,
    rows_of,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """150 pictures in 220 images, 40 of them a benchmark's; chains, cliques, refusals."""
    random = np.random.default_rng(0)
    images = []
    for place in range(220):
        picture = int(random.integers(0, 150)) if place >= 150 else place
        images.append((picture, int(random.choice(3, p=[0.5, 0.3, 0.2])), place % 2, place // 4))
    # Up to four images in a row.
    count: Counter[tuple] = Counter()
    placed = []
    for picture, *row in images:
        placed.append((picture, *row, count[tuple(row)]))
        count[tuple(row)] += 1
    made = make_world(tmp_path_factory.mktemp("world"), 150, placed)
    drawn = random.integers(0, 150, (90, 2)).tolist()
    chain = [(n, n + 1, True) for n in range(40)]
    made.judge(*chain, *((a, b, bool(random.random() < 0.6)) for a, b in drawn))
    return made


@pytest.fixture(scope="module")
def found(world: World, tmp_path_factory: pytest.TempPathFactory) -> ClusterJob:
    return cluster(world, tmp_path_factory.mktemp("found"))


def test_clusters_are_those_of_a_plain_search_in_their_order(world, found):
    wanted, plain = plainly(world)
    assert len(plain.split) > 10
    assert plain.asked
    columns = ("source", "id", "image", "origin", "distance", "score")
    rows = rows_of(found)
    assert [
        (row["cluster"], not row["representative"], *(row[name] for name in columns))
        for row in rows
    ] == wanted
    assert {row["source"] for row in rows} == {"vqa", "docs"}
    assert max(Counter(row["cluster"] for row in rows).values()) > 4


def test_markers_count_what_the_files_hold(world, found):
    _, plain = plainly(world)
    marks = markers(found)
    for number, mark in enumerate(marks):
        table = pq.read_table(found.file(number))
        rows = table.to_pylist()
        assert table.schema.equals(CLUSTER_SCHEMA)
        assert mark["number"] == number
        assert mark["file"]["rows"] == len(rows)
        assert mark["file"]["bytes"] == Path(found.file(number)).stat().st_size
        assert mark["clusters"] == len({row["cluster"] for row in rows})
        assert mark["members"] == Counter(row["source"] for row in rows)
        assert {int(row["cluster"][:8], 16) * FILES >> 32 for row in rows} <= {number}
    assert sum(mark["split"] for mark in marks) == len(plain.split)
    assert sum(mark["unsettled"] for mark in marks) == len(plain.unsettled)


@pytest.mark.parametrize(
    ("arguments", "ranges"),
    [
        (["--direct_runner_bundle_repeat=2"], [0, 1, 2]),
        ([], [2, 0, 1]),
    ],
    ids=["bundles repeated", "another order"],
)
def test_another_order_gives_the_same_bytes(world, found, tmp_path, arguments, ranges):
    cluster(world, tmp_path, *arguments, ranges=ranges)
    assert folder_bytes(tmp_path) == folder_bytes(Path(found.folder))


def test_nothing_alike_is_still_every_file(tmp_path):
    world = make_world(tmp_path, 3, [(n, 0, 0, n, 0) for n in range(3)])
    job = cluster(world, tmp_path / "out")
    assert sorted(folder_bytes(tmp_path / "out")) == [
        *(f"_done/clusters-{n:05d}.json" for n in range(FILES)),
        *(f"clusters-{n:05d}-of-{FILES:05d}.parquet" for n in range(FILES)),
    ]
    assert rows_of(job) == []
    assert pq.read_schema(job.file(0)).equals(CLUSTER_SCHEMA)


def test_a_picture_in_two_rows_is_a_cluster_and_one_that_a_benchmark_shows_too_is_not(tmp_path):
    images = [(0, 1, 0, 0, 0), (0, 0, 0, 1, 0), (1, 0, 0, 0, 0), (1, 2, 0, 0, 0), (2, 2, 0, 1, 0)]
    world = make_world(tmp_path, 3, [*images, (2, 2, 0, 2, 0)])
    rows = rows_of(cluster(world, tmp_path / "out"))
    names = ("source", "representative", "distance", "score")
    wanted = [("vqa", True, 0, 1.0), ("docs", False, 0, 1.0)]
    assert [tuple(row[name] for name in names) for row in rows] == wanted


def test_a_picture_that_only_a_benchmark_shows_connects_nothing(tmp_path):
    world = make_world(tmp_path, 4, [(n, 2 if n == 1 else 0, 0, n, 0) for n in range(4)])
    world.judge((0, 1, True), (1, 2, True), (2, 3, True))
    rows = rows_of(cluster(world, tmp_path / "out"))
    assert {row["origin"]["row"] for row in rows} == {2, 3}


def test_one_picture_in_thousands_of_rows_has_one_representative(tmp_path, monkeypatch):
    """Whose image is the smallest of the first source, in whichever row group it stands."""
    monkeypatch.setattr(arrays, "_ROW_GROUP_ROWS", 700)
    world = make_world(tmp_path, 2, [(0, row % 2, 0, row // 2, 0) for row in range(3000)])
    rows = rows_of(cluster(world, tmp_path / "out"))
    assert len(rows) == 3000
    assert [row["representative"] for row in rows] == [True] + [False] * 2999
    first = [row["id"] for row in rows if row["source"] == "vqa"]
    assert rows[0]["id"] == min(first)
    assert all(row["origin"]["row"] == int(row["id"][-4:], 16) for row in rows)


def test_pixels_decide_on_pairs_that_were_never_compared(tmp_path):
    """One photograph in three qualities and then another, chained by their verdicts."""
    photo, other = photograph(1, 160, 120), photograph(2, 160, 120)
    pixels = [encoded(photo, "JPEG", quality=quality) for quality in (95, 85, 75)]
    pixels.append(encoded(other, "JPEG", quality=95))
    world = make_world(tmp_path, 4, [(n, 0, n % 2, n, 0) for n in range(4)], pixels)
    world.judge((0, 1, True), (1, 2, True), (2, 3, True))
    job = ClusterJob(world.job, str(tmp_path / "out"), 1)
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        _ = pipeline | beam.Create(range(RANGES)) | ClusterPictures(job)
    rows = {row["origin"]["row"]: row for row in rows_of(job)}
    assert set(rows) == {0, 1, 2}
    assert rows[0]["representative"]
    assert len({row["cluster"] for row in rows.values()}) == 1
    assert 0.5 < rows[2]["score"] < 1
    assert markers(job)[0]["split"] == 1


def test_chains_without_end_are_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(components, "REST", 20)
    monkeypatch.setattr(components, "ROUNDS", 1)
    world = make_world(tmp_path, 60, [(n, 0, 0, n, 0) for n in range(60)])
    world.judge(*((n, n + 1, True) for n in range(59)))
    job = ClusterJob(world.job, str(tmp_path / "out"), FILES)

    def build(pipeline):
        return pipeline | beam.Create(range(RANGES)) | ClusterPictures(job, make_judge)

    with pytest.raises(CauldronError, match="more than 20 pictures are chained") as caught:
        run("cluster", build, ["--direct_num_workers=1"], 0)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_origin_is_read_once_for_every_part(world, tmp_path, monkeypatch):
    opened: Counter[str] = Counter()
    real = storage.open_read

    def open_read(path: str):
        opened[path] += 1
        return real(path)

    monkeypatch.setattr(storage, "open_read", open_read)
    cluster(world, tmp_path)
    parts = {path: count for path, count in opened.items() if "/part-" in path}
    assert len(parts) == 4
    assert set(parts.values()) == {1}
    assert json.loads((tmp_path / "_done/clusters-00000.json").read_text())["clusters"]
