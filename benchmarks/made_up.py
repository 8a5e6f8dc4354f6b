"""Models of a known size with random weights, and made-up conversations, for `benchmarks/train.py`.

No network and no mixture: the lengths and tiles are those of a document mixture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

IGNORED = -100
# Tiles of an image, and text of a conversation; half of the text is learned.
TILES = (1, 1, 5, 10, 13, 17, 17)
TEXT = (30, 60, 120, 250, 500)


@dataclass(frozen=True)
class Size:
    """A model: its configuration's parts, and whether it trains whole or by DoRA."""

    vision: dict[str, int]
    text: dict[str, int]
    scale: int
    dora: bool
    sequence: int = 10_240
    packs: int = 4


SO400M = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27,
          "num_attention_heads": 16, "patch_size": 14}  # fmt: skip
SIZES = {
    "2b": Size(
        SO400M | {"image_size": 384},
        {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24,
         "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 49_280},
        scale=3,
        dora=False,
    ),
    "8b": Size(
        SO400M | {"image_size": 364},
        {"hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128_259},
        scale=2,
        dora=True,
    ),
    "tiny": Size(
        {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2,
         "num_attention_heads": 4, "patch_size": 14, "image_size": 56},
        {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512},
        scale=2,
        dora=False,
        sequence=1024,
        packs=2,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Chat:
    """A conversation: an image's tiles (none: text alone), then text. `seed` of its content."""

    tiles: int
    text: int
    seed: int


def conversations(size: Size, step: int) -> list[list[Chat]]:
    """Those of a step, by the sequence that they are packed into; a sixth is text alone.

    As many as fill `size.packs` sequences; what is left over nobody trains on.
    """
    import numpy as np

    from cauldron.core.packing import pack

    rng = np.random.default_rng(step)
    drawn: list[Chat] = []
    while sum(length(size, chat) for chat in drawn) < size.packs * size.sequence:
        tiles = int(rng.integers(0, 6) > 0) * int(rng.choice(TILES))
        if size.sequence < 10_240:
            tiles = min(tiles, 5)
        drawn.append(Chat(tiles, int(rng.choice(TEXT)), step * 10_000 + len(drawn)))
    bins = pack([length(size, chat) for chat in drawn], size.sequence)
    return [[drawn[item] for item in items] for items in bins[: size.packs]]


def tile_tokens(size: Size) -> int:
    return (size.vision["image_size"] // size.vision["patch_size"]) ** 2 // size.scale**2


def length(size: Size, chat: Chat) -> int:
    return chat.tiles * tile_tokens(size) + chat.text


def document(size: Size, chat: Chat) -> tuple[Any, Any, Any]:
    """Ids, labels (the token itself, not the next) and tiles of a conversation."""
    import torch

    generator = torch.Generator().manual_seed(chat.seed)
    image = torch.full((chat.tiles * tile_tokens(size),), image_id(size))
    words = torch.randint(3, image_id(size), (chat.text,), generator=generator)
    ids = torch.cat([image, words])
    labels = ids.clone()
    labels[: len(image) + chat.text // 2] = IGNORED
    side = size.vision["image_size"]
    tiles = torch.randint(0, 256, (chat.tiles, 3, side, side), generator=generator)
    return ids, labels, tiles.to(torch.uint8)


def image_id(size: Size) -> int:
    return size.text["vocab_size"] - 2


def packs(size: Size, step: int) -> list[Any]:
    """Sequences of a step, as the loader makes them."""
    return [_pack(size, chats, place) for place, chats in enumerate(conversations(size, step))]


def _pack(size: Size, chats: list[Chat], place: int) -> Any:
    import torch
    from cauldron.training.data.collate import Pack
    from cauldron.training.data.sampler import PackPosition

    parts = [document(size, chat) for chat in chats]
    ids = torch.cat([part[0] for part in parts])
    none = torch.tensor([IGNORED])
    labels = torch.cat([torch.cat([part[1][1:], none]) for part in parts])
    lengths = [len(part[0]) for part in parts]
    tiles = torch.cat([part[2] for part in parts])
    return Pack(
        input_ids=ids,
        labels=labels,
        position_ids=torch.cat([torch.arange(n) for n in lengths]),
        boundaries=torch.tensor([0, *lengths]).cumsum(0).to(torch.int32),
        tiles=tiles.contiguous(memory_format=torch.channels_last),
        image_positions=torch.nonzero(ids == image_id(size)).squeeze(1),
        document_sources=("made up",) * len(parts),
        supervised=int((labels != IGNORED).sum()),
        position=PackPosition(0, 0, 0, place),
    )


def configuration(size: Size) -> Any:
    from transformers import Idefics3Config

    text = size.text | {"model_type": "llama", "max_position_embeddings": 32_768,
                        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
    return Idefics3Config(
        text_config=text,
        vision_config=size.vision,
        image_token_id=image_id(size),
        pad_token_id=0,
        scale_factor=size.scale,
        tie_word_embeddings=False,
    )


def random_model(size: Size, dtype: Any) -> Any:
    """Made where it will be: the 8B takes minutes on a CPU."""
    import torch
    from transformers import Idefics3ForConditionalGeneration

    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    with torch.device(device()):
        model = Idefics3ForConditionalGeneration(configuration(size))
    torch.set_default_dtype(default)
    return model


def device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@dataclass(frozen=True)
class Words:
    """As much of a tokenizer as training asks for: the ids of the added tokens."""

    size: Size

    def convert_tokens_to_ids(self, token: str) -> int:
        from cauldron.training.network.special_tokens import ADDED

        return image_id(self.size) - 1 + ADDED.index(token)
