"""``RUN/model``: exported again when the run has gone further, or in another form.

The folder holds what it was made of in ``exported.json``. It is swapped whole: a kill in the middle
leaves the old one, the new one, or (between two renames) none, which the same command makes again.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from cauldron.training.config import TrainConfig
from cauldron.training.export import export
from cauldron.training.saved import Saved

from cauldron.core import storage

NAME = "model"
MADE_OF = "exported.json"


def export_run(config: TrainConfig, last: Saved) -> tuple[Path, bool]:
    """The run's model, made of its last checkpoint; and whether it was made now."""
    run = Path(config.output)
    target, new, old = run / NAME, run / f"{NAME}.new", run / f"{NAME}.old"
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    wanted = _made_of(config, last)
    if _found(target) == wanted:
        return target, False
    export(config, last.folder, new)
    storage.write_json(str(new / MADE_OF), wanted)
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return target, True


def _made_of(config: TrainConfig, last: Saved) -> dict[str, Any]:
    rules = config.train
    return {"step": last.step, "export": "whole" if rules.adapter is None else rules.export}


def _found(target: Path) -> dict[str, Any] | None:
    """Of a folder of an earlier version, which did not say, nothing is known."""
    try:
        found: dict[str, Any] = storage.read_json(str(target / MADE_OF))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found
