"""Two processes evaluate together, are killed, and have the scores of one."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from cauldron.evaluate.predictions.files import predicted, read_predictions  # noqa: E402
from tests.evaluate.published import publish  # noqa: E402
from tests.training.data.mixtures import mixed_rows, write_mixture  # noqa: E402
from tests.training.launch import Ranks, wait_for  # noqa: E402
from tests.training.test_run import config, train  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    mixture = write_mixture(tmp_path_factory.mktemp("mixture"), mixed_rows(40))
    output = tmp_path_factory.mktemp("run") / "run"
    train(config(mixture, output, "adapter.rank=4", "learning_rate=0.01", steps=3))
    return output


def evaluated(world: int, run: Path, root: Path, folder: Path) -> Ranks:
    places = ("--root", str(root), "--output", str(folder))
    return Ranks(world, str(run), *places, "--batch", "2", name="eval")


def assert_same(one: Path, other: Path) -> None:
    assert predicted(one) == predicted(other)
    for name in predicted(one):
        assert read_predictions(one, name) == read_predictions(other, name), name
    assert (one / "manifest.json").read_bytes() == (other / "manifest.json").read_bytes()


def lines(folder: Path) -> int:
    return sum(path.read_text().count("\n") for path in folder.rglob("rank-*.jsonl"))


def test_two_ranks_killed_and_resumed_have_the_predictions_of_one(
    run: Path, tmp_path: Path
) -> None:
    root = publish(tmp_path / "root")
    one, two = tmp_path / "one", tmp_path / "two"
    evaluated(1, run, root, one).finish()
    ranks = evaluated(2, run, root, two)
    wait_for(lambda: lines(two) >= 4)
    ranks.signal(signal.SIGKILL)
    ranks.wait()
    assert lines(two) < lines(one)
    evaluated(2, run, root, two).finish()
    assert len({path.name for path in two.rglob("rank-*.jsonl")}) == 2
    assert_same(one, two)


def test_a_mistake_of_all_ranks_is_told_once(run: Path, tmp_path: Path) -> None:
    (one, said), (other, nothing) = evaluated(2, run, tmp_path / "none", tmp_path / "e").wait()
    assert one == other != 0
    assert said.splitlines()[-1].startswith("cauldron: no benchmark is there")
    assert "cauldron:" not in nothing
