"""What decides a run's result, so that a checkpoint is not gone on from as something else."""

from __future__ import annotations

from typing import Any

from cauldron.training.base_model import base_weights
from cauldron.training.config import TrainConfig

from cauldron.core.errors import UsageError
from cauldron.core.mixture import Mixture

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
_WEIGHTS = "weights"


def decides(config: TrainConfig, mixture: Mixture) -> dict[str, Any]:
    """Plain JSON. More steps are no other run where the learning rate does not depend on them.

    The weights that the run began with count where some of them stay as they are: those are in no
    checkpoint. Reads a few megabytes of a model's folder, or asks the hub.
    """
    rules = config.train
    values = rules.model_dump(mode="json", exclude=_FREE)
    if rules.schedule == "constant":
        del values["steps"]
    kept = rules.adapter is not None or bool(rules.frozen)
    return values | {
        "stage": config.stage,
        "mixture": mixture.manifest.fingerprint,
        "exclude": sorted(config.exclude),
        "only": sorted(config.only),
        _WEIGHTS: base_weights(rules.model) if kept else {},
    }


def check_same(saved: dict[str, Any], now: dict[str, Any], run: str) -> None:
    """Raises UsageError naming the fields that differ."""
    names = sorted((saved.keys() | now.keys()) - {_WEIGHTS})
    said = [f"{name} was {saved.get(name)!r}, is {now.get(name)!r}"
            for name in names if saved.get(name) != now.get(name)]  # fmt: skip
    said += _other_weights(saved.get(_WEIGHTS, {}), now.get(_WEIGHTS, {}))
    if said:
        raise UsageError(
            f"{run} has a checkpoint of another recipe: {', '.join(said)}; "
            "set it back, or give --output"
        )


def _other_weights(saved: dict[str, str | None], now: dict[str, str | None]) -> list[str]:
    """Of models that both name and both could look at."""
    return [
        f"the weights of {name} were {saved[name]}, are {now[name]}"
        for name in sorted(saved.keys() & now.keys())
        if None not in (saved[name], now[name]) and saved[name] != now[name]
    ]
