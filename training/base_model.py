"""Which weights a run begins with, so that nothing is laid over others later.

A checkpoint holds only what trains, and adapters are nothing without the weights below them. A
folder is known by a digest: of `config.json`, of the sizes and safetensors headers of its weight
files, and of a kilobyte in the middle of every tensor (3 MB of an 8B model's 16 GB: a stage that
trained only a connector changed 0.2 % of the bytes). A hub repository is known by its commit.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import BinaryIO

import huggingface_hub
from cauldron.training.config import ModelRules, repository

_BLOCK = 1024
# Of a file that does not say where its tensors lie.
_BLOCKS = 256
_SECONDS = 10.0


def base_weights(rules: ModelRules) -> dict[str, str | None]:
    """What pins the weights of each folder or hub id that a model is made of.

    None where nobody can say: the hub cannot be reached, and nothing of it lies here. That there
    is no such model is told when it is loaded.
    """
    names = (rules.name, rules.vision, rules.language)
    return {
        name: _digest(Path(name)) if os.path.isdir(name) else _commit(name)
        for name in names
        if name is not None and name != "tiny"
    }


def _digest(folder: Path) -> str:
    """16 hex digits."""
    found = hashlib.sha256()
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.bin")]
    for path in sorted([*weights, *folder.glob("config.json")]):
        size = path.stat().st_size
        found.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            if path in weights:
                _add_weights(found, file, size)
            else:
                found.update(file.read())
    return found.hexdigest()[:16]


def _add_weights(found: hashlib._Hash, file: BinaryIO, size: int) -> None:
    header, places = _tensors(file, size)
    found.update(header)
    for place in places:
        file.seek(place)
        found.update(file.read(_BLOCK))


def _tensors(file: BinaryIO, size: int) -> tuple[bytes, list[int]]:
    """The header of a safetensors file and where to read in each tensor; or evenly, without."""
    try:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(min(length, size))
        spans = [value["data_offsets"] for name, value in json.loads(header).items()
                 if name != "__metadata__"]  # fmt: skip
        middles = [8 + length + max(a, (a + b - _BLOCK) // 2) for a, b in spans]
    except (ValueError, KeyError, TypeError, AttributeError):
        return b"", [size * part // _BLOCKS for part in range(_BLOCKS)]
    return header, sorted(middles)


def _commit(name: str) -> str | None:
    """Of what would be loaded now: the hub's, or without it the one that lies here."""
    repo, revision = repository(name)
    try:
        # Read here, because the library reads it only once, when it is imported.
        hub = huggingface_hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
        return hub.model_info(repo, revision=revision, timeout=_SECONDS).sha
    except Exception:  # of many kinds, and none of them this check's to tell
        return _cached_commit(repo, revision)


def _cached_commit(repo: str, revision: str | None) -> str | None:
    try:
        path = huggingface_hub.try_to_load_from_cache(repo, "config.json", revision=revision)
    except ValueError:  # no name of a repository
        return None
    return Path(path).parent.name if isinstance(path, str) else None
