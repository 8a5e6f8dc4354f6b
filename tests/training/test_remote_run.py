"""A run whose mixture, checkpoints and exported model are in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from cauldron.training import command
from cauldron.training.command import TrainOptions

from cauldron.recipe import load_recipe
from tests.doubles.gcs import FakeGcs
from tests.training.data.mixtures import mixed_rows, write_mixture
from tests.training.exported import check_same_run

PACKAGED = load_recipe("idefics3").training
SMALL = ("batch=2", "sequence_length=1024", "precision=fp32", "checkpoint_every=1", "keep=2",
         "workers=0", "tensorboard=false", "adapter.rank=4")  # fmt: skip


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    with FakeGcs(["bucket"]) as double:
        double.use(monkeypatch)
        yield double


def train(mixture: str, output: str, steps: int) -> list[str]:
    """Lines that were said."""
    said: list[str] = []
    options = TrainOptions(
        stage="sft",
        packaged=PACKAGED,
        mixture=mixture,
        output=output,
        model="tiny",
        steps=steps,
        changes=(*SMALL, "schedule=constant"),
    )
    assert command.train(options, said.append, lambda rules: pytest.fail("no evaluation")) == 0
    return said


@pytest.mark.slow
def test_a_run_in_a_bucket_goes_on_and_ends_with_the_weights_of_a_local_one(
    store: FakeGcs, tmp_path: Path
) -> None:
    rows = mixed_rows(60)
    here, there = write_mixture(tmp_path / "mixture", rows), write_mixture("gs://bucket/mix", rows)
    train(here.folder, str(tmp_path / "run"), 4)

    train(there.folder, "gs://bucket/run", 2)
    names = [name for name in store.objects("bucket") if name.startswith("run/")]
    assert {name.split("/")[2] for name in names if "checkpoints" in name} == {
        "step-000001",
        "step-000002",
    }
    store.fail(503, "/upload/", times=1)
    store.cut("step-000002", times=1)
    said = train(there.folder, "gs://bucket/run", 4)
    assert "resuming from step 2, gs://bucket/run/checkpoints/step-000002" in said
    assert said[-1] == "model: gs://bucket/run/model"
    assert train(there.folder, "gs://bucket/run", 4)[-1] == "done already: gs://bucket/run/model"

    assert command.plot("gs://bucket/run") == "gs://bucket/run/metrics.png"

    names = [name for name in store.objects("bucket") if name.startswith("run/")]
    assert {name.split("/")[2] for name in names if "checkpoints" in name} == {
        "step-000003",
        "step-000004",
    }
    check_same_run("gs://bucket/run", tmp_path / "run")
