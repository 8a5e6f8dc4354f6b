"""What a run's frozen weights are known by."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
from cauldron.training.config import ModelRules
from cauldron.training.resume import base_weights
from safetensors.numpy import load_file, save_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with one large tensor and many small ones."""
    made = tmp_path / "model"
    made.mkdir()
    tensors = {f"layer.{n}": np.full((64, 64), n, np.float32) for n in range(20)}
    save_file(tensors | {"embed": np.zeros((5000, 64), np.float32)}, made / "model.safetensors")
    (made / "config.json").write_text(json.dumps({"hidden_size": 64}))
    return made


def pinned(name: str | Path) -> str | None:
    return base_weights(ModelRules(name=str(name)))[str(name)]


def test_a_copy_elsewhere_is_the_same(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    assert pinned(folder) == pinned(tmp_path / "copy")


@pytest.mark.parametrize("name", ["layer.0", "layer.13", "embed"])
def test_one_trained_tensor_is_seen(folder: Path, name: str) -> None:
    before = pinned(folder)
    tensors = load_file(folder / "model.safetensors")
    tensors[name] = tensors[name] + 1
    save_file(tensors, folder / "model.safetensors")
    assert pinned(folder) != before


def test_a_configuration_counts_and_other_files_do_not(folder: Path) -> None:
    before = pinned(folder)
    (folder / "README.md").write_text("a note")
    assert pinned(folder) == before
    (folder / "config.json").write_text("{}")
    assert pinned(folder) != before


def test_weights_that_say_nothing_of_their_tensors_are_read_evenly(tmp_path: Path) -> None:
    data = bytearray(400_000)
    (tmp_path / "pytorch_model.bin").write_bytes(data)
    before = pinned(tmp_path)
    data[100_000:102_000] = b"x" * 2000
    (tmp_path / "pytorch_model.bin").write_bytes(data)
    assert pinned(tmp_path) != before
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    assert pinned(tmp_path)


def test_both_parts_of_a_composed_model_are_known(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "vision")
    rules = ModelRules(vision=str(tmp_path / "vision"), language=str(folder))
    assert base_weights(rules).keys() == {rules.vision, rules.language}
    assert base_weights(ModelRules(name="tiny")) == {}


def test_a_repository_is_known_by_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's; without the hub, the one that lies here; without either, nobody knows."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    def answer(self: Any, repo: str, **more: Any) -> Any:
        return huggingface_hub.ModelInfo(id=repo, sha="abc", downloads=0, likes=0, tags=[])

    def away(self: Any, repo: str, **more: Any) -> Any:
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", answer)
    assert pinned("org/model") == "abc"
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", away)
    assert pinned("org/model") is None
    home = tmp_path / "models--org--model"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text("def")
    (home / "snapshots" / "def").mkdir(parents=True)
    (home / "snapshots" / "def" / "config.json").write_text("{}")
    assert pinned("org/model") == "def"
