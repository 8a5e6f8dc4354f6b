"""Checkpoints: written beside the training, the last few kept; `saved` tells how they lie.

Weights that do not train are not in it: they come from where they came from first.
"""

from __future__ import annotations

import shutil
import warnings
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import torch
from cauldron.training.parallel import Ranks
from cauldron.training.saved import FOLDER, RUN, Saved, whole_folders
from torch import nn
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.checkpoint.state_dict_loader import load as dcp_load
from torch.distributed.checkpoint.state_dict_saver import async_save

from cauldron.core import storage

_MOMENTS = ("exp_avg", "exp_avg_sq")


def training_state(
    parameters: dict[str, nn.Parameter], optimizer: torch.optim.AdamW | None
) -> dict[str, Any]:
    """Weights, and with an optimizer their moments, under the names they are stored by.

    The tensors are those in use: loading into them is loading into the run.
    """
    state: dict[str, Any] = {f"model.{name}": p.detach() for name, p in parameters.items()}
    if optimizer is not None:
        for name, parameter in parameters.items():
            moments = optimizer.state[parameter]
            state |= {f"optimizer.{name}.{moment}": moments[moment] for moment in _MOMENTS}
    return state


def start_moments(
    parameters: dict[str, nn.Parameter], optimizer: torch.optim.AdamW, step: int
) -> None:
    """Make the optimizer's state, as after `step` steps, to be loaded into."""
    fused = bool(optimizer.defaults["fused"])
    for parameter in parameters.values():
        device = parameter.device if fused else torch.device("cpu")
        optimizer.state[parameter] = {
            "step": torch.tensor(float(step), device=device),
            **{moment: torch.zeros_like(parameter) for moment in _MOMENTS},
        }


def load(
    saved: Saved, parameters: dict[str, nn.Parameter], optimizer: torch.optim.AdamW, ranks: Ranks
) -> None:
    """Take weights and moments over, on any number of ranks."""
    start_moments(parameters, optimizer, saved.step)
    state = training_state(parameters, optimizer)
    dcp_load(state, checkpoint_id=str(saved.folder), process_group=ranks.saving)


def load_weights(folder: Path, parameters: dict[str, nn.Parameter]) -> None:
    """Weights alone, into whole tensors on the CPU; needs no other rank."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        dcp_load(training_state(parameters, None), checkpoint_id=str(folder), no_dist=True)


def _stager(device: torch.device) -> DefaultStager | None:
    """What copies a GPU's state to pinned memory; None elsewhere: torch's own copy will do.

    Copies run beside each other at the full rate of the bus, and all are done before training goes
    on: the next step changes the tensors. The memory is kept for the next checkpoint, since pinning
    takes longer than the copy.
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


class Checkpoints:
    """Writes them in the background, one at a time. To be closed.

    Args:
        keep: how many stay.
        last: step of the newest one on disk, 0 without.
    """

    def __init__(
        self, run: Path, ranks: Ranks, decides: dict[str, Any], keep: int, last: int
    ) -> None:
        self._folder = run / FOLDER
        self._ranks, self._decides, self._keep = ranks, decides, keep
        self._last = last
        self._writing: tuple[Future[Any], Path, dict[str, Any]] | None = None
        self._stager = _stager(ranks.device)

    def save(self, step: int, position: dict[str, Any], state: dict[str, Any]) -> None:
        """Copy the state to memory now and write it later, unless this step is saved already."""
        # Before anything is copied: to the memory of the last one, where memory is kept.
        self.finish()
        # Not by what lies in the folder: ranks may see that differently, and all must save or none.
        if step == self._last:
            return
        self._last = step
        run = {
            "step": step,
            "position": position,
            "decides": self._decides,
            "ranks": self._ranks.world,
        }
        half = self._folder / f"step-{step:06d}.tmp"
        future = async_save(
            state,
            checkpoint_id=str(half),
            process_group=self._ranks.saving,
            async_stager=self._stager,
        )
        assert isinstance(future, Future)
        self._writing = (future, half, run)

    def poll(self) -> None:
        """Give a checkpoint its name once all of it is written; raises what its writing raised."""
        if self._writing is not None and self._writing[0].done():
            self.finish()

    def finish(self) -> None:
        """Wait until the checkpoint in the making has its name."""
        if self._writing is None:
            return
        future, half, run = self._writing
        future.result()
        self._writing = None
        if self._ranks.first:
            storage.write_json(str(half / RUN), run)
            half.rename(half.with_suffix(""))
            for old in whole_folders(self._folder)[: -self._keep]:
                shutil.rmtree(old)

    def close(self) -> None:
        """Give the memory back. What is still being written must be finished before."""
        if self._stager is not None:
            self._stager.close()
