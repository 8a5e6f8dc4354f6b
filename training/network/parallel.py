"""The ranks of a run, one process or those of torchrun, and how the weights are sharded.

FSDP2 shards layer by layer, with fp32 master weights and bf16 compute. A single process on a GPU
uses it too, for the master weights, and so do ranks that each hold a full copy, since DDP has no
master weights. A single process on a CPU computes in fp32 without FSDP.
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
    """This process among the ranks.

    Attributes:
        control: a gloo group for small messages between steps.
        saving: a gloo group for checkpoints. Their thread and the training would block each other
            in a shared group.
    """

    rank: int
    world: int
    device: torch.device
    control: Any
    saving: Any

    @classmethod
    def join(cls) -> Ranks:
        """Initialise the process groups. To be followed by `leave`."""
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
        """Whether the flag is set on any rank."""
        if self.world == 1:
            return flag
        found = torch.tensor([int(flag)])
        dist.all_reduce(found, dist.ReduceOp.MAX, group=self.control)
        return bool(found.item())

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over ranks of a tensor on the CPU."""
        dist.all_reduce(values, group=self.control)
        return values

    def gather(self, values: list[Any]) -> list[Any]:
        """The values of all ranks, in the order of the ranks."""
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, values, group=self.control)
        return [value for part in found for value in part]


def layers(model: Any) -> list[nn.Module]:
    """The layers of an Idefics3: vision tower, then language model."""
    return [*model.model.vision_model.encoder.layers, *model.model.text_model.layers]


def compute_dtype(rules: TrainRecipe, device: torch.device) -> torch.dtype:
    """bf16 on a GPU, unless the recipe says fp32; fp32 on a CPU."""
    half = rules.precision == "bf16" and device.type == "cuda"
    return torch.bfloat16 if half else torch.float32


def _mesh(rules: TrainRecipe, ranks: Ranks) -> DeviceMesh:
    """All ranks in one group that shards the weights, or several groups that each do."""
    shard = rules.shard or ranks.world
    if shard == ranks.world:
        return init_device_mesh(ranks.device.type, (shard,))
    return init_device_mesh(
        ranks.device.type,
        (ranks.world // shard, shard),
        mesh_dim_names=("copies", "shards"),
    )


def _magnitudes_in_fp32(parameter: nn.Parameter) -> torch.dtype | None:
    """fp32 for DoRA's magnitudes, which are the only trained vectors with adapters."""
    return torch.float32 if parameter.requires_grad and parameter.ndim == 1 else None


def shard_weights(
    root: nn.Module, parts: list[nn.Module], rules: TrainRecipe, ranks: Ranks
) -> None:
    """Move each rank's shard of the weights to its device.

    Args:
        root: the module that is called.
        parts: layers inside, whose weights are gathered one layer at a time.
    """
    if ranks.world == 1 and ranks.device.type == "cpu":
        return
    mesh = _mesh(rules, ranks)
    policy = MixedPrecisionPolicy(
        param_dtype=compute_dtype(rules, ranks.device), reduce_dtype=torch.float32
    )
    if rules.adapter is not None:
        policy = replace(policy, param_dtype_override_fn=_magnitudes_in_fp32)
    # A single rank need not gather again in the backward pass. But gathered weights are a copy, and
    # frozen weights would be in memory twice.
    keep = (rules.shard or ranks.world) == 1 and rules.adapter is None and not rules.frozen
    for part in parts:
        fully_shard(part, mesh=mesh, mp_policy=policy, reshard_after_forward=not keep)
    fully_shard(root, mesh=mesh, mp_policy=policy)
    for module in root.modules():
        if isinstance(module, FSDPModule):
            # The loss is a sum over tokens, not a mean over ranks. (gloo cannot scale a sum.)
            module.set_force_sum_reduction_for_comms(True)
            module.set_gradient_divide_factor(1.0)
