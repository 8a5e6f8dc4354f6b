"""ChartQA's relaxed accuracy: numbers may be off by 5 %, texts must be equal but for case.

Methani et al. (2020) as in the ChartQA paper, arXiv 2203.10244, section 5.1. Equal to lmms-eval's
`relaxed_correctness`.
"""

from __future__ import annotations

TOLERANCE = 0.05


def relaxed_accuracy(prediction: str, answer: str) -> float:
    """1.0 or 0.0. An answer of 0 has no relative error, so the texts must be equal."""
    number, target = _number(prediction), _number(answer)
    if number is not None and target:
        return float(abs(number - target) / abs(target) <= TOLERANCE)
    return float(prediction.lower() == answer.lower())


def _number(text: str) -> float | None:
    """A number, or a percentage as its hundredth; None for anything else."""
    try:
        return float(text.rstrip("%")) / 100.0 if text.endswith("%") else float(text)
    except ValueError:
        return None
