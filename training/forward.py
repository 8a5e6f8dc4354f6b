"""One packed sequence through the network to the sum of its loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from cauldron.training.head import token_losses
from cauldron.training.neftune import with_noise
from cauldron.training.vision import image_features
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Sequence:
    """A packed sequence on the device.

    Attributes:
        input_ids, labels, position_ids: int64, shape (tokens,). A label is the token that should
            follow, or -100.
        boundaries: int32, shape (documents + 1,), cumulative lengths.
        longest: tokens of the longest document.
        tiles: uint8, shape (tiles, 3, side, side); may be empty.
        image_positions: int64, places of the image tokens in order.
        supervised: int64, places whose label is not -100. Found on the CPU: asking the device how
            many there are would hold it up in the middle of each sequence.
        noise_seed: for NEFTune.
    """

    input_ids: Tensor
    labels: Tensor
    position_ids: Tensor
    boundaries: Tensor
    longest: int
    tiles: Tensor
    image_positions: Tensor
    supervised: Tensor
    noise_seed: int = 0


@dataclass(frozen=True, slots=True)
class Losses:
    """What a sequence cost.

    Attributes:
        total: sum over supervised tokens, with its graph.
        tokens: float32, shape (supervised,), detached; `documents` tells whose each is.
    """

    total: Tensor
    tokens: Tensor
    documents: Tensor


def sequence_losses(
    model: Any,
    sequence: Sequence,
    *,
    tile: int,
    chunk: int,
    neftune_alpha: float | None = None,
) -> Losses:
    """Forward one sequence.

    A rank whose sequence has no image runs the vision tower on one empty tile and counts it as
    nothing: all ranks must take part in every gathering of weights, or the others wait for ever.

    Args:
        model: ``Idefics3ForConditionalGeneration``, prepared by `cauldron.training.model.prepare`.
        tile: side of a tile in pixels.
    """
    inner = model.model
    embedded: Tensor = inner.get_input_embeddings()(sequence.input_ids)
    features = _features(inner, sequence, tile, embedded.dtype)
    if len(sequence.image_positions):
        embedded = embedded.index_copy(0, sequence.image_positions, features)
    else:
        # Multiplied by nothing, an overflow in it would still be none of ours.
        embedded = embedded + torch.nan_to_num(features[:1]) * 0.0
    inputs = embedded.unsqueeze(0)
    if neftune_alpha is not None:
        inputs = with_noise(inputs, neftune_alpha, sequence.noise_seed)
    hidden = _language(inner.text_model, inputs, sequence)
    supervised = sequence.supervised
    losses = token_losses(model.lm_head, hidden[supervised], sequence.labels[supervised], chunk)
    documents = torch.searchsorted(sequence.boundaries[1:].long(), supervised, right=True)
    return Losses(losses.sum(), losses.detach(), documents)


def _features(inner: Any, sequence: Sequence, tile: int, dtype: torch.dtype) -> Tensor:
    tiles = sequence.tiles
    if not len(tiles):
        tiles = torch.zeros((1, 3, tile, tile), dtype=torch.uint8, device=tiles.device)
    return image_features(inner, tiles, dtype)


def _language(language: nn.Module, inputs: Tensor, sequence: Sequence) -> Tensor:
    found = language(
        inputs_embeds=inputs,
        position_ids=sequence.position_ids.unsqueeze(0),
        # A cache is what makes transformers forget the boundaries of documents.
        use_cache=False,
        cu_seq_lens_q=sequence.boundaries,
        cu_seq_lens_k=sequence.boundaries,
        max_length_q=sequence.longest,
        max_length_k=sequence.longest,
    )
    hidden: Tensor = found.last_hidden_state[0]
    return hidden
