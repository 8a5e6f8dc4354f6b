"""A checkpoint holds the state of its step, whatever training does while it is written."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from cauldron.training import checkpoint  # noqa: E402
from cauldron.training.checkpoint import checkpoint_at, newest_checkpoint, remove_incomplete  # noqa: E402
from cauldron.training.network.parallel import Ranks  # noqa: E402
from cauldron.training.saved_metadata import Reader, read_metadata  # noqa: E402
from torch.distributed.checkpoint.metadata import BytesStorageMetadata  # noqa: E402
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions  # noqa: E402

from cauldron.core.errors import CauldronError  # noqa: E402
from tests.training.limits import files_no_larger_than  # noqa: E402


@pytest.fixture
def ranks() -> Iterator[Ranks]:
    alone = Ranks.join()
    yield alone
    alone.leave()


def trained() -> tuple[dict[str, Any], Any]:
    """A layer and its optimizer after two steps."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(300, 200)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    for _ in range(2):
        layer(torch.randn(4, 300)).square().sum().backward()
        optimizer.step()
    return dict(layer.named_parameters()), optimizer


def test_what_was_saved_is_what_was_there_when_it_was_asked_for(
    ranks: Ranks, tmp_path: Path
) -> None:
    parameters, optimizer = trained()
    state = checkpoint.training_state(parameters, optimizer)
    wanted = {name: tensor.clone() for name, tensor in state.items()}
    saving = checkpoint.CheckpointWriter(tmp_path, ranks, {"batch": 3}, keep=1, last=0)
    saving.save(2, {"at": 5}, state)
    with torch.no_grad():
        for tensor in state.values():
            tensor.fill_(7.0)
    saving.finish()
    saved = newest_checkpoint(tmp_path)
    assert saved is not None
    assert (saved.step, saved.position, saved.must_match) == (2, {"at": 5}, {"batch": 3})
    fresh, other = trained()
    checkpoint.load(saved, fresh, other, ranks)
    found = checkpoint.training_state(fresh, other)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert {float(values["step"]) for values in other.state.values()} == {2.0}


def test_nothing_is_there_before_it_is_whole(ranks: Ranks, tmp_path: Path) -> None:
    parameters, optimizer = trained()
    saving = checkpoint.CheckpointWriter(tmp_path, ranks, {}, keep=1, last=0)
    saving.save(1, {}, checkpoint.training_state(parameters, optimizer))
    assert newest_checkpoint(tmp_path) is None
    saving.finish()
    assert newest_checkpoint(tmp_path) is not None


def test_a_step_is_saved_once(ranks: Ranks, tmp_path: Path) -> None:
    parameters, optimizer = trained()
    state = checkpoint.training_state(parameters, optimizer)
    saving = checkpoint.CheckpointWriter(tmp_path, ranks, {}, keep=2, last=4)
    saving.save(4, {}, state)
    saving.finish()
    assert newest_checkpoint(tmp_path) is None


def test_leftovers_go_and_whole_ones_stay(tmp_path: Path) -> None:
    whole, torn, half = (
        tmp_path / "checkpoints" / name
        for name in ("step-000001", "step-000002", "step-000003.tmp")
    )
    for folder in (whole, torn, half):
        folder.mkdir(parents=True)
    (whole / "run.json").write_text("{}")
    (half / "run.json").write_text("{}")
    remove_incomplete(tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000001"]


def test_a_writer_that_failed_is_heard(ranks: Ranks, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("not a folder")
    parameters, optimizer = trained()
    saving = checkpoint.CheckpointWriter(tmp_path, ranks, {}, keep=1, last=0)
    saving.save(1, {}, checkpoint.training_state(parameters, optimizer))
    with pytest.raises(CauldronError, match="step-000001 could not be written: Not a directory"):
        saving.finish()


@pytest.mark.parametrize("limit", [600, 100_000, 700_000])
def test_a_limit_on_files_ends_in_one_line_and_leaves_nothing(
    ranks: Ranks, tmp_path: Path, limit: int
) -> None:
    """Torch reports the first as an error of the disk, the others as one of its archive."""
    parameters, optimizer = trained()
    saving = checkpoint.CheckpointWriter(tmp_path, ranks, {}, keep=1, last=0)
    with files_no_larger_than(limit):
        saving.save(1, {}, checkpoint.training_state(parameters, optimizer))
        with pytest.raises(CauldronError) as found:
            saving.finish()
    folder = tmp_path / "checkpoints" / "step-000001"
    assert str(found.value).startswith(f"{folder} could not be written: File too large; ")
    assert "\n" not in str(found.value)
    assert list(folder.parent.iterdir()) == []
    saving.poll()


class RunsCode:
    """Unpickled, it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self._mark,)


def saved_one(ranks: Ranks, folder: Path) -> checkpoint.Checkpoint:
    parameters, optimizer = trained()
    saving = checkpoint.CheckpointWriter(folder, ranks, {}, keep=1, last=0)
    saving.save(1, {}, checkpoint.training_state(parameters, optimizer))
    saving.finish()
    found = newest_checkpoint(folder)
    assert found is not None
    return found


def test_resuming_a_crafted_checkpoint_runs_no_code(ranks: Ranks, tmp_path: Path) -> None:
    saved, mark = saved_one(ranks, tmp_path), tmp_path / "mark"
    metadata = saved.folder / ".metadata"
    whole, code = read_metadata(metadata), RunsCode(mark)
    objects: Any = dict.fromkeys(whole.state_dict_metadata, BytesStorageMetadata())
    crafted: list[Any] = [
        code,
        {"state": code},
        dataclasses.replace(whole, planner_data=code),
        # Torch would unpickle the bytes of such an entry.
        dataclasses.replace(whole, state_dict_metadata=objects),
        {"not": "a checkpoint's"},
    ]
    parameters, optimizer = trained()
    for content in (*map(pickle.dumps, crafted), metadata.read_bytes()[:100], b""):
        metadata.write_bytes(content)
        with pytest.raises(CauldronError, match=r"\.metadata is not the metadata") as found:
            checkpoint.load(saved, parameters, optimizer, ranks)
        assert "\n" not in str(found.value)
        with pytest.raises(CauldronError, match=r"\.metadata is not the metadata"):
            checkpoint.load_weights(saved.folder, parameters)
        with pytest.raises(CauldronError, match=r"\.metadata is not the metadata"):
            Reader(saved.folder).read_metadata()
    assert not mark.exists()


def test_memory_that_is_kept_is_not_written_over_while_it_is_read(
    ranks: Ranks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where one stager serves the whole run; here its memory is not pinned."""
    stager = DefaultStager(StagingOptions(False, False, False, False))
    closed: list[int] = []
    monkeypatch.setattr(stager, "close", lambda: closed.append(1))
    monkeypatch.setattr(checkpoint, "_stager", lambda device: stager)
    parameters, optimizer = trained()
    state = checkpoint.training_state(parameters, optimizer)
    saving = checkpoint.CheckpointWriter(tmp_path, ranks, {}, keep=3, last=0)
    for step in (1, 2, 3):
        with torch.no_grad():
            for tensor in state.values():
                tensor.fill_(float(step))
        saving.save(step, {}, state)
    saving.finish()
    assert not closed
    saving.close()
    assert closed
    for step in (1, 2, 3):
        saved = checkpoint_at(tmp_path, step)
        assert saved is not None
        fresh, other = trained()
        checkpoint.load(saved, fresh, other, ranks)
        found = checkpoint.training_state(fresh, other)
        assert all((tensor == step).all() for tensor in found.values())


def test_on_a_gpu_all_is_copied_to_pinned_memory_before_training_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoint, "DefaultStager", lambda options: options)
    assert checkpoint._stager(torch.device("cpu")) is None
    options: Any = checkpoint._stager(torch.device("cuda", 1))
    assert options.use_pinned_memory
    assert not options.use_async_staging
