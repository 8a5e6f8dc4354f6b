"""Which parameters train: all of them, or adapters on frozen weights. The connector always does."""

from __future__ import annotations

from typing import Any

from cauldron.training.config import TrainRecipe
from cauldron.training.dora import use_lean_dora
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

# Prefixes of parameter names inside an Idefics3.
_PARTS = {"vision": ("model.vision_model.",), "language": ("model.text_model.", "lm_head.")}
_CONNECTOR = "model.connector."


def choose_trainable(model: nn.Module, rules: TrainRecipe) -> None:
    """Freeze the stage's frozen parts and add its adapters.

    With adapters, all weights outside the connector are frozen, norms and biases too, as in PEFT.
    `frozen` parts get no adapters.
    """
    frozen = rules.frozen if rules.adapter is None else ("vision", "language")
    for name, parameter in model.named_parameters():
        if any(name.startswith(_PARTS[part]) for part in frozen):
            parameter.requires_grad_(False)
    if rules.adapter is None:
        return
    inject_adapter_in_model(lora_config(model, rules), model)
    if rules.adapter.dora:
        use_lean_dora(model)
    for name, parameter in model.named_parameters():
        if name.startswith(_CONNECTOR):
            parameter.requires_grad_(True)


def lora_config(model: nn.Module, rules: TrainRecipe, **more: Any) -> LoraConfig:
    """The adapter's rules in PEFT's form."""
    assert rules.adapter is not None
    values: dict[str, Any] = {"lora_alpha": rules.adapter.alpha}  # any number works
    return LoraConfig(
        r=rules.adapter.rank,
        lora_dropout=rules.adapter.dropout,
        use_dora=rules.adapter.dora,
        init_lora_weights="gaussian",
        target_modules=adapted_layers(model, rules),
        **values,
        **more,
    )


def adapted_layers(model: nn.Module, rules: TrainRecipe) -> list[str]:
    """Full names of the linear layers that get an adapter; the connector's train themselves."""
    assert rules.adapter is not None
    targets = rules.adapter.targets
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and name.rpartition(".")[2] in targets
        and not name.startswith(_CONNECTOR)
        and not any(name.startswith(_PARTS[part]) for part in rules.frozen)
    ]


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters for AdamW: decay on matrices, none on biases, norms and magnitudes."""
    trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [p for _, p in trainable if p.ndim >= 2]
    vectors = [p for _, p in trainable if p.ndim < 2]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
