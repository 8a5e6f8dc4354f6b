"""How certain a score is: bootstrap intervals of a mean, and of the difference between two runs.

Items are drawn again with replacement, `RESAMPLES` times, from a seeded generator, so the same
scores have the same interval. Scores of one run and of another are paired by item: both are drawn
together, because the items that are hard for one are often hard for the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cauldron.core.errors import UsageError

RESAMPLES = 2_000
LEVEL = 0.95
# Scores that are held at once while means are drawn: 8 bytes each for the draw and the score.
_HELD = 4_000_000


class Interval(NamedTuple):
    """A mean and where it lies with a probability of `LEVEL`.

    Attributes:
        value: the mean of the scores.
        low, high: percentiles of the means of the resamples.
        size: the number of scores.
    """

    value: float
    low: float
    high: float
    size: int


def interval(scores: Sequence[float], seed: int = 0, level: float = LEVEL) -> Interval:
    """The interval of a mean. Raises ValueError without scores."""
    if not scores:
        raise ValueError("no scores to resample")
    values = np.asarray(scores, dtype=np.float64)
    edge = (1 - level) / 2
    low, high = np.quantile(_resampled_means(values, seed), (edge, 1 - edge))
    return Interval(float(values.mean()), float(low), float(high), len(values))


def paired_difference(
    first: Mapping[str, float], second: Mapping[str, float], seed: int = 0, level: float = LEVEL
) -> Interval:
    """The interval of the second run's mean less the first's, over the items that both have.

    Args:
        first, second: scores by item.

    Raises:
        UsageError: they have no item in common.
    """
    shared = sorted(first.keys() & second.keys())
    if not shared:
        raise UsageError("the two runs have no item in common; score both on the same benchmark")
    return interval([second[name] - first[name] for name in shared], seed, level)


def _resampled_means(values: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    size = len(values)
    at_once = max(1, _HELD // size)
    means = []
    for start in range(0, RESAMPLES, at_once):
        count = min(at_once, RESAMPLES - start)
        means.append(values[generator.integers(0, size, (count, size))].mean(axis=1))
    return np.concatenate(means)
