"""What a finished run left: its model and its losses."""

from __future__ import annotations

from pathlib import Path

import torch
from cauldron.training.metrics import read_metrics
from safetensors.torch import load_file

from cauldron.core.stores.mirror import fetched


def check_same_run(address: str, folder: Path) -> None:
    """Fail unless a run in a bucket has the weights and losses of one on disk."""
    with fetched(address) as run:
        ours = load_file(run / "model" / "model.safetensors")
        losses = [line["loss"] for line in read_metrics(run / "metrics.jsonl")]
    theirs = load_file(folder / "model" / "model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert losses == [line["loss"] for line in read_metrics(folder / "metrics.jsonl")]
