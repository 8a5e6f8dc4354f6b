"""Leaks: training pictures that are the same as a benchmark's, from contents and verdicts.

A training picture is a leak of a benchmark picture

  - that has the same content: distance 0, score 1;
  - that a verdict calls the same, or the same in other colours (kind ``colours``) or in another
    rendering (kind ``rendering``);
  - indirectly, if a verdict calls it the same as another training picture, which a verdict calls
    the same as the benchmark's. Only pictures without a leak of the first two kinds are looked at,
    and only one step is taken. The leak has the distance and score of the weaker verdict, and is of
    kind ``picture`` only if both verdicts are.

The third kind exists because a leak is often an altered copy of an altered copy. A crop of a
re-encoded copy may miss the threshold against the benchmark's own file, its hash may be outside the
radius, or one of the two may be in a crowd and never be compared with the other. It also keeps
near-duplicates together: a row that merges with a contaminated row shows the same picture. With
more than one step small differences would add up until pages of one form, or nearly blank pages,
are "the same". A wrong step costs a training row, a missing one leaves a test picture in the
training data.

Every worker holds the numbers of all benchmark pictures, 9 bytes each, and of the training pictures
with a direct leak, 8 bytes each. Of the verdicts only those that make a leak cross a shuffle.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from cauldron.transforms.arrays import Array
from cauldron.transforms.matching.arrays import U64, Flags, equal_pairs, is_in, starts
from cauldron.transforms.matching.records import BENCHMARK, KIND_OF_VERDICT, LEAK, TRAINING

# A training picture keeps its strongest leaks over all benchmarks. Only nearly blank pictures have
# more: all other pictures of a benchmark that are the same as it are one picture.
MOST_LEAKS = 16


def leaks_by_content(benchmarks: Array) -> Array:
    """The leaks of benchmark pictures that training rows show too.

    Args:
        benchmarks: `BENCHMARK_PICTURE` records.
    """
    both = benchmarks["number"][benchmarks["kind"] == TRAINING | BENCHMARK]
    return _leaks(both, both, 0, 1.0, 0)


def leaks_by_verdict(pairs: Array, benchmarks: Array) -> Array:
    """The pairs of a training picture and a benchmark's.

    Args:
        pairs: pictures that are the same.
        benchmarks: `BENCHMARK_PICTURE` records sorted by number.
    """
    kinds = {side: _kinds_of(pairs[side], benchmarks) for side in ("first", "second")}
    return _either_way(
        pairs,
        {side: kind & TRAINING != 0 for side, kind in kinds.items()},
        {side: kind & BENCHMARK != 0 for side, kind in kinds.items()},
    )


def _kinds_of(numbers: U64, benchmarks: Array) -> npt.NDArray[np.uint8]:
    """`TRAINING` and `BENCHMARK` bits; pictures that are no benchmark's are `TRAINING`."""
    kinds = np.full(len(numbers), TRAINING, dtype=np.uint8)
    here = is_in(numbers, benchmarks["number"])
    kinds[here] = benchmarks["kind"][np.searchsorted(benchmarks["number"], numbers[here])]
    return kinds


def steps(pairs: Array, benchmarks: Array, leaked: U64) -> Array:
    """The pairs of a training picture without a leak and one with a leak, as `LEAK` records.

    Args:
        leaked: numbers of the training pictures with a leak, sorted.
    """
    ends = {side: is_in(pairs[side], leaked) for side in ("first", "second")}
    begins = {side: ~ends[side] & ~is_in(pairs[side], benchmarks["number"]) for side in ends}
    return _either_way(pairs, begins, ends)


def _either_way(pairs: Array, training: dict[str, Flags], benchmark: dict[str, Flags]) -> Array:
    """Pairs as leaks, one way or both.

    Args:
        training, benchmark: for each side, of which pairs it can be that field of a leak.
    """
    leaks = []
    for one, other in (("first", "second"), ("second", "first")):
        chosen = pairs[training[one] & benchmark[other]]
        kind = np.zeros(len(chosen), dtype=np.uint8)
        for verdict, number in KIND_OF_VERDICT.items():
            kind[chosen["same"] == verdict] = number
        leaks.append(_leaks(chosen[one], chosen[other], chosen["distance"], chosen["score"], kind))
    return np.concatenate(leaks)


def _leaks(training: Any, benchmark: Any, distance: Any, score: Any, kind: Any) -> Array:
    leaks = np.zeros(len(training), dtype=LEAK)
    leaks["training"], leaks["benchmark"] = training, benchmark
    leaks["distance"], leaks["score"], leaks["kind"] = distance, score, kind
    return leaks


def indirect_leaks(steps: Array, leaks: Array) -> Array:
    """Follow steps to benchmark pictures; `leaks` are those of the pictures they lead to."""
    leaks = strongest(leaks)
    step, leak = equal_pairs(steps["benchmark"], leaks["training"])
    near, far = steps[step], leaks[leak]
    weaker = np.where(_is_weaker(near, far), near, far)
    kind = np.where(far["kind"] > 0, far["kind"], near["kind"])
    return _leaks(near["training"], far["benchmark"], weaker["distance"], weaker["score"], kind)


def _is_weaker(near: Array, far: Array) -> Flags:
    further = (near["score"] == far["score"]) & (near["distance"] > far["distance"])
    result: Flags = (near["score"] < far["score"]) | further
    return result


def strongest(leaks: Array, limit: int = MOST_LEAKS) -> Array:
    """The best leak of each two pictures, and of these the best `limit` of a training picture.

    Better is a whole picture than other kinds, then a higher score, then a smaller distance, then a
    smaller benchmark number.

    Returns:
        sorted by training picture, best first.
    """
    worse = 2.0 * (leaks["kind"] > 0) - leaks["score"].astype(np.float64)
    order = np.lexsort((leaks["distance"], worse, leaks["benchmark"], leaks["training"]))
    leaks, worse = leaks[order], worse[order]
    best = starts(leaks, "training", "benchmark")
    leaks, worse = leaks[best], worse[best]
    leaks = leaks[np.lexsort((leaks["benchmark"], leaks["distance"], worse, leaks["training"]))]
    places = np.arange(len(leaks))
    first = np.maximum.accumulate(np.where(starts(leaks, "training"), places, 0))
    return leaks[places - first < limit]


def sorted_numbers(pieces: Iterable[bytes]) -> U64:
    """Picture numbers from packed pieces in any order, each once, sorted."""
    return np.unique(np.frombuffer(b"".join(pieces), dtype="<u8").astype(np.uint64))
