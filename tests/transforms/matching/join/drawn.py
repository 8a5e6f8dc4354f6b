"""Drawn signatures, and all their candidate pairs by brute force."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from cauldron.transforms.arrays import split_by
from cauldron.transforms.matching.join.blocks import Plan, spread
from cauldron.transforms.matching.join.search import Counts, add_counts, join_key, limits_of
from cauldron.transforms.matching.records import BENCHMARK, SIGNATURE, MatchJob

Pairs = dict[tuple[int, int], tuple[int, int]]


def match_job(folder: str = "", **change: object) -> MatchJob:
    values = {"ranges": 1, "radius": 8, "radius256": 56, "aspect": 0.035, "neighbours": 10_000}
    return MatchJob(sources=(), folder=folder, **(values | change))


def noise(rng: np.random.Generator, rows: int, words: int, share: float) -> np.ndarray:
    """Words of which each bit is set with the chance `share`."""
    bits = rng.random((rows, 64 * words)) < share
    return np.packbits(bits, axis=1).view(np.uint64).reshape(rows, words)


def signatures(seed: int, clusters: Iterable[tuple[int, float]]) -> np.ndarray:
    """Signatures in clusters of (size, chance of a bit to differ from the centre), shuffled."""
    rng = np.random.default_rng(seed)
    found = []
    for size, share in clusters:
        records = np.zeros(size, dtype=SIGNATURE)
        centre = rng.integers(0, 2**64, 5, dtype=np.uint64)
        records["phash"] = centre[0] ^ noise(rng, size, 1, share)[:, 0]
        records["phash256"] = centre[1:] ^ noise(rng, size, 4, min(share, 0.12))
        records["aspect"] = rng.normal(400, 12, size)
        records["kind"] = rng.choice([1, 2, 3], size, p=[0.7, 0.2, 0.1])
        found.append(records)
    records = rng.permutation(np.concatenate(found))
    records["number"] = np.arange(len(records))
    return records


def mixed(seed: int, size: int) -> np.ndarray:
    """Half of them apart from all others, near pairs, and three clusters."""
    pairs = [(2, 0.03)] * (size // 8)
    alone = [(1, 0.5)] * (size // 2)
    third = (size - len(alone) - 2 * len(pairs)) // 3
    return signatures(seed, [*alone, *pairs, (third, 0.0), (third, 0.04), (third, 0.12)])


def candidate_pairs(records: np.ndarray, job: MatchJob) -> Pairs:
    """Every pair within all limits, with its two distances, one row against all."""
    found: Pairs = {}
    limits = limits_of(job)
    for place in range(len(records) - 1):
        one, others = records[place], records[place + 1 :]
        near = np.bitwise_count(one["phash"] ^ others["phash"]).astype(int)
        near256 = np.bitwise_count(one["phash256"] ^ others["phash256"]).sum(axis=1).astype(int)
        apart = np.abs(others["aspect"].astype(int) - int(one["aspect"]))
        fits = (near <= job.radius) & (near256 <= job.radius256) & (apart <= limits.aspect)
        fits &= ~((others["kind"] == BENCHMARK) & (one["kind"] == BENCHMARK))
        for row in np.flatnonzero(fits):
            key = (int(one["number"]), int(others["number"][row]))
            found[key] = (int(near[row]), int(near256[row]))
    return found


def nearest(pairs: Pairs, neighbours: int) -> set[tuple[int, int]]:
    """The pairs that one of their two pictures has among its nearest."""
    own: dict[int, list[tuple[tuple[int, int], int, tuple[int, int]]]] = {}
    for pair, near in pairs.items():
        for picture, other in (pair, pair[::-1]):
            own.setdefault(picture, []).append((near, other, pair))
    return {entry[2] for entries in own.values() for entry in sorted(entries)[:neighbours]}


def joined(records: np.ndarray, plan: Plan, job: MatchJob) -> tuple[Pairs, Counts]:
    """What the workers of all keys tell; each pair once."""
    sent = records.copy()
    sent["phash"] = spread(records["phash"])
    results = [
        join_key(key, [piece], plan, job)
        for keyed in plan.assign(sent["phash"])
        for key, piece in split_by(sent[keyed.rows], keyed.keys)
    ]
    return unique([pairs for pairs, _ in results]), add_counts(counts for _, counts in results)


def unique(found: Iterable[np.ndarray]) -> Pairs:
    """Pairs by their numbers; fails where one stands twice."""
    rows = [row for pairs in found for row in pairs.tolist()]
    times = Counter((first, second) for first, second, _, _ in rows)
    assert not times or max(times.values()) == 1
    assert all(first < second for first, second in times)
    return {(first, second): (near, near256) for first, second, near, near256 in rows}
