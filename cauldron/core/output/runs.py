"""The folder of a training run, for readers that do not load torch.

RUN/config.json            the run's configuration
RUN/lineage.json           every training that its weights went through
RUN/model/exported.json    of the exported model; has the lineage too, for copies of the model
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from cauldron.core import storage
from cauldron.core.errors import CauldronError

CONFIG = "config.json"
LINEAGE = "lineage.json"
EXPORTED = "exported.json"
_FIELDS = {"stage", "mixture", "train"}
# A model that nobody has trained.
_RANDOM = "tiny"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Training(_Frozen):
    """One training.

    Attributes:
        stage: of the recipe.
        mixture: its folder; absolute, or an address.
        fingerprint: of the mixture as the run saw it; None if unknown.
        only, exclude: sources, as the run was told.
    """

    stage: str
    mixture: str
    fingerprint: str | None = None
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class Lineage(_Frozen):
    """What a model was trained on.

    Attributes:
        trainings: the first one first.
        base: the model that the first one started from, of which nothing is known. None if that
            one had random weights, or was composed of a vision and a language model.
    """

    trainings: tuple[Training, ...]
    base: str | None = None

    def and_then(self, training: Training) -> Lineage:
        return self.model_copy(update={"trainings": (*self.trainings, training)})


def read_run(folder: str) -> dict[str, Any] | None:
    """The configuration of a run of ``cauldron train``; None if the folder is no run."""
    path = Path(folder) / CONFIG
    if not path.is_file():
        return None
    values = storage.read_json(str(path))
    return values if isinstance(values, dict) and values.keys() >= _FIELDS else None


def lineage_of(model: str) -> Lineage | None:
    """The lineage of a run's folder or of an exported model; None for other models.

    Of a run of a version that wrote none, only its own configuration is known.

    Raises:
        CauldronError: a file that tells it is damaged.
    """
    path = Path(model)
    told = _told(path / LINEAGE) or _told(path / EXPORTED, "lineage")
    if told is not None:
        return told
    for folder in (path, path.resolve().parent):
        config = read_run(str(folder)) if folder.is_dir() else None
        if config is not None:
            return _of_config(config, folder)
    return None


def base_lineage(name: str | None) -> Lineage:
    """The lineage of the model that a run starts from.

    Args:
        name: folder or hub id; None if it is composed of two models.
    """
    if name is None or name == _RANDOM:
        return Lineage(trainings=())
    return lineage_of(name) or Lineage(trainings=(), base=name)


def whole_path(folder: str) -> str:
    """A folder's path that holds in any working directory."""
    return os.path.abspath(folder) if storage.is_local(folder) else folder


def _told(path: Path, field: str | None = None) -> Lineage | None:
    """What a file says; None if it is missing, or of a version without lineage."""
    if not path.is_file():
        return None
    try:
        values = storage.read_json(str(path))
        found = values if field is None else values.get(field)
        return None if found is None else Lineage.model_validate(found)
    except (ValueError, AttributeError, ValidationError):
        raise CauldronError(
            f"{path} does not tell what the model was trained on; run `cauldron train` again"
        ) from None


def _of_config(config: dict[str, Any], folder: Path) -> Lineage:
    name = (config["train"].get("model") or {}).get("name")
    training = Training(
        stage=config["stage"],
        mixture=whole_path(config["mixture"]),
        fingerprint=_mixture_of(folder),
        only=tuple(config.get("only", ())),
        exclude=tuple(config.get("exclude", ())),
    )
    return Lineage(trainings=(training,), base=None if name == _RANDOM else name)


def _mixture_of(folder: Path) -> str | None:
    """The fingerprint of the mixture that a run's last checkpoint was trained on; None without."""
    saved = sorted(folder.glob("checkpoints/step-*/run.json"))
    if not saved:
        return None
    fields = storage.read_json(str(saved[-1])).get("decides", {})
    found = fields.get("mixture")
    return found if isinstance(found, str) else None
