"""The join through Beam: the same files from every runner and every cut, each pair once."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from cauldron.transforms.arrays import read_array, write_array
from cauldron.transforms.matching.join import (
    JoinPictures,
    found_candidates,
    passes_left,
    pipeline,
    plan,
)
from cauldron.transforms.matching.join.blocks import Plan
from cauldron.transforms.matching.join.crowds import read_signatures
from cauldron.transforms.matching.join.pipeline import Candidates, find_candidates
from cauldron.transforms.matching.join.plan import PlanFiles
from cauldron.transforms.matching.records import PAIR, PICTURE, SIGNATURE, TRAINING, MatchJob

from cauldron.core import storage
from cauldron.pipeline.runners import runner
from tests.transforms.matching.join.drawn import (
    Pairs,
    candidate_pairs,
    match_job,
    mixed,
    noise,
    signatures,
    unique,
)

IN_MEMORY = ("--direct_num_workers=1",)
RANGES = 3
WHOLE = 10**9


def write_pictures(job: MatchJob, records: np.ndarray) -> np.ndarray:
    """Spread signatures over the ranges of a job; returns them as numbered there."""
    numbered = []
    for number, part in enumerate(np.array_split(records, job.ranges)):
        pictures = np.zeros(len(part), dtype=PICTURE)
        for name in ("phash", "phash256", "kind"):
            pictures[name] = part[name]
        pictures["height"] = 10_000
        pictures["width"] = np.rint(10_000 * 2 ** (part["aspect"] / 1000))
        write_array(job.pictures(number), pictures)
        own = part.copy()
        own["number"] = (number << 32) + np.arange(len(part))
        numbered.append(own)
    return np.concatenate(numbered)


def find(
    job: MatchJob, pictures: int, limit: int = WHOLE, arguments: tuple[str, ...] = IN_MEMORY
) -> tuple[Candidates, list[str]]:
    """The candidates, and the names of the jobs that ran."""
    ran: list[str] = []

    def run(name: str, transform: beam.PTransform, size: int) -> None:
        assert size <= limit
        ran.append(name)

        def build(pipeline: beam.Pipeline) -> None:
            _ = pipeline | beam.Create(list(range(job.ranges)), reshuffle=False) | transform

        runner.run("join", build, ["--runner=FnApiRunner", *arguments], size)

    return find_candidates(job, pictures, limit, run), ran


def told(found: Candidates) -> Pairs:
    for number, paths in enumerate(found.files):
        for path in paths:
            pairs = read_array(path, PAIR)
            assert (pairs["first"] >> np.uint64(32) == number).all()
            order = np.lexsort([pairs["second"], pairs["first"]])
            assert np.array_equal(order, np.arange(len(pairs)))
    return unique([read_array(path, PAIR) for paths in found.files for path in paths])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def records() -> np.ndarray:
    return mixed(1, 900)


@pytest.fixture
def joined_once(tmp_path: Path, records: np.ndarray) -> tuple[Path, Pairs]:
    job = match_job(str(tmp_path / "once"), ranges=RANGES)
    numbered = write_pictures(job, records)
    found, ran = find(job, len(records))
    assert ran == ["candidates 1 of 1"]
    assert told(found) == candidate_pairs(numbered, job)
    return tmp_path / "once", told(found)


def test_all_pairs_within_the_limits_are_found_over_several_ranges(joined_once):
    folder, pairs = joined_once
    assert len(pairs) > 5_000
    assert {first >> 32 for first, _ in pairs} == set(range(RANGES))
    marker = storage.read_json(str(folder / "_done" / "candidates-00000.json"))
    assert (
        sum(entry["rows"] for entry in marker["files"]) == len(pairs) == marker["counts"]["pairs"]
    )
    assert marker["counts"]["largest_key"] == 899


def test_bundles_repeated_give_the_same_files(joined_once, records, tmp_path):
    job = match_job(str(tmp_path / "other"), ranges=RANGES)
    write_pictures(job, records)
    find(job, len(records), arguments=("--direct_runner_bundle_repeat=2",))
    assert contents(tmp_path / "other") == contents(joined_once[0])


def test_passes_tell_the_same_pairs_each_in_one_of_them(joined_once, records, tmp_path):
    job = match_job(str(tmp_path / "cut"), ranges=RANGES)
    write_pictures(job, records)
    found, ran = find(job, len(records), limit=2_500 * SIGNATURE.itemsize)
    assert ran == ["count keys", *(f"candidates {n} of 5" for n in range(1, 6))]
    assert told(found) == joined_once[1]
    whole = storage.read_json(str(joined_once[0] / "_done" / "candidates-00000.json"))["counts"]
    assert found.counts == whole


def test_a_killed_join_goes_on_with_the_passes_that_are_not_done(records, tmp_path):
    job = match_job(str(tmp_path / "cut"), ranges=RANGES)
    write_pictures(job, records)
    limit = 3_000 * SIGNATURE.itemsize
    found, _ = find(job, len(records), limit)
    before = contents(tmp_path / "cut")
    storage.remove(job.marker("candidates", 1))
    # The cuts stay even where the machine has more memory now.
    again, ran = find(job, len(records), WHOLE)
    assert ran == ["candidates 2 of 3"]
    assert again == found
    assert contents(tmp_path / "cut") == before
    assert find(job, len(records), WHOLE) == (found, [])


@pytest.mark.parametrize("size", [0, 1, 2])
def test_hardly_any_pictures(size, tmp_path):
    job = match_job(str(tmp_path), ranges=2)
    records = np.zeros(size, dtype=SIGNATURE)
    records["kind"] = 1
    write_pictures(job, records)
    found, _ = find(job, size)
    assert told(found) == ({(0, 1 << 32): (0, 0)} if size == 2 else {})
    assert found.counts["pairs"] == (size == 2)


@pytest.fixture
def few_per_key(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(plan, "MOST_MEMBERS", 120)
    # Three blocks together, as joins of this kind have that are large enough to need it.
    monkeypatch.setattr(plan, "plan_blocks", lambda pictures, radius: Plan(radius, 3, 0))
    return 120


def test_keys_with_too_many_members_are_split_and_no_pair_is_lost(records, tmp_path, few_per_key):
    job = match_job(str(tmp_path), ranges=RANGES)
    # Clusters that can be told apart by longer keys, unlike equal hashes.
    numbered = write_pictures(job, signatures(3, [(100, 0.03)] * 4 + [(1, 0.5)] * 400))
    found, ran = find(job, len(numbered))
    assert ran.count("count keys") > 1
    assert told(found) == candidate_pairs(numbered, job)
    assert found.counts["largest_key"] <= few_per_key
    assert found.counts["left_out"] == 0


def test_a_key_never_has_more_members_than_it_may(tmp_path, few_per_key):
    """A tight ball that no key splits: each range sends its share, and the rest is counted."""
    job = match_job(str(tmp_path), ranges=RANGES)
    numbered = write_pictures(job, signatures(4, [(900, 0.002)]))
    found, _ = find(job, len(numbered))
    assert found.counts["largest_key"] <= few_per_key
    assert found.counts["left_out"] > 0
    assert told(found).items() <= candidate_pairs(numbered, job).items()


def join_in_one_graph(job: MatchJob, pictures: int) -> Candidates:
    markers = job.markers("pictures")
    for number in range(job.ranges):
        rows = pictures if number == 0 else 0
        storage.write_json(markers.path(number), {"pictures": {"rows": rows}})
    markers.sum_up()

    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | beam.Create([0], reshuffle=False) | JoinPictures(job, pictures + 200)

    runner.run("join", build, ["--runner=FnApiRunner", *IN_MEMORY], 0)
    assert passes_left(job) == []
    return found_candidates(job)


@pytest.mark.parametrize(
    "clusters",
    [
        [(100, 0.03)] * 4,
        pytest.param([(900, 0.002)], marks=pytest.mark.slow),
        [(100, 0.03)],  # more images, but not pictures, than go without counts
    ],
)
def test_one_graph_counts_and_splits_keys_as_many_jobs_do(tmp_path, few_per_key, clusters):
    drawn = signatures(3, clusters)
    many, one = (match_job(str(tmp_path / name), ranges=RANGES) for name in ("many", "one"))
    for job in (many, one):
        write_pictures(job, drawn)
    found, ran = find(many, len(drawn))
    assert ("count keys" in ran) == (len(drawn) > few_per_key)
    again = join_in_one_graph(one, len(drawn))
    assert again.counts == found.counts
    assert told(again) == told(found)
    planned = [storage.read_json(PlanFiles(job).final) for job in (one, many)]
    assert planned[0] == planned[1]


def crowded(size: int) -> np.ndarray:
    records = signatures(6, [(size, 0.0), (300, 0.5)])
    records["phash256"] ^= noise(np.random.default_rng(7), len(records), 4, 0.03)
    records["kind"] = TRAINING  # of benchmarks' pictures more than delegates would stay
    return records


def test_crowds_are_thinned_in_their_ranges_and_counted_once(tmp_path):
    job = match_job(str(tmp_path / "one"), ranges=RANGES, neighbours=8)
    numbered = write_pictures(job, crowded(1_500))
    found, _ = find(job, len(numbered))
    pairs = told(found)
    assert pairs.items() <= candidate_pairs(numbered, job).items()
    assert found.counts["in_crowds"] == 1_500
    across = {(first >> 32, second >> 32) for first, second in pairs}
    assert across >= {(0, 0), (0, 1), (0, 2), (1, 2)}
    cut = match_job(str(tmp_path / "cut"), ranges=RANGES, neighbours=8)
    write_pictures(cut, crowded(1_500))
    again, ran = find(cut, len(numbered), limit=600 * SIGNATURE.itemsize)
    assert len(ran) > 4
    assert (told(again), again.counts) == (pairs, found.counts)


def test_keys_with_many_pairs_write_them_without_a_shuffle(
    tmp_path, records, joined_once, monkeypatch
):
    monkeypatch.setattr(pipeline, "MOST_SENT", 1_000)
    job = match_job(str(tmp_path / "files"), ranges=RANGES)
    write_pictures(job, records)
    found, _ = find(job, len(records))
    names = [path.rpartition("/")[2] for paths in found.files for path in paths]
    assert any("-key-" in name for name in names)
    assert told(found) == joined_once[1]


def test_signatures_hold_the_shape_in_thousandths_of_an_octave(tmp_path):
    job = match_job(str(tmp_path), ranges=2)
    pictures = np.zeros(4, dtype=PICTURE)
    pictures["width"], pictures["height"] = [200, 100, 1000, 2**30], [100, 200, 966, 1]
    write_array(job.pictures(1), pictures)
    signatures = read_signatures(1, job)
    assert signatures["aspect"].tolist() == [1000, -1000, 50, 30_000]
    assert signatures["number"].tolist() == [(1 << 32) + index for index in range(4)]


def test_a_blank_picture_is_in_no_candidate_pair(tmp_path):
    job = match_job(str(tmp_path), ranges=2)
    pictures = np.zeros(4, dtype=PICTURE)
    pictures["width"] = pictures["height"] = 100
    pictures["ground"] = [254, 255, 0, 255]
    write_array(job.pictures(1), pictures)
    assert read_signatures(1, job)["number"].tolist() == [(1 << 32), (1 << 32) + 2]
