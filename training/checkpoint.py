"""Checkpoints: written in the background; the last few are kept.

    RUN/checkpoints/step-000250/      weights that train, and their Adam moments, by all ranks
                               run.json   step, data position, fields that must match; written last

A folder is named ``….tmp`` until it is complete. The next start removes incomplete ones. Frozen
weights are not saved: they are loaded from the base model again.
"""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from cauldron.training.disk import cause_of_failed_write, not_written
from cauldron.training.network.parallel import Ranks
from cauldron.training.saved_metadata import Reader, read_metadata
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.checkpoint.state_dict_loader import load as dcp_load
from torch.distributed.checkpoint.state_dict_saver import async_save

from cauldron.core import storage

_FOLDER = "checkpoints"
_RUN = "run.json"
_NAME = re.compile(r"step-(\d{6,})")
_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint: its folder, and the content of its ``run.json``.

    Attributes:
        step: number of optimizer steps done.
        position: state of the loader.
        must_match: fields that must match before it is resumed; see `cauldron.training.resume`.
    """

    folder: Path
    step: int
    position: dict[str, Any]
    must_match: dict[str, Any]


def newest_checkpoint(run: Path) -> Checkpoint | None:
    """The last complete checkpoint of a run."""
    folders = _complete_folders(run / _FOLDER)
    return _read(folders[-1]) if folders else None


def checkpoint_at(run: Path, step: int) -> Checkpoint | None:
    """The checkpoint of a step, if it is complete."""
    folder = run / _FOLDER / f"step-{step:06d}"
    return _read(folder) if (folder / _RUN).exists() else None


def _read(folder: Path) -> Checkpoint:
    values = storage.read_json(str(folder / _RUN))
    return Checkpoint(folder, values["step"], values["position"], values["decides"])


def _complete_folders(folder: Path) -> list[Path]:
    """Complete checkpoints, the oldest first."""
    found = [path for path in folder.glob("step-*") if _NAME.fullmatch(path.name)]
    return sorted((p for p in found if (p / _RUN).exists()), key=lambda p: int(p.name[5:]))


def remove_incomplete(run: Path) -> None:
    """Delete incomplete checkpoints of a killed run. To be called by one rank, before any saves."""
    complete = set(_complete_folders(run / _FOLDER))
    for path in (run / _FOLDER).glob("step-*"):
        if path not in complete:
            shutil.rmtree(path)


def training_state(
    parameters: dict[str, nn.Parameter], optimizer: torch.optim.AdamW | None
) -> dict[str, Any]:
    """Weights, and with an optimizer their moments, by the names they are saved under.

    The tensors are not copies: loading into them changes the run.
    """
    state: dict[str, Any] = {f"model.{name}": p.detach() for name, p in parameters.items()}
    if optimizer is not None:
        for name, parameter in parameters.items():
            moments = optimizer.state[parameter]
            state |= {f"optimizer.{name}.{moment}": moments[moment] for moment in _MOMENTS}
    return state


def load(
    saved: Checkpoint,
    parameters: dict[str, nn.Parameter],
    optimizer: torch.optim.AdamW,
    ranks: Ranks,
) -> None:
    """Load weights and moments, on any number of ranks."""
    _init_moments(parameters, optimizer, saved.step)
    state = training_state(parameters, optimizer)
    _load(state, saved.folder, process_group=ranks.saving)


def _init_moments(
    parameters: dict[str, nn.Parameter], optimizer: torch.optim.AdamW, step: int
) -> None:
    """Create the optimizer's state after `step` steps, to be loaded into."""
    fused = bool(optimizer.defaults["fused"])
    for parameter in parameters.values():
        device = parameter.device if fused else torch.device("cpu")
        optimizer.state[parameter] = {
            "step": torch.tensor(float(step), device=device),
            **{moment: torch.zeros_like(parameter) for moment in _MOMENTS},
        }


def load_weights(folder: Path, parameters: dict[str, nn.Parameter]) -> None:
    """Load weights only, into whole tensors on the CPU, by one rank."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        _load(training_state(parameters, None), folder, no_dist=True)


def _load(state: dict[str, Any], folder: Path, **how: Any) -> None:
    # Torch wraps an error of its reader in its own many lines, so mistakes are found before it.
    read_metadata(folder / ".metadata")
    dcp_load(state, storage_reader=Reader(folder), **how)


def _stager(device: torch.device) -> DefaultStager | None:
    """Copies a GPU's state to pinned memory; None on a CPU, where torch's own copy will do.

    Copies run in parallel at the full rate of the bus. They finish before `save` returns,
    since the next step changes the tensors. The memory is kept for the next checkpoint, since
    pinning takes longer than the copy.
    """
    if device.type != "cuda":
        return None
    return DefaultStager(
        StagingOptions(
            use_pinned_memory=True,
            use_shared_memory=False,
            use_async_staging=False,
            use_non_blocking_copy=True,
        )
    )


class CheckpointWriter:
    """Writes checkpoints in the background, one at a time. Must be closed.

    Args:
        must_match: of the first rank; see `Checkpoint`.
        keep: number of checkpoints to keep.
        last: step of the newest one on disk, 0 if there is none.
        saved_one: called by the first rank after each checkpoint.
    """

    def __init__(
        self,
        run: Path,
        ranks: Ranks,
        must_match: dict[str, Any],
        keep: int,
        last: int,
        saved_one: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = run / _FOLDER
        self._ranks, self._must_match, self._keep = ranks, must_match, keep
        self._last, self._saved_one = last, saved_one
        self._writing: tuple[Future[Any], Path, dict[str, Any]] | None = None
        self._stager = _stager(ranks.device)

    def save(self, step: int, position: dict[str, Any], state: dict[str, Any]) -> None:
        """Copy the state to memory now and write it later, unless this step is saved already."""
        # The copy may reuse the memory of the previous checkpoint, which must be written first.
        self.finish()
        # Not decided by looking at the disk: ranks may see it differently, but all must save.
        if step == self._last:
            return
        self._last = step
        run = {
            "step": step,
            "position": position,
            "decides": self._must_match,
            "ranks": self._ranks.world,
        }
        partial = self._folder / f"step-{step:06d}.tmp"
        future = async_save(
            state,
            checkpoint_id=str(partial),
            process_group=self._ranks.saving,
            async_stager=self._stager,
        )
        assert isinstance(future, Future)
        self._writing = (future, partial, run)

    def poll(self) -> None:
        """Complete a checkpoint if all of it is written. Raises the error of a failed write."""
        if self._writing is not None and self._writing[0].done():
            self.finish()

    def finish(self) -> None:
        """Wait until the checkpoint that is being written is complete.

        Raises:
            CauldronError: it could not be written; what was written of it is deleted.
        """
        if self._writing is None:
            return
        future, partial, run = self._writing
        self._writing = None
        try:
            future.result()
            if self._ranks.first:
                self._complete(partial, run)
        except (CheckpointException, OSError) as error:
            reason = cause_of_failed_write(error, partial)
            if self._ranks.first:
                shutil.rmtree(partial, ignore_errors=True)
            raise not_written(partial.with_suffix(""), reason) from error

    def _complete(self, partial: Path, run: dict[str, Any]) -> None:
        storage.write_json(str(partial / _RUN), run)
        partial.rename(partial.with_suffix(""))
        for old in _complete_folders(self._folder)[: -self._keep]:
            shutil.rmtree(old)
        self._saved_one()

    def close(self) -> None:
        """Free the memory. To be called after `finish`."""
        if self._stager is not None:
            self._stager.close()
