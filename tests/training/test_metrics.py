"""What a run tells, and what is drawn of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

from cauldron.training.config import TrainConfig, TrainRecipe
from cauldron.training.metrics import (
    METRICS,
    Metrics,
    duration,
    peak_of,
    plot,
    read_metrics,
    smoothed,
    truncate,
)
from cauldron.training.step import StepResult

from cauldron.core.errors import UsageError


def config(output: Path, **changes: Any) -> TrainConfig:
    rules = TrainRecipe(steps=10, sequence_length=100, tensorboard=False, **changes)
    return TrainConfig(stage="sft", mixture="m", output=str(output), train=rules)


def result(loss: float = 2.0) -> StepResult:
    return StepResult(
        loss=loss,
        tokens=380,
        supervised=100,
        packs=4,
        flops=6e12,
        waited=0.5,
        losses={"charts": (loss, 60), "words": (loss, 40)},
        grad_norm=0.7,
        learning_rate=1e-4,
    )


def test_a_line_says_how_the_run_goes(tmp_path: Path) -> None:
    metrics = Metrics(config(tmp_path), 0, peak=3e12)
    line = metrics.step(1, result(), seconds=4.0, skipped=0)
    metrics.close()
    assert line == (
        "step 2/10  loss 2.0000  25 answer tokens/s  MFU 50.0%  padding 5.0%  data wait 12.5%  "
        "left 0:00:32"
    )


def test_utilisation_is_left_out_where_the_peak_is_not_known(tmp_path: Path) -> None:
    metrics = Metrics(config(tmp_path), 0, peak=None)
    assert "MFU" not in metrics.step(0, result(), seconds=1.0, skipped=0)
    metrics.close()
    assert "mfu" not in read_metrics(tmp_path / METRICS)[0]


def test_going_on_cuts_the_lines_that_will_be_written_again(tmp_path: Path) -> None:
    path = tmp_path / METRICS
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in range(1, 8)) + '{"st')
    truncate(path, 5)
    assert [line["step"] for line in read_metrics(path)] == [1, 2, 3, 4, 5]


def test_tensorboard_gets_every_scalar(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    rules = TrainRecipe(steps=10)
    metrics = Metrics(
        TrainConfig(stage="sft", mixture="m", output=str(tmp_path), train=rules), 0, None
    )
    metrics.step(0, result(), seconds=1.0, skipped=0)
    metrics.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"loss", "loss/charts", "grad_norm"} <= set(events.Tags()["scalars"])


def test_weights_and_biases_goes_on_with_the_run_that_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, started, logged = iter("abc"), [], []
    run = SimpleNamespace(log=lambda values, step: logged.append(step), finish=lambda: None)
    fake = SimpleNamespace(
        util=SimpleNamespace(generate_id=lambda: next(ids)),
        init=lambda **given: started.append(given) or run,
    )
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for first in (0, 1, 0):
        metrics = Metrics(config(tmp_path, wandb_project="p"), first, None)
        metrics.step(first, result(), seconds=1.0, skipped=0)
        metrics.close()
    assert [given["id"] for given in started] == ["a", "a", "b"]
    assert {given["project"] for given in started} == {"p"}
    assert logged == [1, 2, 1]


def test_the_curves_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    metrics = Metrics(config(tmp_path), 0, None)
    for step in range(5):
        metrics.step(step, result(3.0 - step / 2), seconds=1.0, skipped=0)
    metrics.close()
    picture = Path(plot(str(tmp_path)))
    assert picture == tmp_path / "metrics.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_metrics_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"metrics\.jsonl"):
        plot(str(tmp_path))


def test_small_things() -> None:
    assert duration(3723.4) == "1:02:03"
    assert smoothed([1.0, 3.0, 5.0]) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H100 NVL", 835e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA GH200 480GB", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40", 181e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA L400", None),
        ("a toaster", None),
    ],
)
def test_a_gpu_is_known_by_its_whole_name(name: str, peak: float | None) -> None:
    assert peak_of(name) == peak
