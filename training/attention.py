"""Attention for packed sequences: a document sees itself and nothing else.

transformers has several ways to say this, and most fail in silence: with `use_cache` left on or a
mask of ones it falls back to plain causal attention over the whole pack, and the loss still falls.
Here document boundaries reach one attention function, which cannot do anything but respect them:
PyTorch's own variable-length FlashAttention on CUDA, a loop over documents elsewhere.
"""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
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
        max_length_q: of the longest document.

    Returns:
        shape (1, tokens, heads, width), and no weights.
    """
    assert attention_mask is None, "packed sequences take boundaries, not masks"
    assert cu_seq_lens_q is not None, "packed attention without boundaries would mix documents"
    assert max_length_q is not None
    assert query.shape[0] == 1
    assert dropout == 0.0, "attention dropout is not offered"
    # FlashAttention knows no fp32.
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
    from torch.nn.attention.varlen import varlen_attn

    tokens = [x[0].transpose(0, 1) for x in (query, key, value)]
    options = dict(_varlen_options(query.shape[1] != key.shape[1]))
    if scaling is not None and "scale" in inspect.signature(varlen_attn).parameters:
        options["scale"] = scaling
    elif scaling is not None:
        tokens[0] = tokens[0] * (scaling * query.shape[-1] ** 0.5)
    if "repeat" in options:
        groups = query.shape[1] // key.shape[1]
        tokens[1:] = [x.repeat_interleave(groups, dim=1) for x in tokens[1:]]
        del options["repeat"]
    attend: Any = varlen_attn
    found: Tensor = attend(*tokens, boundaries, boundaries, longest, longest, **options)
    return found.unsqueeze(0)


@lru_cache(maxsize=2)
def _varlen_options(shared: bool) -> tuple[tuple[str, Any], ...]:
    """How this release of PyTorch spells "causal" and "fewer key heads"."""
    from torch.nn.attention.varlen import varlen_attn

    known = inspect.signature(varlen_attn).parameters
    options: dict[str, Any] = {}
    if "window_size" in known:
        options["window_size"] = (-1, 0)
    else:
        options["is_causal"] = True
    if shared:
        options["enable_gqa" if "enable_gqa" in known else "repeat"] = True
    return tuple(options.items())


def use_packed_attention(language: Any) -> None:
    """Make a transformers language model attend by boundaries."""
    AttentionInterface.register(NAME, packed_attention)
    language.set_attn_implementation(NAME)
