"""Crowds of pictures with one hash: a benchmark's picture never hides among them."""

from __future__ import annotations

import numpy as np
import pytest
from cauldron.transforms.matching.join.search import CROWD, thin
from cauldron.transforms.matching.records import (
    BENCHMARK,
    SIGNATURE,
    TRAINING,
    MatchJob,
    MatchSource,
)


def crowd(size: int) -> np.ndarray:
    records = np.zeros(size, dtype=SIGNATURE)
    rng = np.random.default_rng(5)
    records["phash"] = 0x123456789ABCDEF0
    records["phash256"] = rng.integers(0, 2**63, (size, 4), dtype=np.uint64)
    records["number"] = np.arange(size)
    records["kind"] = TRAINING
    return records


JOB = MatchJob((MatchSource("a", "a", 1),), "m", 1, 8, 56, 0.035, 32)


@pytest.mark.parametrize("place", [0, 17, 200, 399])
def test_a_benchmarks_picture_stays_in_the_join_whatever_its_place_in_a_crowd(place):
    records = crowd(400)
    records["kind"][place] = BENCHMARK
    for tell in (True, False):
        left = thin(records, JOB, tell).records
        assert place in left["number"]
        assert len(left) < CROWD


def test_a_crowd_of_benchmark_pictures_is_bounded_too(monkeypatch):
    monkeypatch.setattr("cauldron.transforms.matching.join.search.MOST_BENCHMARKS", 50)
    records = crowd(600)
    records["kind"] = BENCHMARK
    assert 50 <= len(thin(records, JOB, False).records) <= 50 + 33
