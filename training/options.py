"""From what was typed to the configuration of a run. No torch here, as in `config`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cauldron.training.config import TrainConfig, stage_rules

from cauldron import storage
from cauldron.errors import CauldronError, UsageError
from cauldron.manifests import mixture_folder
from cauldron.mixture import load_mixture
from cauldron.recipe import load_recipe

OUTPUT = "./cauldron-out"
DEFAULT_RECIPE = "idefics3"

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
        recipe: name or path; None: the one that the mixture was built with.
        changes: ``field=value`` of `--set`.
    """

    stage: str
    recipe: str | None = None
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
    rules = _built_with(mixture) if options.recipe is None else load_recipe(options.recipe).training
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


def _built_with(mixture: str) -> dict[str, dict[str, Any]]:
    """The training section of a mixture's recipe; of the packaged one where there is none."""
    try:
        found = load_mixture(mixture).manifest.recipe.get("training")
    except CauldronError:
        # Told when the mixture is needed; --print-config does not need it.
        found = None
    return found or load_recipe(DEFAULT_RECIPE).training


def _is_tiny(values: dict[str, Any], changes: tuple[str, ...]) -> bool:
    return (values.get("model") or {}).get("name") == "tiny" or "model.name=tiny" in changes


def _tiny_edge(edge: Any) -> Any:
    """As many tiles as the large model has, of the tiny one's size. A schedule ends up there."""
    pixels = edge if isinstance(edge, int) else edge[-1][1]
    return -(-pixels * TINY_TILE // 364)
