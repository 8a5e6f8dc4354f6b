"""Metrics of a run: a line on the screen, a line of JSON, TensorBoard, Weights & Biases, a plot."""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from cauldron.training.config import TrainConfig
from cauldron.training.step import StepResult

from cauldron.core.errors import UsageError

METRICS = "metrics.jsonl"

# bf16 operations per second without sparsity, from NVIDIA's data sheet of each product (half the
# figure where only one with sparsity is given). A name without a suffix is the SXM module.
_PEAKS = {
    "GB200": 2500e12,  # GB200 NVL72, a GPU of the two
    "B200": 2250e12,  # HGX B200
    "H200 NVL": 835e12,  # H200 Tensor Core GPU
    "H200": 989e12,
    "GH200": 989e12,  # GH200 Grace Hopper Superchip
    "H100 NVL": 835e12,  # H100 Tensor Core GPU
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H800": 989e12,
    "A100": 312e12,  # A100 Tensor Core GPU, PCIe and SXM alike
    "A800": 312e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
}
_RECENT = 20
# Values that a plotted mean is taken over, and most sources in a plot.
_WINDOW = 25
_SOURCES = 8


def peak_of(device_name: str) -> float | None:
    """A GPU's peak operations per second, by its name; None if unknown.

    Matches whole words, longest name first: an L40 is not an L4, an H100 PCIe not an SXM module.
    """
    words = f" {device_name.replace('-', ' ')} ".lower()
    names = sorted(_PEAKS, key=len, reverse=True)
    return next((_PEAKS[name] for name in names if f" {name.lower()} " in words), None)


class Sink(Protocol):
    """Records the scalars of a step."""

    def write(self, step: int, values: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class Metrics:
    """Records metrics, on the first rank.

    Args:
        first: the first step; later lines of a killed run are deleted.
        peak: operations per second of all ranks together; None if unknown.
    """

    def __init__(self, config: TrainConfig, first: int, peak: float | None) -> None:
        path = Path(config.output) / METRICS
        path.parent.mkdir(parents=True, exist_ok=True)
        truncate(path, first)
        self._file = path.open("a", encoding="utf-8")
        self._rules, self._peak = config.train, peak
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._sinks = _sinks(config, first)

    def step(
        self,
        number: int,
        result: StepResult,
        seconds: float,
        skipped: int,
        scores: Mapping[str, float] | None = None,
    ) -> str:
        """Record a step. Returns the line to show.

        Args:
            scores: of an evaluation after the step, 0 to 1 by benchmark.
            seconds: of the whole step.
            skipped: rows that this rank has skipped so far: all that could not be measured, and
                this rank's share of those that could not be decoded.
        """
        self._recent.append(seconds)
        room = result.packs * self._rules.sequence_length
        values: dict[str, Any] = {
            "loss": result.loss,
            "learning_rate": result.learning_rate,
            "grad_norm": result.grad_norm,
            "tokens": result.tokens,
            "answer_tokens": result.supervised,
            "packs": result.packs,
            "padding": 1 - result.tokens / room,
            "seconds": seconds,
            "tokens_per_second": result.tokens / seconds,
            "answer_tokens_per_second": result.supervised / seconds,
            "waiting": min(1.0, result.waited / seconds),
            "skipped_rows": skipped,
        }
        if torch.cuda.is_available():
            values["peak_memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
        if self._peak:
            values["mfu"] = result.flops / seconds / self._peak
        sources = {name: {"loss": loss, "answer_tokens": count}
                   for name, (loss, count) in result.losses.items()}  # fmt: skip
        line = {"step": number + 1, **values, "sources": sources}
        if scores:
            line["eval"] = dict(scores)
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        flat = values | {f"loss/{name}": loss for name, (loss, _) in result.losses.items()}
        flat |= {f"eval/{name}": score for name, score in (scores or {}).items()}
        for sink in self._sinks:
            sink.write(number + 1, flat)
        found = "".join(f"  {name} {score:.1%}" for name, score in (scores or {}).items())
        return self._shown(number, values) + found

    def _shown(self, number: int, values: dict[str, Any]) -> str:
        left = (self._rules.steps - number - 1) * sum(self._recent) / len(self._recent)
        mfu = f"  MFU {values['mfu']:.1%}" if "mfu" in values else ""
        return (
            f"step {number + 1}/{self._rules.steps}  loss {values['loss']:.4f}  "
            f"{values['answer_tokens_per_second']:,.0f} answer tokens/s{mfu}  "
            f"padding {values['padding']:.1%}  data wait {values['waiting']:.1%}  "
            f"left {duration(left)}"
        )

    def close(self) -> None:
        self._file.close()
        for sink in self._sinks:
            sink.close()


def truncate(path: Path, first: int) -> None:
    """Keep the lines of the first `first` steps."""
    if not path.exists():
        return
    kept = [line for line in read_metrics(path) if line["step"] <= first]
    partial = path.with_suffix(".tmp")
    partial.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    partial.rename(path)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a run, without a last line that a kill left incomplete."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]


def duration(seconds: float) -> str:
    """Hours, minutes and seconds: ``1:02:03``."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _sinks(config: TrainConfig, first: int) -> list[Sink]:
    sinks: list[Sink] = []
    if config.train.tensorboard:
        sinks.append(_TensorBoard(config.output, first))
    if config.train.wandb_project is not None:
        sinks.append(_WeightsAndBiases(config, config.train.wandb_project, first))
    return sinks


def _without_disk_errors(failed: threading.ExceptHookArgs) -> None:
    """TensorBoard's thread prints an error of the disk, and the next write raises it again."""
    if not isinstance(failed.exc_value, OSError):
        threading.__excepthook__(failed)


class _TensorBoard:
    def __init__(self, output: str, first: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        threading.excepthook = _without_disk_errors
        folder = Path(output) / "tensorboard"
        self._writer: Any = SummaryWriter(folder, purge_step=first + 1)  # type: ignore[no-untyped-call]

    def write(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _WeightsAndBiases:
    """A run keeps its id when it is resumed."""

    def __init__(self, config: TrainConfig, project: str, first: int) -> None:
        import wandb  # type: ignore[import-not-found]

        known = Path(config.output) / "wandb_id"
        if first == 0 or not known.exists():
            known.write_text(wandb.util.generate_id(), encoding="utf-8")
        self._run: Any = wandb.init(
            project=project,
            name=Path(config.output).name,
            id=known.read_text(encoding="utf-8"),
            resume="allow",
            dir=config.output,
            config=config.model_dump(mode="json"),
        )

    def write(self, step: int, values: dict[str, float]) -> None:
        self._run.log(values, step=step)

    def close(self) -> None:
        self._run.finish()


def plot(run: str) -> str:
    """Draw ``RUN/metrics.png`` and return its path. Raises UsageError without metrics."""
    path = Path(run) / METRICS
    lines = read_metrics(path) if path.exists() else []
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
    """Losses of the sources with the most answer tokens."""
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
    """The mean of each value and the 24 before it."""
    windows = (values[max(0, end - _WINDOW) : end] for end in range(1, len(values) + 1))
    return [sum(window) / len(window) for window in windows]
