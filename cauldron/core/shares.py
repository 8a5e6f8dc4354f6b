"""From shares of answer tokens to epochs of each source.

In the authors' scheme a source's share of answer tokens is proportional to tokens x weight. Epochs
are computed from the tokens that one pass really delivers. In PlotQA, for example, a copy keeps 7
of 129 turns: a pass delivers a twentieth of the source's tokens, so more passes fill its share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cauldron.core.errors import CauldronError
from cauldron.core.stage import Budget, Portion, StageRecipe


@dataclass(frozen=True, slots=True)
class SourceCounts:
    """Totals of one source.

    Attributes:
        rows: samples that may be picked.
        answer_tokens: in all turns of all rows.
        delivered: expected answer tokens of one pass, after the cap on turns.
    """

    rows: int
    answer_tokens: float
    delivered: float


@dataclass(frozen=True, slots=True)
class Allocation:
    """How much of a source a stage takes.

    Attributes:
        share: the wanted part of the mixture's answer tokens.
        epochs: passes over the source, fractional.
        capped: `max_epochs` keeps it below its share.
        planned_share: the part that these epochs give; differs from `share` if a source is capped.
    """

    source: str
    counts: SourceCounts
    weight: float | None
    share: float
    epochs: float
    capped: bool
    planned_share: float


def asked_shares(
    mixture: Mapping[str, Portion], counts: Mapping[str, SourceCounts]
) -> dict[str, float]:
    """The share of answer tokens that each source should get. They add up to 1.

    Sources without rows get 0; their shares are divided among the others.

    Raises:
        CauldronError: no source has any answer tokens.
    """
    usable = {name: p for name, p in mixture.items() if counts[name].delivered > 0}
    fixed = sum(p.share for p in usable.values() if p.share is not None)
    products = {
        name: counts[name].answer_tokens * p.weight
        for name, p in usable.items()
        if p.weight is not None
    }
    total = sum(products.values())
    rest = 1 - fixed if total > 0 else 0.0
    shares = dict.fromkeys(mixture, 0.0)
    for name, portion in usable.items():
        if portion.share is not None:
            shares[name] = portion.share
        elif total > 0:
            shares[name] = rest * products[name] / total
    whole = sum(shares.values())
    if whole <= 0:
        raise CauldronError("no source of the mixture has any answer tokens")
    return {name: share / whole for name, share in shares.items()}


def solve(stage: StageRecipe, counts: Mapping[str, SourceCounts]) -> list[Allocation]:
    """Epochs of every source of a stage, in the recipe's order.

    Epochs are ``min(max_epochs, c * share / delivered)``, with one `c` for all that meets the
    budget. What a capped source cannot give is divided among the others in proportion to their
    shares. If every source is capped, the mixture stays below its budget.
    """
    shares = asked_shares(stage.mixture, counts)
    rates = {n: shares[n] / counts[n].delivered for n in shares if shares[n] > 0}
    in_samples = stage.budget.samples is not None
    per_pass = {n: float(counts[n].rows) if in_samples else counts[n].delivered for n in rates}
    target = _target(stage.budget, shares, counts)
    factor = _water_level(rates, per_pass, stage.max_epochs, target)
    epochs = {n: min(stage.max_epochs, factor * rates[n]) if n in rates else 0.0 for n in shares}
    tokens = {n: epochs[n] * counts[n].delivered for n in shares}
    whole = sum(tokens.values())
    return [
        Allocation(
            source=name,
            counts=counts[name],
            weight=portion.weight,
            share=shares[name],
            epochs=epochs[name],
            capped=name in rates and factor * rates[name] > stage.max_epochs * (1 + 1e-12),
            planned_share=tokens[name] / whole,
        )
        for name, portion in stage.mixture.items()
    ]


def _target(
    budget: Budget, shares: Mapping[str, float], counts: Mapping[str, SourceCounts]
) -> float:
    """The budget in answer tokens, or in samples if the recipe gives it in samples."""
    if budget.samples is not None:
        return float(budget.samples)
    if budget.answer_tokens is not None:
        return budget.answer_tokens
    assert budget.epochs_of_largest is not None
    largest = max(shares, key=lambda name: (shares[name], name))
    return budget.epochs_of_largest * counts[largest].delivered / shares[largest]


def _water_level(
    rates: Mapping[str, float], per_pass: Mapping[str, float], ceiling: float, target: float
) -> float:
    """The factor `c` for which the passes ``min(ceiling, c * rate)`` add up to `target`."""
    open_rate = sum(rates[name] * per_pass[name] for name in rates)
    filled = 0.0
    # The source with the highest rate reaches the ceiling first, at c = ceiling / rate.
    for name in sorted(rates, key=lambda n: (-rates[n], n)):
        if filled + open_rate * ceiling / rates[name] >= target:
            break
        filled += ceiling * per_pass[name]
        open_rate -= rates[name] * per_pass[name]
    else:
        return ceiling / min(rates.values())
    return (target - filled) / open_rate
