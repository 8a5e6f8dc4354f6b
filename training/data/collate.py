"""Collates documents into a pack: a worker the tokens, the trainer tokens and tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from cauldron.training.data.sampler import PackPosition
from cauldron.training.data.tokenization import IGNORED, Document
from torch import Tensor

Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Pack:
    """One packed sequence: whole documents one after the other, on the CPU, without padding.

    Attributes:
        input_ids: int64, shape (length,).
        labels: int64, shape (length,): the target of each position, already shifted: the next
            token of the same document, or -100.
        position_ids: int64, shape (length,): starts at 0 in each document.
        boundaries: int32, shape (documents + 1,): cumulative lengths, from 0.
        tiles: uint8, shape (tiles, 3, side, side), all images in order of appearance, in memory
            format ``channels_last``; may be empty.
        image_positions: int64, shape (tiles x tokens per tile,): positions of the ``<image>``
            tokens, in order.
        document_sources: source of each document.
        supervised: number of labels that are not -100.
    """

    input_ids: Tensor
    labels: Tensor
    position_ids: Tensor
    boundaries: Tensor
    tiles: Tensor
    image_positions: Tensor
    document_sources: tuple[str, ...]
    supervised: int
    position: PackPosition


@dataclass(frozen=True, slots=True)
class PackTokens:
    """The token side of a pack, small enough for a pipe between processes."""

    ids: Int32
    labels: Int32
    lengths: Int32
    image_positions: Int32
    sources: tuple[str, ...]

    @classmethod
    def of(cls, documents: Sequence[Document], sources: Sequence[str]) -> PackTokens:
        lengths = np.array([len(document.ids) for document in documents], dtype=np.int32)
        starts = np.cumsum(lengths) - lengths
        images = [d.image_positions + start for d, start in zip(documents, starts, strict=True)]
        return cls(
            ids=np.concatenate([document.ids for document in documents]),
            labels=np.concatenate([document.labels for document in documents]),
            lengths=lengths,
            image_positions=np.concatenate(images).astype(np.int32),
            sources=tuple(sources),
        )


def make_pack(tokens: PackTokens, tiles: Tensor, position: PackPosition) -> Pack:
    """Add the tiles. Args: tiles: shape (tiles, side, side, 3)."""
    ends = np.cumsum(tokens.lengths, dtype=np.int32)
    boundaries = np.concatenate([np.zeros(1, dtype=np.int32), ends])
    starts = np.repeat(boundaries[:-1], tokens.lengths)
    return Pack(
        input_ids=torch.from_numpy(tokens.ids.astype(np.int64)),
        labels=torch.from_numpy(tokens.labels.astype(np.int64)),
        position_ids=torch.from_numpy(np.arange(len(tokens.ids), dtype=np.int64) - starts),
        boundaries=torch.from_numpy(boundaries),
        tiles=tiles.permute(0, 3, 1, 2),
        image_positions=torch.from_numpy(tokens.image_positions.astype(np.int64)),
        document_sources=tokens.sources,
        supervised=int((tokens.labels != IGNORED).sum()),
        position=position,
    )
