"""Floating-point operations of a pack: vision tower, connector, language model, head.

One multiply-add is two operations. With h the width, m the width of the MLP, a forward pass is

* vision, a tile of n patches: layers x (2 n (4 h^2 + 2 h m) + 4 n^2 h), and 2 n h (3 patch^2)
  for the patch embedding;
* connector, a tile: 2 x tokens x (h_vision x shuffle^2) x h_language;
* language, a document of L tokens: layers x (2 L (2 h q + 2 h kv + 3 h m) + 2 L^2 q), with q and
  kv the widths of all query and key heads. Attention is causal within a document, so half of
  L^2 counts;
* head: 2 h vocabulary for each supervised position (it runs only there).

This gives 0.665 TFLOP for a SigLIP-SO400M tile of 384, and 3.42 and 14.5 GFLOP a token for
language models of 1.7B and 8B in documents of 2,000 tokens. "6 x parameters x tokens" ignores the
vision tower and is wrong by a factor of 2 to 3 for a 2B model.

A backward pass costs one forward pass for the gradients of activations and one for those of
weights; `Passes` says which are needed. Recomputed activations are not counted: utilisation by
these numbers is MFU, not HFU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class VisionShape:
    """A SigLIP-like tower. `patches`: number in a tile; `patch`: side of one in pixels."""

    layers: int
    hidden: int
    intermediate: int
    patches: int
    patch: int


@dataclass(frozen=True, slots=True)
class LanguageShape:
    """A Llama-like model with gated MLP and grouped key heads."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    key_heads: int
    head_dim: int
    vocabulary: int


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes of an Idefics3-like model that determine its operations.

    Attributes:
        tokens_per_tile: image tokens of a tile.
        shuffle: side of the square of patches that becomes one token.
    """

    vision: VisionShape
    language: LanguageShape
    tokens_per_tile: int
    shuffle: int

    @classmethod
    def of(cls, config: Any) -> ModelShape:
        """From a transformers configuration of an Idefics3, SmolVLM or similar model."""
        vision, text = config.vision_config, config.text_config
        side = vision.image_size // vision.patch_size
        heads = text.num_attention_heads
        return cls(
            vision=VisionShape(
                layers=vision.num_hidden_layers,
                hidden=vision.hidden_size,
                intermediate=vision.intermediate_size,
                patches=side * side,
                patch=vision.patch_size,
            ),
            language=LanguageShape(
                layers=text.num_hidden_layers,
                hidden=text.hidden_size,
                intermediate=text.intermediate_size,
                heads=heads,
                key_heads=getattr(text, "num_key_value_heads", None) or heads,
                head_dim=getattr(text, "head_dim", None) or text.hidden_size // heads,
                vocabulary=text.vocab_size,
            ),
            tokens_per_tile=int(side * side / config.scale_factor**2),
            shuffle=config.scale_factor,
        )


@dataclass(frozen=True, slots=True)
class Passes:
    """The cost of a step of each part, in forward passes.

    3: its weights train. 2: they are frozen (or have adapters, which cost a percent), but the
    gradient passes through. 1: nothing before it trains, so it runs forward only.
    """

    vision: int = 3
    connector: int = 3
    language: int = 3
    head: int = 3

    @classmethod
    def of(cls, *, vision: str = "full", language: str = "full") -> Passes:
        """For a trained connector and towers that are ``full``, ``adapter`` or ``frozen``."""
        worth = {"full": 3, "adapter": 2}
        through = worth.get(language, 2)
        return cls(vision=worth.get(vision, 1), connector=3, language=through, head=through)


@dataclass(frozen=True, slots=True)
class Flops:
    """Operations by part."""

    vision: float
    connector: float
    language: float
    head: float

    @property
    def total(self) -> float:
        return self.vision + self.connector + self.language + self.head


# SigLIP-SO400M and Llama 3.1 8B with tiles of 364: the default where costs are only compared.
IDEFICS3_8B = ModelShape(
    vision=VisionShape(layers=27, hidden=1152, intermediate=4304, patches=676, patch=14),
    language=LanguageShape(
        layers=32,
        hidden=4096,
        intermediate=14336,
        heads=32,
        key_heads=8,
        head_dim=128,
        vocabulary=128_259,
    ),
    tokens_per_tile=169,
    shuffle=2,
)


def tile_flops(vision: VisionShape) -> float:
    """One forward pass of the vision tower over one tile."""
    n, h = vision.patches, vision.hidden
    layer = 2 * n * (4 * h * h + 2 * h * vision.intermediate) + 4 * n * n * h
    return float(vision.layers * layer + 2 * n * h * 3 * vision.patch**2)


def document_flops(language: LanguageShape, length: int) -> float:
    """One forward pass of the language model, without its head, over one document."""
    h, query = language.hidden, language.heads * language.head_dim
    key = language.key_heads * language.head_dim
    weights = 2 * h * query + 2 * h * key + 3 * h * language.intermediate
    return float(language.layers * (2 * length * weights + 2 * length * length * query))


def pack_flops(
    shape: ModelShape,
    tiles: int,
    lengths: Sequence[int],
    supervised: int,
    passes: Passes | None = None,
) -> Flops:
    """Operations of one training step over one packed sequence.

    Args:
        tiles: inputs of the vision tower, global views included.
        lengths: tokens of each document.
        supervised: positions that the head runs on.
        passes: None: all parts train.
    """
    worth = passes or Passes()
    wide = shape.vision.hidden * shape.shuffle**2
    connector = 2 * tiles * shape.tokens_per_tile * wide * shape.language.hidden
    head = 2 * supervised * shape.language.hidden * shape.language.vocabulary
    return Flops(
        vision=worth.vision * tiles * tile_flops(shape.vision),
        connector=float(worth.connector * connector),
        language=worth.language * sum(document_flops(shape.language, length) for length in lengths),
        head=float(worth.head * head),
    )
