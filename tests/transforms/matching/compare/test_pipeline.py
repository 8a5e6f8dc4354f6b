"""Pairs to verdicts: each compared once, by reference, and never again when it is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cauldron.transforms.arrays import write_array
from cauldron.transforms.matching.compare import comparer
from cauldron.transforms.matching.compare.comparer import BATCH, PictureComparer, batches
from cauldron.transforms.matching.compare.comparison import Comparison
from cauldron.transforms.matching.compare.pipeline import known_verdicts
from cauldron.transforms.matching.records import PAIR, PICTURE, VERDICT, MatchJob, MatchSource

PICTURES = 40


@pytest.fixture
def job(tmp_path: Path) -> MatchJob:
    """Two ranges of pictures whose bytes are their own number, in one pack."""
    source = MatchSource("a", str(tmp_path / "corpus"), 1)
    job = MatchJob((source,), str(tmp_path / "matches"), 2, 8, 56, 0.035, 32)
    (tmp_path / "corpus").mkdir()
    pack = bytearray()
    for number in range(job.ranges):
        pictures = np.zeros(PICTURES, dtype=PICTURE)
        for at, picture in enumerate(pictures):
            name = f"{number}:{at};".encode()
            picture["key_high"], picture["key_low"] = number * 1000 + at, at
            picture["offset"], picture["length"] = len(pack), len(name)
            pack += name
        write_array(job.pictures(number), pictures)
    (tmp_path / "corpus" / "images-00000-of-00001.tar").write_bytes(bytes(pack))
    return job


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Pictures that were decoded; equal indexes compare as the same."""
    seen: list[bytes] = []
    monkeypatch.setattr(comparer, "prepare", lambda data: seen.append(data) or data)
    monkeypatch.setattr(
        comparer,
        "compare",
        lambda a, b: Comparison(0.5, False, a.split(b":")[1] == b.split(b":")[1]),
    )
    monkeypatch.setattr(comparer, "compare_colours", lambda *_: None)
    return seen


def pairs(*numbers: tuple[int, int]) -> np.ndarray:
    records = np.zeros(len(numbers), dtype=PAIR)
    records["first"] = [first for first, _ in numbers]
    records["second"] = [(1 << 32) | second for _, second in numbers]
    records["distance"] = 2
    return records


def test_verdicts_come_in_the_order_asked_with_the_contents_they_are_about(job, read):
    verdicts = PictureComparer(job).compare(pairs((7, 7), (3, 4), (3, 3)))
    assert verdicts["same"].tolist() == [1, 0, 1]
    assert verdicts["first_high"].tolist() == [7, 3, 3]
    assert verdicts["second_high"].tolist() == [1007, 1004, 1003]
    assert verdicts["distance"].tolist() == [2, 2, 2]


def test_a_picture_with_many_candidates_is_decoded_once(job, read):
    PictureComparer(job).compare(pairs(*[(0, second) for second in range(PICTURES)]))
    assert sorted(read) == sorted([b"0:0;", *(f"1:{n};".encode() for n in range(PICTURES))])


def test_few_pictures_at_hand_change_no_verdict(job, read, monkeypatch):
    asked = pairs(*[(a, b) for a in range(12) for b in range(12)])
    whole = PictureComparer(job).compare(asked)
    monkeypatch.setattr(comparer, "_KEPT_PICTURES", 4)
    monkeypatch.setattr(comparer, "_FETCH_BYTES", 20)
    assert PictureComparer(job).compare(asked).tobytes() == whole.tobytes()


def test_known_pairs_are_taken_over_by_content_and_not_read(job, read):
    pictures = PictureComparer(job)
    old = pictures.compare(pairs((1, 1), (2, 3)))
    old["first"], old["second"] = 77, 78  # numbers of another matching
    read.clear()
    found, known = known_verdicts(pictures.without_scores(pairs((5, 5), (2, 3), (1, 1))), old)
    assert known.tolist() == [False, True, True]
    assert found["same"].tolist() == [0, 0, 1]
    assert found["first"].tolist() == [5, 2, 1]
    assert read == []


def test_nothing_known_and_nothing_asked_are_no_errors(job, read):
    pictures = PictureComparer(job)
    none = np.zeros(0, dtype=VERDICT)
    found, known = known_verdicts(pictures.without_scores(pairs((1, 1))), none)
    assert not known.any()
    assert len(known_verdicts(none, found)[0]) == 0
    assert len(pictures.compare(pairs())) == 0


def test_connected_pairs_share_a_batch(monkeypatch):
    """Chains 0-1-2, 3-4-5 and so on, arriving mixed: each picture is in one batch only."""
    monkeypatch.setattr(comparer, "BATCH", 6)
    chains = [(first + at, first + at + 1) for first in range(0, 30, 3) for at in range(2)]
    asked = np.zeros(len(chains), dtype=PAIR)
    asked["first"], asked["second"] = zip(*chains, strict=True)
    found = batches(asked[np.random.default_rng(3).permutation(len(asked))])
    pictures = [set(piece["first"]) | set(piece["second"]) for piece in found]
    assert sum(map(len, pictures)) == len(set().union(*pictures)) == 30


def test_batches_hold_every_pair_once(monkeypatch):
    monkeypatch.setattr(comparer, "BATCH", 10)
    asked = pairs(*[(a, b) for a in range(9) for b in range(9)])
    shuffled = asked[np.random.default_rng(1).permutation(len(asked))]
    found = list(batches(shuffled))
    assert [len(piece) for piece in found] == [10] * 8 + [1]
    assert sorted(np.concatenate(found).tolist()) == sorted(asked.tolist())


def test_batches_touch_few_ranges_and_do_not_depend_on_the_order_of_arrival():
    random = np.random.default_rng(0)
    asked = np.zeros(1000, dtype=PAIR)
    asked["first"], asked["second"] = (
        np.arange(1000) % 3,
        (random.integers(0, 9, 1000) << 32) + np.arange(1000),
    )
    made = list(batches(asked))
    assert [len(piece) for piece in made] == [BATCH, BATCH, BATCH, 1000 - 3 * BATCH]
    halves = np.concatenate([asked[500:], asked[:500]])
    assert [piece.tobytes() for piece in batches(halves)] == [piece.tobytes() for piece in made]
    # Each touches as few ranges as it can: the file of a range is read for many pairs.
    for piece in made:
        assert len(np.unique(piece["second"] >> np.uint64(32))) <= 4
