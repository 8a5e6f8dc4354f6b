"""Clusters and leaks obey reviews, whatever the verdicts say."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cauldron.transforms.arrays import write_array
from cauldron.transforms.matching.records import REVIEWED

from tests.transforms.matching.cluster.world import World, cluster, make_world, rows_of
from tests.transforms.matching.contamination.world import (
    Matching,
    Row,
    Verdict,
    evidence,
    find,
    make,
    row_id,
    set_up,
)

Pair = tuple[int, int]


def review(world: World, folder: Path, same: list[Pair], apart: list[Pair]) -> None:
    """Write the file of reviews; pictures are named by their place in `keys`."""
    said = [(pair, True) for pair in same] + [(pair, False) for pair in apart]
    records = []
    for pair, is_same in said:
        first, second = sorted(world.numbers[int(world.keys[place])] for place in pair)
        records.append((first, second, 3, is_same))
    path = str(folder / "obeyed.parquet")
    write_array(path, np.array(sorted(records), dtype=REVIEWED))
    world.job = replace(world.job, reviews=path)


def clusters_of(world: World, folder: Path) -> dict[int, str]:
    """The cluster of each picture; every picture is shown by the row of its number."""
    found = {}
    for row in rows_of(cluster(world, folder)):
        found[row["origin"]["row"]] = row["cluster"]
    return found


def shown_once(folder: Path, pictures: int) -> World:
    return make_world(folder, pictures, [(n, 0, 0, n, 0) for n in range(pictures)])


def test_a_pair_that_is_not_the_same_by_review_is_not_merged(tmp_path):
    world = shown_once(tmp_path, 4)
    world.judge((0, 1, True), (2, 3, True))
    review(world, tmp_path, [], [(0, 1)])
    assert set(clusters_of(world, tmp_path / "out")) == {2, 3}


def test_two_copies_of_one_picture_that_are_not_the_same_are_not_in_one_cluster(tmp_path):
    """All pairs with a third picture are the same; one of the two stays with it."""
    world = shown_once(tmp_path, 3)
    world.judge((0, 1, True), (0, 2, True), (1, 2, True))
    review(world, tmp_path, [], [(1, 2)])
    found = clusters_of(world, tmp_path / "out")
    assert len(found) == 2
    assert not {1, 2} <= set(found)


def test_pictures_without_any_verdict_are_merged_by_review(tmp_path):
    world = shown_once(tmp_path, 5)
    world.judge((0, 1, True), (2, 3, True))
    review(world, tmp_path, [(0, 2)], [])
    found = clusters_of(world, tmp_path / "out")
    assert set(found) == {0, 1, 2, 3}
    assert len(set(found.values())) == 1


def test_a_verdict_against_a_pair_does_not_undo_its_review(tmp_path):
    world = shown_once(tmp_path, 3)
    world.judge((0, 1, True), (1, 2, True), (0, 2, False))
    review(world, tmp_path, [(0, 2)], [])
    found = clusters_of(world, tmp_path / "out")
    assert set(found) == {0, 1, 2}
    assert len(set(found.values())) == 1


@pytest.mark.parametrize("seed", range(12))
def test_no_cluster_breaks_a_review_whatever_the_verdicts_are(tmp_path, seed):
    random = np.random.default_rng(seed)
    count = 40
    world = shown_once(tmp_path, count)
    drawn = random.integers(0, count, (160, 2)).tolist()
    world.judge(*((a, b, bool(random.random() < 0.7)) for a, b in drawn if a != b))
    group = random.integers(0, 8, count)
    same, apart = set(), set()
    for a, b in random.integers(0, count, (80, 2)).tolist():
        if a != b:
            (same if group[a] == group[b] else apart).add((min(a, b), max(a, b)))
    review(world, tmp_path, sorted(same), sorted(apart))
    found = clusters_of(world, tmp_path / "out")
    assert len(same) >= 2
    assert len(apart) >= 20
    assert [pair for pair in apart if found.get(pair[0], -1) == found.get(pair[1], -2)] == []
    assert [pair for pair in same if found.get(pair[0], -1) != found.get(pair[1], -2)] == []
    sizes: dict[str, int] = defaultdict(int)
    for name in found.values():
        sizes[name] += 1
    assert max(sizes.values()) > 2


def leaks(matching: Matching, folder: Path, *reviews: tuple[bytes, bytes, bool]) -> set[tuple]:
    records = []
    for first, second, same in reviews:
        pair = sorted([matching.numbers[first], matching.numbers[second]])
        records.append((*pair, 2, same))
    path = str(folder / "obeyed.parquet")
    write_array(path, np.array(sorted(records), dtype=REVIEWED))
    judged = Matching(replace(matching.job, reviews=path), matching.numbers)
    found = evidence(find(judged, folder / "out"))
    return {(row["id"], row["benchmark_id"]) for row in found}


def test_a_benchmarks_picture_leaks_as_reviews_say(tmp_path):
    wrong, missed, near, tested, other = (make(n) for n in range(5))
    matching = set_up(
        tmp_path,
        {"vqa": [[Row("wrong", [wrong]), Row("missed", [missed]), Row("near", [near])]]},
        {"mmmu": [[Row("t", [tested]), Row("o", [other])]]},
    )
    # `near` is a leak of `tested`, and `wrong` would be one over it.
    matching.judge(Verdict(wrong, tested), Verdict(near, tested), Verdict(wrong, near))
    found = leaks(matching, tmp_path, (wrong, tested, False), (missed, other, True))
    assert found == {(row_id("near"), row_id("t")), (row_id("missed"), row_id("o"))}
