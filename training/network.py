"""The network as a run trains it: what trains, what is recomputed, compiled and divided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from cauldron.training.adapters import choose_trainable, parameter_groups
from cauldron.training.config import TrainRecipe
from cauldron.training.forward import Sequence, sequence_losses
from cauldron.training.model import LoadedModel, load_model
from cauldron.training.new_tokens import train_new_tokens, untie
from cauldron.training.parallel import Ranks, compute_dtype, divide, layers
from cauldron.training.seeds import seed_of
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cauldron.core.errors import UsageError

_ADAPTERS = 1
_COMPILED_VARIANTS = 32


class Network(nn.Module):
    """An Idefics3 whose forward takes a packed sequence.

    FSDP gathers what belongs to no layer (embeddings, connector, head) when this is called, and
    not when parts of it are.
    """

    def __init__(self, loaded: LoadedModel, rules: TrainRecipe) -> None:
        super().__init__()
        self.model = loaded.model
        self._tile = loaded.tile
        self._chunk = rules.head_chunk
        self._neftune_alpha = rules.neftune_alpha

    def forward(self, sequence: Sequence) -> tuple[Tensor, Tensor, Tensor]:
        """The parts of `Losses`; a tuple, since FSDP looks for tensors in it."""
        found = sequence_losses(
            self.model,
            sequence,
            tile=self._tile,
            chunk=self._chunk,
            neftune_alpha=self._neftune_alpha,
        )
        return found.total, found.tokens, found.documents

    def trainable(self) -> dict[str, nn.Parameter]:
        """By the names they have inside the Idefics3, adapters among them."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}


def adapted(rules: TrainRecipe, dtype: torch.dtype) -> LoadedModel:
    """The model that a run begins with, on the CPU; see `adapt`."""
    loaded = load_model(rules.model, dtype)
    adapt(loaded, rules)
    return loaded


def adapt(loaded: LoadedModel, rules: TrainRecipe) -> None:
    """Freeze, add adapters, and give what trains fp32 weights.

    The same on every rank, and when it is made again for an export: what starts random follows
    from `init_seed`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(rules.model.init_seed, _ADAPTERS))
        choose_trainable(loaded.model, rules)
    if rules.adapter is not None or "language" in rules.frozen:
        if untie(loaded.model) and rules.adapter is not None and rules.export == "adapter":
            raise UsageError(
                "the model's head is its embeddings, over which an adapter cannot be laid; "
                "give --set export=merged"
            )
        train_new_tokens(loaded.model, loaded.tokenizer)
    for parameter in loaded.model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def base_dtype(rules: TrainRecipe, device: torch.device) -> torch.dtype:
    """Of weights as they are loaded: halves where they stay as they are."""
    frozen = rules.adapter is not None or bool(rules.frozen)
    return compute_dtype(rules, device) if frozen else torch.float32


def make_network(loaded: LoadedModel, rules: TrainRecipe, ranks: Ranks) -> Network:
    """An adapted model on this rank's device, ready to train."""
    network = Network(loaded, rules)
    network.train()
    parts = layers(loaded.model)
    if rules.compile:
        _compile(parts)
    _recompute(loaded.model, rules)
    divide(network, parts, rules, ranks)
    return network


def _compile(parts: list[nn.Module]) -> None:
    """Layers, before they are recomputed: around a checkpoint nothing of them would compile."""
    # First static shapes, then dynamic ones, text alone, one tile: more than the default of 8.
    torch._dynamo.config.recompile_limit = _COMPILED_VARIANTS
    for part in parts:
        # Not the whole call: what FSDP hangs on it stays outside.
        part.forward = torch.compile(part.forward)  # type: ignore[method-assign]


def _recompute(model: Any, rules: TrainRecipe) -> None:
    chosen = {
        "none": [],
        "vision": list(model.model.vision_model.encoder.layers),
        "all": layers(model),
    }
    for part in chosen[rules.recompute]:
        part.forward = _recomputed(part.forward)


def _recomputed(forward: Callable[..., Any]) -> Callable[..., Any]:
    def again(*args: Any, **kwargs: Any) -> Any:
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return again


def make_optimizer(network: Network, rules: TrainRecipe, device: torch.device) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        parameter_groups(network.model, rules.weight_decay),
        lr=rules.learning_rate,
        betas=rules.betas,
        fused=device.type == "cuda",
    )
