"""One optimizer step: this rank's packs forward and backward, then an update by all ranks.

The loss is the sum over supervised tokens, divided once by their number on all ranks. A mean of the
packs' means would give tokens of packs with few of them more weight (6.6 % off in the gradient).
The division is done after gradients are summed, since a row may turn out to be bad when its pack is
built; together with clipping it is one multiplication.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from cauldron.training.config import TrainRecipe
from cauldron.training.data.collate import Pack
from cauldron.training.data.tokenization import IGNORED
from cauldron.training.forward import DevicePack
from cauldron.training.network import Network, seed_of
from cauldron.training.parallel import Ranks
from torch import Tensor
from torch.distributed.tensor import DTensor

from cauldron.core.errors import CauldronError

_NOISE, _DROPOUT = 2, 3
_SCALARS = 4


class Stopped(Exception):  # noqa: N818 - not an error
    """A stop was requested on some rank; the step is abandoned on all ranks."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """A step of all ranks together.

    Attributes:
        loss: per supervised token, in nats.
        tokens: tokens in all packs; `supervised` of them count in the loss.
        flops: of the forward and backward passes, recomputation not counted.
        waited: seconds that a rank waited for packs, on average.
        losses: by source: loss per supervised token, and the number of these tokens.
        grad_norm: before clipping.
    """

    loss: float
    tokens: int
    supervised: int
    packs: int
    flops: float
    waited: float
    losses: dict[str, tuple[float, int]]
    grad_norm: float
    learning_rate: float


class Stepper:
    """Trains one step at a time.

    Args:
        sources: of the mixture, in the same order on all ranks.
        cost: operations of a pack, from tiles, document lengths and supervised tokens.
        stop: whether to stop; called before each pack.
    """

    def __init__(
        self,
        network: Network,
        optimizer: torch.optim.AdamW,
        rules: TrainRecipe,
        ranks: Ranks,
        sources: Iterable[str],
        cost: Callable[[int, list[int], int], float],
        stop: Callable[[], bool],
    ) -> None:
        self._network, self._optimizer = network, optimizer
        self._rules, self._ranks = rules, ranks
        self._sources = {name: place for place, name in enumerate(sources)}
        self._cost, self._stop = cost, stop
        self._parameters = list(network.trainable().values())

    def step(self, number: int, packs: Iterable[Pack]) -> StepResult:
        """Raises Stopped with unchanged weights, and CauldronError when the loss is not finite."""
        sums = torch.zeros((2, len(self._sources)), dtype=torch.float64, device=self._ranks.device)
        scalars = [0.0] * _SCALARS
        for pack, waited in timed(packs):
            if self._ranks.any(self._stop()):
                self._optimizer.zero_grad()
                raise Stopped
            self._backward(pack, sums)
            lengths = torch.diff(pack.boundaries).tolist()
            flops = self._cost(len(pack.tiles), lengths, pack.supervised)
            seen = (len(pack.input_ids), 1, flops, waited)
            scalars = [a + b for a, b in zip(scalars, seen, strict=True)]
        mine = torch.tensor(scalars, dtype=torch.float64)
        values = self._ranks.total(torch.cat([mine, sums.flatten().cpu()]))
        return self._update(number, values)

    def _backward(self, pack: Pack, sums: Tensor) -> None:
        place = (pack.position.epoch, pack.position.round, pack.position.index)
        # For dropout. It depends on the pack only, not on how many packs a rank has run.
        torch.manual_seed(seed_of(self._rules.seed, _DROPOUT, *place))
        moved = on_device(pack, self._ranks.device, seed_of(self._rules.seed, _NOISE, *place))
        total, tokens, documents = self._network(moved)
        total.backward()
        owners = [self._sources.get(name, 0) for name in pack.document_sources]
        sources = _move(torch.tensor(owners), sums.device)[documents]
        sums[0].index_add_(0, sources, tokens.double())
        sums[1].index_add_(0, sources, torch.ones_like(tokens, dtype=torch.float64))

    def _update(self, number: int, values: Tensor) -> StepResult:
        tokens, packs, flops, waited = values[:_SCALARS].tolist()
        lost, counts = values[_SCALARS:].reshape(2, -1).tolist()
        supervised = sum(counts)
        loss = sum(lost) / max(1.0, supervised)
        norm = self._clip(supervised)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise CauldronError(
                f"step {number + 1}: the loss is {loss} and the gradient's norm {norm}; lower "
                "learning_rate, and run the same command to resume from the last checkpoint"
            )
        rate = self._rules.learning_rate_at(number)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad()
        losses = {
            name: (lost[at] / counts[at], int(counts[at]))
            for name, at in self._sources.items()
            if counts[at]
        }
        return StepResult(
            *(loss, int(tokens), int(supervised), int(packs), flops),
            *(waited / self._ranks.world, losses, norm, rate),
        )

    def _clip(self, supervised: float) -> float:
        """Divide gradients by the number of tokens and clip them. Returns the norm before that."""
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        found: Any = torch.nn.utils.get_total_norm(gradients)
        norm = float(found.full_tensor() if isinstance(found, DTensor) else found)
        norm /= max(1.0, supervised)
        factor = min(1.0, self._rules.clip / (norm + 1e-6)) / max(1.0, supervised)
        torch._foreach_mul_(gradients, factor)
        return norm


def timed(packs: Iterable[Pack]) -> Iterator[tuple[Pack, float]]:
    """Each pack with the seconds spent waiting for it."""
    source = iter(packs)
    while True:
        start = time.perf_counter()
        pack = next(source, None)
        if pack is None:
            return
        yield pack, time.perf_counter() - start


def _move(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy from pinned memory, so that the copy overlaps with computation."""
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def on_device(pack: Pack, device: torch.device, noise_seed: int) -> DevicePack:
    """Copy a pack to the device."""
    move = partial(_move, device=device)
    return DevicePack(
        input_ids=move(pack.input_ids),
        labels=move(pack.labels),
        position_ids=move(pack.position_ids),
        boundaries=move(pack.boundaries),
        longest=int(torch.diff(pack.boundaries).max()),
        tiles=move(pack.tiles),
        image_positions=move(pack.image_positions),
        supervised=move(torch.nonzero(pack.labels != IGNORED).squeeze(1)),
        noise_seed=noise_seed,
    )
