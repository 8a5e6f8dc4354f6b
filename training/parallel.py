"""The ranks of a run: one process, or those that torchrun started; and how weights are divided.

FSDP2 divides layer by layer: fp32 master weights, bf16 where they are used. One process on a GPU
goes the same way, for the master weights, and so do ranks that each hold all of them, instead of
by DDP, which knows no master weights; one on a CPU computes in fp32 and divides nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from cauldron.training.config import TrainRecipe
from torch import nn
from torch._C._distributed_c10d import HashStore
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard


@dataclass(frozen=True)
class Ranks:
    """Where this process stands.

    Attributes:
        control: a gloo group for small agreements between steps.
        saving: a gloo group for checkpoints alone: their thread and the training may not share
            one, or each waits for the other's messages.
    """

    rank: int
    world: int
    device: torch.device
    control: Any
    saving: Any

    @classmethod
    def join(cls) -> Ranks:
        """Meet the other ranks. To be followed by `leave`."""
        on_gpu = torch.cuda.is_available()
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        if on_gpu:
            torch.cuda.set_device(device)
        else:
            device = torch.device("cpu")
        backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
        if "WORLD_SIZE" in os.environ:
            dist.init_process_group(backend)
        else:
            dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1)
        control, saving = (dist.new_group(backend="gloo") for _ in range(2))
        return cls(dist.get_rank(), dist.get_world_size(), device, control, saving)

    @staticmethod
    def leave() -> None:
        dist.destroy_process_group()

    @property
    def first(self) -> bool:
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank."""
        if self.world == 1:
            return flag
        found = torch.tensor([int(flag)])
        dist.all_reduce(found, dist.ReduceOp.MAX, group=self.control)
        return bool(found.item())

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over ranks of a tensor on the CPU."""
        dist.all_reduce(values, group=self.control)
        return values


def layers(model: Any) -> list[nn.Module]:
    """Of an Idefics3: those of the vision tower, then the language model's."""
    return [*model.model.vision_model.encoder.layers, *model.model.text_model.layers]


def compute_dtype(rules: TrainRecipe, device: torch.device) -> torch.dtype:
    half = rules.precision == "bf16" and device.type == "cuda"
    return torch.bfloat16 if half else torch.float32


def _mesh(rules: TrainRecipe, ranks: Ranks) -> DeviceMesh:
    """Ranks in one group that divides the weights, or in several that each do so."""
    shard = rules.shard or ranks.world
    if shard == ranks.world:
        return init_device_mesh(ranks.device.type, (shard,))
    return init_device_mesh(
        ranks.device.type,
        (ranks.world // shard, shard),
        mesh_dim_names=("copies", "shards"),
    )


def _magnitudes_stay(parameter: nn.Parameter) -> torch.dtype | None:
    """fp32 for DoRA's magnitudes, the only vectors that train beside adapters."""
    return torch.float32 if parameter.requires_grad and parameter.ndim == 1 else None


def divide(root: nn.Module, parts: list[nn.Module], rules: TrainRecipe, ranks: Ranks) -> None:
    """Put the weights on the device, each rank its share.

    Args:
        root: whose forward is called.
        parts: layers inside, gathered one at a time.
    """
    if ranks.world == 1 and ranks.device.type == "cpu":
        return
    mesh = _mesh(rules, ranks)
    policy = MixedPrecisionPolicy(
        param_dtype=compute_dtype(rules, ranks.device), reduce_dtype=torch.float32
    )
    if rules.adapter is not None:
        policy = replace(policy, param_dtype_override_fn=_magnitudes_stay)
    # Alone there is nobody to gather from; but what is gathered is a copy, and frozen weights
    # would stay there twice.
    keep = (rules.shard or ranks.world) == 1 and rules.adapter is None and not rules.frozen
    for part in parts:
        fully_shard(part, mesh=mesh, mp_policy=policy, reshard_after_forward=not keep)
    fully_shard(root, mesh=mesh, mp_policy=policy)
    for module in root.modules():
        if isinstance(module, FSDPModule):
            # The loss is a sum over tokens, not a mean over ranks. (gloo cannot scale and sum.)
            module.set_force_sum_reduction_for_comms(True)
            module.set_gradient_divide_factor(1.0)
