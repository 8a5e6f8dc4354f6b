"""The folder of a training run, for readers that do not load torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cauldron.core import storage

CONFIG = "config.json"
_FIELDS = {"stage", "mixture", "train"}


def read_run(folder: str) -> dict[str, Any] | None:
    """The configuration of a run of ``cauldron train``; None if the folder is no run."""
    path = Path(folder) / CONFIG
    if not path.is_file():
        return None
    values = storage.read_json(str(path))
    return values if isinstance(values, dict) and values.keys() >= _FIELDS else None


def mixture_of_run(folder: str) -> str | None:
    """The fingerprint of the mixture that a run's last checkpoint was trained on; None without."""
    saved = sorted(Path(folder).glob("checkpoints/step-*/run.json"))
    if not saved:
        return None
    fields = storage.read_json(str(saved[-1])).get("decides", {})
    found = fields.get("mixture")
    return found if isinstance(found, str) else None
