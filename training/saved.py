"""Checkpoints on disk: whole or not there.

    RUN/checkpoints/step-000250/      weights that train, and their Adam moments, by all ranks
                               run.json   step, data position, what decides the run; written last

A folder is ``….tmp`` until everything is in it. What a killed run leaves is removed at the next
start. No torch here: whether a run can go on is told before it is imported.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cauldron.core import storage

FOLDER = "checkpoints"
RUN = "run.json"
_NAME = re.compile(r"step-(\d{6,})")


@dataclass(frozen=True)
class Saved:
    """A whole checkpoint: its folder, and what its ``run.json`` says.

    Attributes:
        step: optimizer steps done.
        position: of the loader.
        decides: what a run that goes on from here must agree on; see `cauldron.training.identity`.
    """

    folder: Path
    step: int
    position: dict[str, Any]
    decides: dict[str, Any]


def newest(run: Path) -> Saved | None:
    """The last whole checkpoint of a run."""
    whole = whole_folders(run / FOLDER)
    return _read(whole[-1]) if whole else None


def at_step(run: Path, step: int) -> Saved | None:
    """The checkpoint of a step, where it is whole."""
    folder = run / FOLDER / f"step-{step:06d}"
    return _read(folder) if (folder / RUN).exists() else None


def _read(folder: Path) -> Saved:
    values = storage.read_json(str(folder / RUN))
    return Saved(folder, values["step"], values["position"], values["decides"])


def whole_folders(folder: Path) -> list[Path]:
    """Of the checkpoints in a folder, the oldest first."""
    found = [path for path in folder.glob("step-*") if _NAME.fullmatch(path.name)]
    return sorted((p for p in found if (p / RUN).exists()), key=lambda p: int(p.name[5:]))


def remove_leftovers(run: Path) -> None:
    """What a killed run left half written. Only one rank may, before any writes."""
    whole = set(whole_folders(run / FOLDER))
    for path in (run / FOLDER).glob("step-*"):
        if path not in whole:
            shutil.rmtree(path)
