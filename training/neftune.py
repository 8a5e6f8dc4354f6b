"""NEFTune: noise on the input embeddings (Jain et al., arXiv 2310.05914).

Uniform in ±alpha / sqrt(tokens x width), on the merged embeddings of text and images, as in the
authors' code (M4, modeling_vmistral.py). The noise of a sequence follows from the run's seed and
the sequence's place, so a resumed run draws the same.
"""

from __future__ import annotations

import torch
from torch import Tensor


def with_noise(embeddings: Tensor, alpha: float, seed: int) -> Tensor:
    """Add the noise.

    Args:
        embeddings: shape (1, tokens, width).
        seed: of this sequence.
    """
    generator = torch.Generator(embeddings.device).manual_seed(seed)
    noise = torch.rand(
        embeddings.shape, generator=generator, device=embeddings.device, dtype=torch.float32
    )
    size = alpha / (embeddings.shape[1] * embeddings.shape[2]) ** 0.5
    found: Tensor = embeddings + ((2 * noise - 1) * size).to(embeddings.dtype)
    return found
