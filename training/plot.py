"""The curves of a run in one picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cauldron.training.metrics import METRICS, read

from cauldron.core.errors import UsageError

_WINDOW = 25
_SOURCES = 8


def plot(run: str) -> str:
    """Draw ``RUN/metrics.png`` and return its path. Raises UsageError without metrics."""
    path = Path(run) / METRICS
    lines = read(path) if path.exists() else []
    if not lines:
        raise UsageError(f"{run} has no {METRICS} with a step in it; give the folder of a run")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(12, 8), layout="constrained")
    steps = [line["step"] for line in lines]
    _curve(axes[0, 0], steps, [line["loss"] for line in lines], "loss per answer token (nats)")
    _by_source(axes[0, 1], lines)
    _curve(axes[1, 0], steps, [line["grad_norm"] for line in lines], "gradient norm")
    rates = [line["tokens_per_second"] for line in lines]
    _curve(axes[1, 1], steps, rates, "tokens per second")
    for axis in axes.flat:
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    figure.suptitle(Path(run).name)
    target = Path(run) / "metrics.png"
    figure.savefig(target, dpi=120)
    pyplot.close(figure)
    return str(target)


def _curve(axis: Any, steps: Sequence[int], values: Sequence[float], title: str) -> None:
    axis.plot(steps, values, alpha=0.35)
    axis.plot(steps, smoothed(values), color="C0")
    axis.set_title(title)


def _by_source(axis: Any, lines: Sequence[dict[str, Any]]) -> None:
    """The sources with the most answer tokens."""
    weights: dict[str, int] = defaultdict(int)
    for line in lines:
        for name, found in line["sources"].items():
            weights[name] += found["answer_tokens"]
    for name in sorted(weights, key=lambda name: (-weights[name], name))[:_SOURCES]:
        seen = [(line["step"], line["sources"][name]["loss"])
                for line in lines if name in line["sources"]]  # fmt: skip
        axis.plot([step for step, _ in seen], smoothed([loss for _, loss in seen]), label=name)
    axis.legend(fontsize="small")
    axis.set_title("loss by source")


def smoothed(values: Sequence[float]) -> list[float]:
    """The mean of each value and those before it, 25 at most."""
    windows = (values[max(0, end - _WINDOW) : end] for end in range(1, len(values) + 1))
    return [sum(window) / len(window) for window in windows]
