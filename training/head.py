"""The loss, without ever holding all logits.

A sequence of 10,240 tokens and a vocabulary of 128,256 make 4.9 GiB of logits in fp32, and most
belong to positions that nobody asks about. The head runs on supervised positions only, some at a
time, and its logits are computed again in the backward pass.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint


def _chunk(head: nn.Module, hidden: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(head(hidden).float(), targets, reduction="none")


def token_losses(head: nn.Module, hidden: Tensor, targets: Tensor, chunk: int) -> Tensor:
    """The loss of each supervised position, in nats.

    Args:
        head: hidden states to logits.
        hidden: shape (positions, width), of supervised positions alone.
        targets: shape (positions,).
        chunk: positions whose logits exist at a time.

    Returns:
        float32, shape (positions,).
    """
    parts = [
        checkpoint(_chunk, head, part, wanted, use_reentrant=False)
        for part, wanted in zip(
            torch.split(hidden, chunk), torch.split(targets, chunk), strict=True
        )
    ]
    return torch.cat(parts)
