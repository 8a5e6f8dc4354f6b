"""What decides a run's result, so that a checkpoint is not gone on from as something else."""

from __future__ import annotations

from typing import Any

from cauldron.errors import UsageError
from cauldron.mixture import Mixture
from training.config import TrainConfig

# Fields that change how fast or where, not what is learned.
_FREE = {
    "workers",
    "max_bad_rows",
    "checkpoint_every",
    "keep",
    "shard",
    "recompute",
    "compile",
    "head_chunk",
    "tensorboard",
    "wandb_project",
    "export",
    "any_tokenizer",
}


def decides(config: TrainConfig, mixture: Mixture) -> dict[str, Any]:
    """Plain JSON. More steps are no other run where the learning rate does not depend on them."""
    values = config.train.model_dump(mode="json", exclude=_FREE)
    if config.train.schedule == "constant":
        del values["steps"]
    return values | {
        "stage": config.stage,
        "mixture": mixture.manifest.fingerprint,
        "exclude": sorted(config.exclude),
        "only": sorted(config.only),
    }


def check_same(saved: dict[str, Any], now: dict[str, Any], run: str) -> None:
    """Raises UsageError naming the fields that differ."""
    names = sorted(name for name in saved.keys() | now.keys() if saved.get(name) != now.get(name))
    if names:
        said = ", ".join(f"{name} was {saved.get(name)!r}, is {now.get(name)!r}" for name in names)
        raise UsageError(
            f"{run} has a checkpoint of another recipe: {said}; set it back, or give --output"
        )
