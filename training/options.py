"""From what was typed to the configuration of a run. No torch here, as in `config`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cauldron.training.config import TrainConfig, stage_rules

from cauldron.core import storage
from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.manifests import mixture_folder
from cauldron.core.mixture import load_mixture

OUTPUT = "./cauldron-out"

Rules = dict[str, dict[str, Any]]

# What `--model tiny` changes of a stage, so that it runs on a laptop in under a minute and learns
# something: adapters on random weights would not.
TINY: dict[str, Any] = {
    "adapter": None,
    "frozen": [],
    "warmup_steps": 0,
    "steps": 20,
    "batch": 4,
    "sequence_length": 2048,
    "learning_rate": 5e-3,
    "workers": 0,
    "window": 64,
    "checkpoint_every": 10,
}
TINY_TILE = 56


@dataclass(frozen=True)
class TrainOptions:
    """What a command line says; None and empty: as the recipe or the defaults have it.

    Attributes:
        rules: the ``training`` section of the recipe that was named; None: of the one that the
            mixture was built with.
        packaged: the same of the packaged recipe, for a mixture that is not there.
        changes: ``field=value`` of `--set`.
    """

    stage: str
    rules: Rules | None = None
    packaged: Rules = field(default_factory=dict)
    mixture: str | None = None
    output: str | None = None
    model: str | None = None
    steps: int | None = None
    changes: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


def resolve(options: TrainOptions) -> TrainConfig:
    """Raises UsageError for an unknown stage, field or value."""
    mixture = options.mixture or mixture_folder(OUTPUT, options.stage)
    rules = options.rules if options.rules is not None else _built_with(mixture) or options.packaged
    section = {name: dict(values) for name, values in rules.items()}
    if options.stage in section:
        values = section[options.stage]
        if options.model is not None:
            values["model"] = {"name": options.model}
        if _is_tiny(values, options.changes):
            values |= TINY | {"longest_edge": _tiny_edge(values.get("longest_edge", 1820))}
        if options.steps is not None:
            values["steps"] = options.steps
    train = stage_rules(section, options.stage, options.changes)
    output = options.output or storage.join(OUTPUT, "runs", options.stage)
    if not storage.is_local(output):
        raise UsageError(f"--output {output}: a run's folder must be on a disk of this machine")
    return TrainConfig(
        stage=options.stage,
        mixture=mixture,
        output=str(Path(output)),
        exclude=options.exclude,
        only=options.only,
        train=train,
    )


def _built_with(mixture: str) -> Rules | None:
    """The training section of a mixture's recipe; None if there is no mixture."""
    try:
        return load_mixture(mixture).manifest.recipe.get("training")
    except CauldronError:
        # Told when the mixture is needed; --print-config does not need it.
        return None


def _is_tiny(values: dict[str, Any], changes: tuple[str, ...]) -> bool:
    return (values.get("model") or {}).get("name") == "tiny" or "model.name=tiny" in changes


def _tiny_edge(edge: Any) -> Any:
    """As many tiles as the large model has, of the tiny one's size. A schedule ends up there."""
    pixels = edge if isinstance(edge, int) else edge[-1][1]
    return -(-pixels * TINY_TILE // 364)
