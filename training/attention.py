"""Attention for packs: a document attends only to itself.

transformers has several ways to do this, and most fail silently: with `use_cache` on or a mask of
ones it falls back to causal attention over the whole pack, and the loss still falls. Here document
boundaries are passed to one attention function that always uses them: PyTorch's variable-length
FlashAttention on CUDA, a loop over documents elsewhere.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "cauldron_packed"


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention inside each document.

    Args:
        query: shape (1, heads, tokens, width); key and value may have fewer heads.
        attention_mask: must be None.
        cu_seq_lens_q: int32, shape (documents + 1,), first 0 and last the number of tokens.
        max_length_q: tokens of the longest document.

    Returns:
        The output, shape (1, tokens, heads, width), and None for the attention weights.
    """
    assert attention_mask is None, "packs take boundaries, not masks"
    assert cu_seq_lens_q is not None, "packed attention without boundaries would mix documents"
    assert max_length_q is not None
    assert query.shape[0] == 1
    assert dropout == 0.0, "attention dropout is not offered"
    # FlashAttention does not support fp32.
    if query.is_cuda and query.dtype != torch.float32:
        return _varlen(query, key, value, scaling, cu_seq_lens_q, max_length_q), None
    return _documents(query, key, value, scaling, cu_seq_lens_q), None


def _documents(
    query: Tensor, key: Tensor, value: Tensor, scaling: float | None, boundaries: Tensor
) -> Tensor:
    lengths: list[int] = torch.diff(boundaries).tolist()
    shared = query.shape[1] != key.shape[1]
    parts = [
        scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling, enable_gqa=shared)
        for q, k, v in zip(
            *(torch.split(x, lengths, dim=2) for x in (query, key, value)), strict=True
        )
    ]
    return torch.cat(parts, dim=2).transpose(1, 2)


def _varlen(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float | None,
    boundaries: Tensor,
    longest: int,
) -> Tensor:
    # num_splits selects FlashAttention. On Hopper torch would prefer cuDNN, which compiles a plan
    # for every new number of documents and longest document, so for every pack (pytorch#190388).
    # Without splits a document's result does not depend on the rest of the pack.
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    found: Any = varlen_attn(
        q,
        k,
        v,
        cu_seq_q=boundaries,
        cu_seq_k=boundaries,
        max_q=longest,
        max_k=longest,
        scale=scaling,
        window_size=(-1, 0),
        enable_gqa=query.shape[1] != key.shape[1],
        num_splits=1,
    )
    return cast(Tensor, found).unsqueeze(0)


def use_packed_attention(language: Any) -> None:
    """Make a transformers language model use `packed_attention`."""
    AttentionInterface.register(NAME, packed_attention)
    language.set_attn_implementation(NAME)
