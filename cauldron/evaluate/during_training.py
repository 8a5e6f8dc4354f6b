"""The evaluation of a run in the middle of it: the same prompts and scores as ``cauldron eval``.

Nothing is kept but the scores, which the run logs with its metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Protocol

from cauldron.core.generation import Engine, Evaluation, Share
from cauldron.evaluate.benchmarks.aggregate import OVERALL
from cauldron.evaluate.benchmarks.catalog import BENCHMARKS
from cauldron.evaluate.command import check_names
from cauldron.evaluate.items.read import read_items
from cauldron.evaluate.predictions.files import Record
from cauldron.evaluate.predictions.predict import count_items, predict
from cauldron.evaluate.scores.scoring import scored


class Rules(Protocol):
    """`cauldron.training.config.EvalRules`."""

    @property
    def benchmarks(self) -> Sequence[str]: ...
    @property
    def limit(self) -> int | None: ...
    @property
    def root(self) -> str | None: ...
    @property
    def batch(self) -> int: ...


class _Kept:
    """Keeps records in memory."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def write(self, records: Iterable[Record]) -> None:
        self.records += records


def evaluation_of(rules: Rules) -> Evaluation:
    """The evaluation of a recipe's rules. Called before the run begins.

    Raises:
        UsageError: an unknown benchmark.
        SourceUnavailable: a benchmark is not there.
    """
    check_names(tuple(rules.benchmarks))
    for name in rules.benchmarks:
        count_items(BENCHMARKS[name], rules.root, rules.limit)

    def evaluate(engine: Engine, share: Share) -> dict[str, float]:
        found = {name: _overall(name, rules, engine, share) for name in rules.benchmarks}
        return {name: score for name, score in found.items() if score is not None}

    return evaluate


def _overall(name: str, rules: Rules, engine: Engine, share: Share) -> float | None:
    """The overall score; None if no item can be scored."""
    benchmark, kept = BENCHMARKS[name], _Kept()
    items = islice(read_items(name, rules.root), rules.limit)
    predict(benchmark, items, engine, kept, rules.batch, share)
    records = share.gather(kept.records)
    scores = benchmark.aggregate(scored(benchmark, records))
    return scores[OVERALL].value if scores else None
