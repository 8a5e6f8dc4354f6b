"""Bootstrap intervals: known coverage, the same for the same scores, paired by item."""

from __future__ import annotations

import numpy as np
import pytest

from cauldron.core.errors import UsageError
from cauldron.evaluate.scores.intervals import interval, paired_difference


def test_an_interval_is_about_two_standard_errors_wide() -> None:
    scores = [1.0] * 300 + [0.0] * 700
    found = interval(scores)
    error = np.std(scores) / np.sqrt(len(scores))
    assert (found.value, found.size) == (0.3, 1_000)
    assert found.low == pytest.approx(0.3 - 1.96 * error, abs=0.004)
    assert found.high == pytest.approx(0.3 + 1.96 * error, abs=0.004)


def test_intervals_hold_the_true_mean_as_often_as_they_say() -> None:
    draw = np.random.default_rng(7)
    samples = [(draw.random(150) < 0.4).astype(float).tolist() for _ in range(200)]
    found = [interval(sample) for sample in samples]
    held = sum(one.low <= 0.4 <= one.high for one in found)
    assert 180 <= held <= 198  # 190 are expected, with a standard deviation of 3


def test_the_same_scores_have_the_same_interval() -> None:
    scores = np.random.default_rng(1).random(50).tolist()
    assert interval(scores) == interval(scores)
    assert interval(scores, seed=1) != interval(scores)
    assert interval(scores, level=0.5).low > interval(scores).low


def test_equal_scores_have_no_width_and_none_are_an_error() -> None:
    assert interval([0.5]) == (0.5, 0.5, 0.5, 1)
    with pytest.raises(ValueError, match="no scores"):
        interval([])


def test_a_paired_difference_is_narrower_than_two_intervals() -> None:
    draw = np.random.default_rng(3)
    hard = draw.random(1_000)
    first = {str(number): float(value > 0.5) for number, value in enumerate(hard)}
    second = {str(number): float(value > 0.45) for number, value in enumerate(hard)}
    found = paired_difference(first, second)
    assert found.value == pytest.approx(np.mean([*second.values()]) - np.mean([*first.values()]))
    assert 0 < found.low < found.value < found.high
    assert (
        found.high - found.low < interval([*first.values()]).high - interval([*first.values()]).low
    )
    assert paired_difference(second, first).value == -found.value


def test_a_paired_difference_is_over_the_items_of_both() -> None:
    found = paired_difference({"a": 0.0, "b": 1.0, "c": 1.0}, {"b": 0.0, "a": 0.0, "d": 1.0})
    assert (found.value, found.size) == (-0.5, 2)
    with pytest.raises(UsageError, match="no item in common"):
        paired_difference({"a": 1.0}, {"b": 1.0})


def test_a_large_benchmark_is_resampled_in_parts() -> None:
    scores = np.random.default_rng(2).random(12_000)
    found = interval(scores.tolist())
    assert found.low < scores.mean() < found.high
    assert found.high - found.low == pytest.approx(4 * scores.std() / np.sqrt(12_000), rel=0.1)
