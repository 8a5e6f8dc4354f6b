"""Two ranks whose mixture, checkpoints and exported model are in a bucket."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")


from cauldron.core.output.lock import LOCK
from tests.doubles.gcs import FakeGcs
from tests.training.data.mixtures import mixed_rows, write_mixture
from tests.training.exported import check_same_run
from tests.training.launch import Ranks, wait_for

pytestmark = pytest.mark.slow
STEPS = 24
RUN = "gs://bucket/run"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    with FakeGcs(["bucket"]) as double:
        double.use(monkeypatch)
        yield double


def arguments(mixture: str, output: str) -> list[str]:
    fields = ("batch=4", "sequence_length=512", "precision=fp32", "checkpoint_every=5",
              "adapter.rank=4", "workers=1", "window=32", "tensorboard=false")  # fmt: skip
    sets = [part for field in fields for part in ("--set", field)]
    places = ["--mixture", mixture, "--output", output]
    return ["--model", "tiny", "--steps", str(STEPS), *places, *sets]


def test_ranks_that_are_killed_go_on_in_a_bucket_to_equal_weights(
    store: FakeGcs, tmp_path: Path
) -> None:
    rows = mixed_rows(200)
    here, there = write_mixture(tmp_path / "mixture", rows), write_mixture("gs://bucket/mix", rows)
    Ranks(2, *arguments(here.folder, str(tmp_path / "run"))).finish()

    def saved() -> set[str]:
        names = [name.split("/") for name in store.objects("bucket") if name.endswith("/run.json")]
        return {name[2] for name in names if name[:2] == ["run", "checkpoints"]}

    ranks = Ranks(2, *arguments(there.folder, RUN))
    wait_for(lambda: bool(saved()))
    ranks.signal(signal.SIGKILL)
    assert [code for code, _ in ranks.wait()] == [-signal.SIGKILL] * 2
    left = max(saved())
    assert f"step-{STEPS:06}" != left

    said = Ranks(2, *arguments(there.folder, RUN)).wait()
    assert [code for code, _ in said] == [0, 0], said
    assert f"resuming from step {int(left[5:])}, {RUN}/checkpoints/{left}" in said[0][1]
    assert said[0][1].endswith(f"model: {RUN}/model\n")
    assert not [name for name in store.objects("bucket") if name.endswith(LOCK)]
    assert store.unfinished == 0

    check_same_run(RUN, tmp_path / "run")
