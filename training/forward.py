"""The forward pass of one pack: tiles and token ids to the loss of each supervised position."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint


@dataclass(frozen=True, slots=True)
class DevicePack:
    """A pack on the device.

    Attributes:
        input_ids, labels, position_ids: int64, shape (tokens,). A label is the next token, or -100.
        boundaries: int32, shape (documents + 1,), cumulative lengths.
        longest: tokens of the longest document.
        tiles: uint8, shape (tiles, 3, side, side); may be empty.
        image_positions: int64, positions of the image tokens in order.
        supervised: int64, positions whose label is not -100. Computed on the CPU: counting them on
            the device would synchronise with it in the middle of each pack.
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
class PackLosses:
    """The losses of a pack.

    Attributes:
        total: sum over supervised tokens, with its graph.
        tokens: float32, shape (supervised,), detached.
        documents: the document of each supervised token.
    """

    total: Tensor
    tokens: Tensor
    documents: Tensor


def pack_losses(
    model: Any,
    pack: DevicePack,
    *,
    tile: int,
    chunk: int,
    neftune_alpha: float | None = None,
) -> PackLosses:
    """Run one pack forward.

    A rank whose pack has no image runs the vision tower on one empty tile with weight zero: all
    ranks must take part in every all-gather of weights, or the others wait for ever.

    Args:
        model: ``Idefics3ForConditionalGeneration``, loaded by `cauldron.training.model`.
        tile: side of a tile in pixels.
        chunk: see `token_losses`.
    """
    inner = model.model
    embedded: Tensor = inner.get_input_embeddings()(pack.input_ids)
    tiles = pack.tiles
    if not len(tiles):
        tiles = torch.zeros((1, 3, tile, tile), dtype=torch.uint8, device=tiles.device)
    features = image_features(inner, tiles, embedded.dtype)
    if len(pack.image_positions):
        embedded = embedded.index_copy(0, pack.image_positions, features)
    else:
        # nan_to_num: zero times an overflow would be NaN.
        embedded = embedded + torch.nan_to_num(features[:1]) * 0.0
    inputs = embedded.unsqueeze(0)
    if neftune_alpha is not None:
        inputs = add_noise(inputs, neftune_alpha, pack.noise_seed)
    hidden = _language(inner.text_model, inputs, pack)
    supervised = pack.supervised
    losses = token_losses(model.lm_head, hidden[supervised], pack.labels[supervised], chunk)
    documents = torch.searchsorted(pack.boundaries[1:].long(), supervised, right=True)
    return PackLosses(losses.sum(), losses.detach(), documents)


def _language(language: nn.Module, inputs: Tensor, pack: DevicePack) -> Tensor:
    found = language(
        inputs_embeds=inputs,
        position_ids=pack.position_ids.unsqueeze(0),
        # With a cache transformers ignores document boundaries.
        use_cache=False,
        cu_seq_lens_q=pack.boundaries,
        cu_seq_lens_k=pack.boundaries,
        max_length_q=pack.longest,
        max_length_k=pack.longest,
    )
    hidden: Tensor = found.last_hidden_state[0]
    return hidden


def image_features(model: Any, tiles: Tensor, dtype: torch.dtype) -> Tensor:
    """The language model's inputs for the image tokens, shape (tiles * tokens, hidden).

    Args:
        model: an ``Idefics3Model`` whose vision model has the forward of `use_fast_vision`.
        tiles: uint8, shape (tiles, 3, side, side).
    """
    hidden = model.vision_model(pixel_values=normalise(tiles, dtype))
    features: Tensor = model.connector(hidden)
    return features.flatten(0, 1)


def normalise(tiles: Tensor, dtype: torch.dtype) -> Tensor:
    """uint8 tiles, shape (tiles, 3, side, side), to -1..1: mean and deviation are 0.5.

    In the order of the published processor (rescale, subtract, divide), so that bits are equal.
    """
    return ((tiles.to(torch.float32) * (1 / 255) - 0.5) / 0.5).to(dtype)


def use_fast_vision(vision: nn.Module) -> None:
    """Replace a vision model's forward by a faster one with bit-equal results, for whole tiles.

    Every tile is whole, so nothing needs a mask. The published forward looks for padding tiles,
    builds pixel masks of 8 bytes a pixel, and synchronises with the device three times.

    The method is replaced, so that hooks on the module's `__call__` (FSDP's all-gather) still run.
    """
    vision.forward = types.MethodType(_vision, vision)  # type: ignore[method-assign]


def _vision(self: Any, pixel_values: Tensor) -> Tensor:
    embeddings = self.embeddings
    patches = embeddings.patch_embedding(pixel_values).flatten(2).transpose(1, 2)
    # On a whole tile the published bucketing of positions is the identity.
    hidden = patches + embeddings.position_embedding.weight
    for layer in self.encoder.layers:
        hidden = layer(hidden, None)
    found: Tensor = self.post_layernorm(hidden)
    return found


def add_noise(embeddings: Tensor, alpha: float, seed: int) -> Tensor:
    """NEFTune: noise on the input embeddings (Jain et al., arXiv 2310.05914).

    Uniform in ±alpha / sqrt(tokens x width), on the merged embeddings of text and images, as in the
    authors' code (M4, modeling_vmistral.py).

    Args:
        embeddings: shape (1, tokens, width).
        seed: of this pack, so that a resumed run draws the same noise.
    """
    generator = torch.Generator(embeddings.device).manual_seed(seed)
    noise = torch.rand(
        embeddings.shape, generator=generator, device=embeddings.device, dtype=torch.float32
    )
    size = alpha / (embeddings.shape[1] * embeddings.shape[2]) ** 0.5
    found: Tensor = embeddings + ((2 * noise - 1) * size).to(embeddings.dtype)
    return found


def token_losses(head: nn.Module, hidden: Tensor, targets: Tensor, chunk: int) -> Tensor:
    """The loss of each supervised position, in nats, without holding all logits.

    A pack of 10,240 tokens and a vocabulary of 128,256 make 4.9 GiB of logits in fp32. The head
    runs on supervised positions only, in chunks, and its logits are recomputed in the backward
    pass.

    Args:
        head: hidden states to logits.
        hidden: shape (positions, width), of supervised positions only.
        targets: shape (positions,).
        chunk: number of positions whose logits exist at a time.

    Returns:
        float32, shape (positions,).
    """
    parts = [
        checkpoint(_chunk_losses, head, part, wanted, use_reentrant=False)
        for part, wanted in zip(
            torch.split(hidden, chunk), torch.split(targets, chunk), strict=True
        )
    ]
    return torch.cat(parts)


def _chunk_losses(head: nn.Module, hidden: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(head(hidden).float(), targets, reduction="none")
