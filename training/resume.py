"""Fields that must match before a checkpoint is resumed.

A checkpoint holds only what trains, and adapters depend on the frozen weights below them, so the
base weights must match too. A hub repository is identified by its commit. A folder is identified by
a digest of `config.json`, of the sizes and safetensors headers of its weight files, and of a
kilobyte in the middle of every tensor: 3 MB of an 8B model's 16 GB. Every tensor is sampled because
a stage that trains only the connector changes 0.2 % of the bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import huggingface_hub
from cauldron.training.config import ModelRules, TrainConfig

from cauldron.core.errors import UsageError
from cauldron.core.hub.calls import use_client
from cauldron.core.output.mixture import Mixture
from cauldron.core.tokenizer import split_revision

# Fields that change speed or storage, but not the trained weights.
_FREE = {
    "workers",
    "max_bad_rows",
    "checkpoint_every",
    "keep",
    "shard",
    "recompute",
    "compile",
    "head_chunk",
    "eval",
    "tensorboard",
    "wandb_project",
    "export",
    "any_tokenizer",
}
_WEIGHTS = "weights"
_BLOCK = 1024
# Blocks read of a file without a safetensors header.
_BLOCKS = 256
_SECONDS = 10.0


def fields_to_match(config: TrainConfig, mixture: Mixture) -> dict[str, Any]:
    """Fields that must match before a checkpoint is resumed. Plain JSON.

    The number of steps may change when the learning rate does not depend on it. Base weights count
    only when some of them are frozen. Reads a few megabytes of a model's folder, or asks the hub.
    """
    rules = config.train
    values = rules.model_dump(mode="json", exclude=_FREE)
    if rules.schedule == "constant":
        del values["steps"]
    frozen = rules.adapter is not None or bool(rules.frozen)
    return values | {
        "stage": config.stage,
        "mixture": mixture.manifest.fingerprint,
        "exclude": sorted(config.exclude),
        "only": sorted(config.only),
        _WEIGHTS: base_weights(rules.model) if frozen else {},
    }


def check_match(saved: dict[str, Any], now: dict[str, Any], run: str) -> None:
    """Raises UsageError that names the fields that differ."""
    names = sorted((saved.keys() | now.keys()) - {_WEIGHTS})
    changed = [f"{name} was {saved.get(name)!r}, is {now.get(name)!r}"
               for name in names if saved.get(name) != now.get(name)]  # fmt: skip
    changed += _changed_weights(saved.get(_WEIGHTS, {}), now.get(_WEIGHTS, {}))
    if changed:
        raise UsageError(
            f"{run} has a checkpoint of another recipe: {', '.join(changed)}; "
            "set it back, or give --output"
        )


def _changed_weights(saved: dict[str, str | None], now: dict[str, str | None]) -> list[str]:
    """Models whose weights are known on both sides and differ."""
    return [
        f"the weights of {name} were {saved[name]}, are {now[name]}"
        for name in sorted(saved.keys() & now.keys())
        if None not in (saved[name], now[name]) and saved[name] != now[name]
    ]


def base_weights(rules: ModelRules) -> dict[str, str | None]:
    """A digest or commit for each folder or hub id that a model is made of.

    None if unknown: the hub cannot be reached, and the model is not in the local cache. A model
    that does not exist is reported when it is loaded.
    """
    names = (rules.name, rules.vision, rules.language)
    return {
        name: _digest(Path(name)) if os.path.isdir(name) else _commit(name)
        for name in names
        if name is not None and name != "tiny"
    }


def _digest(folder: Path) -> str:
    """16 hex digits."""
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.bin")]
    return files_digest(sorted([*weights, *folder.glob("config.json")]))


def files_digest(paths: Iterable[Path]) -> str:
    """16 hex digits of JSON files, and of samples of all other files."""
    found = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        found.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            if path.suffix == ".json":
                found.update(file.read())
            else:
                _add_weights(found, file, size)
    return found.hexdigest()[:16]


def _add_weights(found: hashlib._Hash, file: BinaryIO, size: int) -> None:
    header, places = _sample(file, size)
    found.update(header)
    for place in places:
        file.seek(place)
        found.update(file.read(_BLOCK))


def _sample(file: BinaryIO, size: int) -> tuple[bytes, list[int]]:
    """A safetensors header and where to read in each tensor; without a header, even places."""
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
    """The commit that would be loaded now: the hub's, or the cached one when offline."""
    repo, revision = split_revision(name)
    use_client()
    try:
        # Read here, because the library reads it only once, when it is imported.
        hub = huggingface_hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
        return hub.model_info(repo, revision=revision, timeout=_SECONDS).sha
    except Exception:  # of many types; loading the model reports what is wrong
        return _cached_commit(repo, revision)


def _cached_commit(repo: str, revision: str | None) -> str | None:
    try:
        path = huggingface_hub.try_to_load_from_cache(repo, "config.json", revision=revision)
    except ValueError:  # not a valid repository name
        return None
    return Path(path).parent.name if isinstance(path, str) else None
