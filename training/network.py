"""The network as a run trains it: adapted, compiled, recomputed and sharded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from cauldron.training.adapters import choose_trainable, parameter_groups
from cauldron.training.config import TrainRecipe
from cauldron.training.forward import DevicePack, pack_losses
from cauldron.training.model import LoadedModel, load_model
from cauldron.training.new_tokens import train_new_tokens, untie_head
from cauldron.training.parallel import Ranks, compute_dtype, layers, shard_weights
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cauldron.core.errors import UsageError

_ADAPTERS = 1
_COMPILED_VARIANTS = 32
_MASK = 2**64 - 1


def seed_of(*parts: int) -> int:
    """A seed of 63 bits; different parts give unrelated seeds (SplitMix64 over the parts).

    Everything random in a step is seeded by its purpose and place. No generator state is carried
    from step to step, so a resumed run draws the same numbers on any ranks.
    """
    state = 0
    for part in parts:
        state = (state ^ (part & _MASK)) + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state >> 1


class Network(nn.Module):
    """An Idefics3 whose forward takes a pack.

    FSDP gathers what belongs to no layer (embeddings, connector, head) only when this module is
    called, not when its parts are.
    """

    def __init__(self, loaded: LoadedModel, rules: TrainRecipe) -> None:
        super().__init__()
        self.model = loaded.model
        self._tile = loaded.tile
        self._chunk = rules.head_chunk
        self._neftune_alpha = rules.neftune_alpha

    def forward(self, pack: DevicePack) -> tuple[Tensor, Tensor, Tensor]:
        """The fields of `PackLosses`, as a tuple in which FSDP finds the tensors."""
        found = pack_losses(
            self.model,
            pack,
            tile=self._tile,
            chunk=self._chunk,
            neftune_alpha=self._neftune_alpha,
        )
        return found.total, found.tokens, found.documents

    def trainable(self) -> dict[str, nn.Parameter]:
        """Trainable parameters, adapters included, by their names inside the Idefics3."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}


def load_adapted(rules: TrainRecipe, dtype: torch.dtype) -> LoadedModel:
    """The model at the start of a run, on the CPU; see `adapt`."""
    loaded = load_model(rules.model, dtype)
    adapt(loaded, rules)
    return loaded


def adapt(loaded: LoadedModel, rules: TrainRecipe) -> None:
    """Freeze weights, add adapters, and convert what trains to fp32.

    Random initial weights depend only on `init_seed`, so every rank and the export get the same.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(rules.model.init_seed, _ADAPTERS))
        choose_trainable(loaded.model, rules)
    if rules.adapter is not None or "language" in rules.frozen:
        if untie_head(loaded.model) and rules.adapter is not None and rules.export == "adapter":
            raise UsageError(
                "the model's head shares the weights of its embeddings, so its adapter cannot be "
                "exported alone; give --set export=merged"
            )
        train_new_tokens(loaded.model, loaded.tokenizer)
    for parameter in loaded.model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def base_dtype(rules: TrainRecipe, device: torch.device) -> torch.dtype:
    """The dtype to load weights in: the compute dtype if some are frozen, else fp32."""
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
    shard_weights(network, parts, rules, ranks)
    return network


def _compile(parts: list[nn.Module]) -> None:
    """Compile layers. To be called before `_recompute`: a checkpointed layer would not compile."""
    # Static shapes, then dynamic ones, text only, one tile: more variants than the default of 8.
    torch._dynamo.config.recompile_limit = _COMPILED_VARIANTS
    for part in parts:
        # Only the forward: FSDP's hooks on the call stay outside.
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
