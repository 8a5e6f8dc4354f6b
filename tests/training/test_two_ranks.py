"""Two processes train together, are killed, and end where an undisturbed run ends."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from cauldron.training.checkpoint import newest_checkpoint  # noqa: E402
from cauldron.training.metrics import read_metrics  # noqa: E402

from cauldron.core.output.mixture import Mixture, load_mixture  # noqa: E402
from tests.training.data.mixtures import mixed_rows, write_mixture  # noqa: E402
from tests.training.launch import Ranks, steps_done, wait_for  # noqa: E402

pytestmark = pytest.mark.slow
STEPS = 24


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Mixture:
    return write_mixture(tmp_path_factory.mktemp("mixture"), mixed_rows(200))


@pytest.fixture(scope="module")
def undisturbed(mixture: Mixture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of two ranks that nothing happens to."""
    output = tmp_path_factory.mktemp("run") / "undisturbed"
    Ranks(2, *arguments(mixture, output)).finish()
    return output


def arguments(mixture: Mixture, output: Path, *more: str) -> list[str]:
    fields = ("batch=4", "sequence_length=512", "precision=fp32", "checkpoint_every=5",
              "adapter.rank=4", "workers=1", "window=32")  # fmt: skip
    sets = [part for field in fields for part in ("--set", field)]
    places = ["--mixture", mixture.folder, "--output", str(output)]
    return ["--model", "tiny", "--steps", str(STEPS), *places, *sets, *more]


def weights(output: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(output / "model" / "model.safetensors")


def assert_weights(one: Path, other: Path, tolerance: float = 0.0) -> None:
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        assert (weight - theirs[name]).abs().max() <= tolerance, name


def losses(output: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(output / "metrics.jsonl")]


def test_ranks_that_are_killed_go_on_to_equal_weights(
    built: tuple[Path, Any], tmp_path: Path
) -> None:
    """SIGKILL, to all processes at once, at a step between checkpoints, on the miniature hub."""
    mixture = load_mixture(str(built[0] / "mixtures" / "sample" / "sft"))
    output, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    Ranks(2, *arguments(mixture, undisturbed)).finish()
    ranks = Ranks(2, *arguments(mixture, output))
    wait_for(lambda: steps_done(output) >= 8)
    ranks.signal(signal.SIGKILL)
    assert [code for code, _ in ranks.wait()] == [-signal.SIGKILL] * 2
    saved = newest_checkpoint(output)
    assert saved is not None
    assert 5 <= saved.step < STEPS
    Ranks(2, *arguments(mixture, output)).finish()
    assert_weights(output, undisturbed)
    assert losses(output) == losses(undisturbed)


def test_sigterm_to_one_rank_stops_all_with_a_checkpoint_and_0(
    mixture: Mixture, undisturbed: Path, tmp_path: Path
) -> None:
    """And one rank goes on with what two began: the same rows, so the same weights but rounding."""
    output = tmp_path / "stopped"
    ranks = Ranks(2, *arguments(mixture, output))
    wait_for(lambda: steps_done(output) >= 6)
    ranks.processes[1].send_signal(signal.SIGTERM)
    ranks.finish()
    saved = newest_checkpoint(output)
    assert saved is not None
    assert saved.step == len(losses(output)) < STEPS
    assert not (output / "model").exists()
    Ranks(1, *arguments(mixture, output)).finish()
    assert losses(output) == pytest.approx(losses(undisturbed), abs=2e-4)
    assert_weights(output, undisturbed, tolerance=2e-3)


@pytest.mark.parametrize("shard", [2, 1])
def test_a_rank_with_only_text_does_not_stop_the_other(
    mixture: Mixture, tmp_path: Path, shard: int
) -> None:
    """Sequences so short that most hold one conversation: images on one rank, none on another."""
    output = tmp_path / "mixed"
    fields = (
        "batch=2",
        "sequence_length=160",
        "longest_edge=56",
        "frozen=[vision]",
        "adapter=null",
        f"shard={shard}",
    )
    sets = [part for field in fields for part in ("--set", field)]
    Ranks(2, *arguments(mixture, output), *sets).finish()
    assert len(losses(output)) == STEPS


def test_a_mistake_of_all_ranks_is_told_once(mixture: Mixture, tmp_path: Path) -> None:
    """Found after the ranks have met: there is no such model."""
    missing = str(tmp_path / "no-model")
    ranks = Ranks(2, *arguments(mixture, tmp_path / "run"), "--model", missing)
    (one, said), (other, nothing) = ranks.wait()
    assert (one, other, nothing) == (2, 2, "")
    assert said.startswith("cauldron: the model cannot be loaded")
    assert said.count("\n") == 1


def test_a_mistake_of_one_rank_is_told_by_it_and_ends_the_other(
    mixture: Mixture, tmp_path: Path
) -> None:
    last = ("--model", str(tmp_path / "no-model"))
    ranks = Ranks(2, *arguments(mixture, tmp_path / "run"), last=last)
    (one, nothing), (other, said) = ranks.wait()
    assert (one, other) == (1, 2)
    assert said.startswith("cauldron: rank 1: the model cannot be loaded")
    assert "Traceback" not in nothing
    assert "cannot be loaded" not in nothing


def test_sigterm_while_starting_ends_with_0(mixture: Mixture, tmp_path: Path) -> None:
    """Before torch is imported there is nothing to save, and nothing to kill either."""
    output = tmp_path / "early"
    ranks = Ranks(1, *arguments(mixture, output))
    wait_for(lambda: handles_sigterm(ranks.processes[0].pid))
    ranks.signal(signal.SIGTERM)
    ranks.finish()
    assert newest_checkpoint(output) is None
    assert steps_done(output) == 0


def test_ranks_with_weights_of_their_own_train_as_those_that_divide_them(
    mixture: Mixture, undisturbed: Path, tmp_path: Path
) -> None:
    """As DDP; and what they saved is gone on from by ranks that divide the weights."""
    output = tmp_path / "own"
    ranks = Ranks(2, *arguments(mixture, output), "--set", "shard=1")
    wait_for(lambda: steps_done(output) >= 12)
    ranks.signal(signal.SIGTERM)
    ranks.finish()
    Ranks(2, *arguments(mixture, output)).finish()
    assert losses(output) == pytest.approx(losses(undisturbed), abs=2e-4)
    assert_weights(output, undisturbed, tolerance=2e-3)


def handles_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
