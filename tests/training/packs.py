"""Packed sequences for tests of the network, made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from cauldron.training.data.tokenization import IGNORED
from cauldron.training.forward import DevicePack
from cauldron.training.tiny import TILE, tiny_tokenizer
from torch import Tensor

TILE_TOKENS = 4


@dataclass(frozen=True)
class Chat:
    """One conversation: so many tiles, then text. `ids` and `tiles` as the model takes them."""

    ids: Tensor
    tiles: Tensor


def chat(seed: int, tiles: int, text: int) -> Chat:
    generator = torch.Generator().manual_seed(seed)
    image = tiny_tokenizer().convert_tokens_to_ids("<image>")
    words = torch.randint(60, 400, (text,), generator=generator)
    pixels = torch.randint(0, 256, (tiles, 3, TILE, TILE), generator=generator)
    images = torch.full((tiles * TILE_TOKENS,), image)
    return Chat(torch.cat([images, words]), pixels.to(torch.uint8))


def packed(chats: Sequence[Chat], noise_seed: int = 0) -> DevicePack:
    """One sequence of all; every token of text but the first is learned."""
    image = tiny_tokenizer().convert_tokens_to_ids("<image>")
    ids = torch.cat([one.ids for one in chats])
    lengths = [len(one.ids) for one in chats]
    labels = [torch.cat([one.ids[1:], torch.tensor([IGNORED])]) for one in chats]
    target = torch.cat(labels)
    target[target == image] = IGNORED
    return DevicePack(
        input_ids=ids,
        labels=target,
        position_ids=torch.cat([torch.arange(length) for length in lengths]),
        boundaries=torch.tensor([0, *lengths]).cumsum(0).to(torch.int32),
        longest=max(lengths),
        tiles=torch.cat([one.tiles for one in chats]),
        image_positions=torch.nonzero(ids == image).squeeze(1),
        supervised=torch.nonzero(target != IGNORED).squeeze(1),
        noise_seed=noise_seed,
    )


def four_chats() -> list[Chat]:
    """With 1, 3, 0 and 2 tiles."""
    return [chat(1, 1, 20), chat(2, 3, 31), chat(3, 0, 12), chat(4, 2, 25)]
