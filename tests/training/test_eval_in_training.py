"""``eval:`` in a recipe's stage: scores in the metrics, and a run that is the same without them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from cauldron.training import command, run  # noqa: E402
from cauldron.training.config import TrainConfig  # noqa: E402
from cauldron.training.metrics import read_metrics  # noqa: E402

from cauldron.cli import main  # noqa: E402
from cauldron.core.errors import CauldronError, UsageError  # noqa: E402
from cauldron.core.output.mixture import Mixture, load_mixture  # noqa: E402
from cauldron.evaluate.during_training import evaluation_of  # noqa: E402
from tests.evaluate import published  # noqa: E402
from tests.training.data.mixtures import mixed_rows, write_mixture  # noqa: E402
from tests.training.launch import Ranks  # noqa: E402
from tests.training.test_run import assert_same_weights, config, never, silent, train  # noqa: E402

NAMES = ("ai2d", "mmstar")


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Mixture:
    return write_mixture(tmp_path_factory.mktemp("mixture"), mixed_rows(40))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    for name in NAMES:
        published.PUBLISHERS[name](folder)
    return folder


def changes(root: Path) -> tuple[str, ...]:
    return (
        "adapter.rank=4",
        "learning_rate=0.01",
        f"eval={{every: 2, benchmarks: [{', '.join(NAMES)}], limit: 3, root: {root}}}",
    )


def trained(settings: TrainConfig, stop: Any = never) -> list[dict[str, Any]]:
    assert settings.train.eval is not None
    mixture = load_mixture(settings.mixture)
    run.train(settings, mixture, stop, silent, evaluation_of(settings.train.eval))
    return read_metrics(Path(settings.output) / "metrics.jsonl")


def test_scores_of_the_weights_at_hand_are_in_the_metrics(
    mixture: Mixture, root: Path, tmp_path: Path
) -> None:
    ours, plain = tmp_path / "ours", tmp_path / "plain"
    lines = trained(config(mixture, ours, *changes(root), steps=3))
    assert ["eval" in line for line in lines] == [False, True, True]
    assert lines[1]["eval"].keys() == {*NAMES}
    train(config(mixture, plain, *changes(root)[:2], steps=3))
    assert_same_weights(ours, plain)
    folder = tmp_path / "evaluation"
    given = [str(ours), "--root", str(root), "--limit", "3", "--output", str(folder)]
    assert CliRunner().invoke(main, ["eval", *given]).exit_code == 0
    found = json.loads((folder / "manifest.json").read_text())["results"]
    assert lines[2]["eval"] == {name: found[name]["overall"]["value"] for name in NAMES}


def test_a_stop_during_an_evaluation_saves_and_ends(
    mixture: Mixture, root: Path, tmp_path: Path
) -> None:
    settings = config(mixture, tmp_path, *changes(root), steps=4)
    asked: list[bool] = []

    def stop() -> bool:
        """From the first question of the first evaluation on."""
        asked.append(len(read_metrics(metrics)) >= 1 if metrics.exists() else False)
        return sum(asked) > 3

    metrics = tmp_path / "metrics.jsonl"
    lines = trained(settings, stop)
    assert len(lines) < 4
    resumed = trained(settings)
    assert [line["step"] for line in resumed] == [1, 2, 3, 4]
    assert "eval" in resumed[3]


def test_a_mistake_is_told_before_the_run_begins(
    mixture: Mixture, root: Path, tmp_path: Path
) -> None:
    def rules(name: str, place: Path) -> Any:
        text = f"eval={{every: 2, benchmarks: [{name}], root: {place}}}"
        return config(mixture, tmp_path, text).train.eval

    with pytest.raises(UsageError, match="no benchmark 'mmstr'; did you mean 'mmstar'"):
        evaluation_of(rules("mmstr", root))
    with pytest.raises(CauldronError, match="Lin-Chen/MMStar"):
        evaluation_of(rules("mmstar", tmp_path))
    with pytest.raises(UsageError, match=r"training\.sft\.eval\.every"):
        config(mixture, tmp_path, "eval={every: 0, benchmarks: [mmstar]}")


def test_evaluation_does_not_decide_what_is_trained(
    mixture: Mixture, root: Path, tmp_path: Path
) -> None:
    train(config(mixture, tmp_path, *changes(root)[:2], steps=2))
    settings = config(mixture, tmp_path, *changes(root), steps=2)
    command.check(settings, load_mixture(settings.mixture))


@pytest.mark.slow
def test_two_ranks_find_the_scores_of_one(mixture: Mixture, root: Path, tmp_path: Path) -> None:
    scores = []
    for world in (1, 2):
        output = tmp_path / str(world)
        sets = ("batch=2", "sequence_length=1024", "precision=fp32", *changes(root))
        places = ("--model", "tiny", "--mixture", mixture.folder, "--output", str(output))
        given = [part for field in sets for part in ("--set", field)]
        Ranks(world, *places, "--steps", "2", *given).finish()
        scores.append(read_metrics(output / "metrics.jsonl")[1]["eval"])
    assert scores[0] == pytest.approx(scores[1])
