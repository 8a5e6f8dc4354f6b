"""Trains the rows of the tokens that Idefics3 adds, while all other embeddings are frozen.

All new tokens start with the same row, the mean. If they were frozen, the head could not separate
``<end_of_utterance>`` from the two others, and its probability would never exceed 1/3. Only the
differences to the frozen rows are parameters, 6 vectors. PEFT's `trainable_token_indices` copies
the whole matrix each time the head runs, 1 GB for an 8B model.
"""

from __future__ import annotations

from typing import Any

import torch
from cauldron.training.special_tokens import ADDED
from torch import Tensor, nn
from torch.nn.functional import embedding, linear

NAME = "new_tokens"


class NewTokens(nn.Module):
    """Trained differences to the embeddings of some tokens and to the head's rows for them.

    Args:
        ids: of the tokens.
        width: of an embedding.
    """

    def __init__(self, ids: list[int], width: int) -> None:
        super().__init__()
        self.ids = ids
        self.places: Tensor
        # A buffer, because creating it when the head runs would synchronise with the device.
        self.register_buffer("places", torch.tensor(ids), persistent=False)
        self.embedding = nn.Parameter(torch.zeros(len(ids), width))
        self.head = nn.Parameter(torch.zeros(len(ids), width))

    def attach(self, model: Any) -> None:
        """Hook into the embeddings and the head of an Idefics3, as its module `NAME`."""
        model.add_module(NAME, self)
        model.get_input_embeddings().register_forward_hook(self._embed)
        model.lm_head.register_forward_hook(self._predict)

    def _embed(self, module: nn.Module, given: tuple[Tensor], found: Tensor) -> Tensor:
        # Row 0, zeros, is for all other tokens.
        places = torch.zeros_like(given[0])
        for place, token in enumerate(self.ids, start=1):
            places = torch.where(given[0] == token, place, places)
        rows = torch.cat([torch.zeros_like(self.embedding[:1]), self.embedding])
        return found + embedding(places, rows).to(found.dtype)

    def _predict(self, module: nn.Module, given: tuple[Tensor], found: Tensor) -> Tensor:
        more = linear(given[0], self.head.to(given[0].dtype))
        return found.index_add(-1, self.places, more)


def untie_head(model: Any) -> bool:
    """Give the head its own weights if it shares those of the embeddings; whether it did."""
    embeddings, head = model.get_input_embeddings(), model.lm_head
    if head.weight is not embeddings.weight:
        return False
    shared = head.weight
    head.weight = nn.Parameter(shared.detach().clone(), requires_grad=shared.requires_grad)
    # transformers reads the first, vLLM the second.
    for config in (model.config, model.config.get_text_config()):
        config.tie_word_embeddings = False
    return True


def train_new_tokens(model: Any, tokenizer: Any) -> None:
    """Make the rows of the added tokens trainable. The model's output does not change."""
    ids = [int(tokenizer.convert_tokens_to_ids(token)) for token in ADDED]
    NewTokens(ids, model.lm_head.weight.shape[1]).attach(model)


def merge_new_tokens(model: Any) -> None:
    """Add the trained differences to the rows, and remove the module and its hooks."""
    new = getattr(model, NAME, None)
    if new is None:
        return
    embeddings, head = model.get_input_embeddings(), model.lm_head
    with torch.no_grad():
        embeddings.weight[new.ids] += new.embedding.to(embeddings.weight.dtype)
        head.weight[new.ids] += new.head.to(head.weight.dtype)
    for module in (embeddings, head):
        module._forward_hooks.clear()
    delattr(model, NAME)
