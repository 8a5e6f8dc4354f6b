"""Our DoRA computes what PEFT's does, with fewer products and more digits."""

from __future__ import annotations

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from cauldron.training.dora import adapted_norms, row_norms, use_lean_dora  # noqa: E402
from peft import LoraConfig, inject_adapter_in_model  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

RANK, WIDE, LONG = 4, 24, 40


def peft_layer(dropout: float = 0.0, dtype: Any = None, bias: bool = True) -> Any:
    """A linear layer with an adapter that has learned something, as PEFT computes it."""
    torch.manual_seed(3)
    layer = torch.nn.Sequential(torch.nn.Linear(WIDE, LONG, bias=bias)).to(dtype)
    config = LoraConfig(r=RANK, lora_alpha=2, lora_dropout=dropout, use_dora=True,
                        target_modules=["0"], init_lora_weights="gaussian")  # fmt: skip
    inject_adapter_in_model(config, layer)
    for name, parameter in layer.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return layer


def magnitude(layer: Any) -> Any:
    return layer[0].lora_magnitude_vector["default"].weight


def lean(layer: Any) -> Any:
    """The same layer with our forward and the magnitudes that it had."""
    ours = copy.deepcopy(layer)
    kept = magnitude(ours).data.clone()
    use_lean_dora(ours)
    magnitude(ours).data = kept.float()
    return ours


@pytest.mark.parametrize("bias", [True, False])
def test_outputs_and_gradients_are_those_of_peft(bias: bool) -> None:
    theirs = peft_layer(bias=bias)
    with torch.no_grad():
        magnitude(theirs).mul_(torch.linspace(0.8, 1.3, LONG))
    ours = lean(theirs)
    x = torch.randn(7, WIDE)
    found = []
    for layer in (ours, theirs):
        given = x.clone().requires_grad_()
        output = layer(given)
        output.square().sum().backward()
        gradients = {n: p.grad for n, p in layer.named_parameters() if p.grad is not None}
        found.append((output.detach(), given.grad, gradients))
    torch.testing.assert_close(found[0][:2], found[1][:2], atol=1e-5, rtol=1e-5)
    assert found[0][2].keys() == found[1][2].keys()
    for name, gradient in found[0][2].items():
        torch.testing.assert_close(gradient, found[1][2][name], atol=1e-4, rtol=1e-4)


def test_merging_by_peft_gives_what_we_compute() -> None:
    ours = lean(peft_layer()).eval()
    x = torch.randn(7, WIDE)
    wanted = ours(x)
    ours[0].merge()
    torch.testing.assert_close(ours[0].get_base_layer()(x), wanted, atol=1e-5, rtol=1e-5)


def test_norms_are_those_of_the_whole_weight() -> None:
    weight, a, b = torch.randn(LONG, WIDE), torch.randn(RANK, WIDE), torch.randn(LONG, RANK)
    found = adapted_norms(weight, a, b, 0.25)
    torch.testing.assert_close(found, torch.linalg.norm(weight + 0.25 * b @ a, dim=1))


def test_the_frozen_weight_is_multiplied_by_once() -> None:
    """PEFT with dropout: twice, and once more the size of the weight itself."""
    theirs = peft_layer(dropout=0.1)
    x = torch.randn(512, WIDE)
    counted = []
    for layer in (lean(theirs), theirs):
        with FlopCounterMode(display=False) as counter:
            layer(x)
        counted.append(counter.get_total_flops())
    base, low = 2 * 512 * WIDE * LONG, 2 * 512 * RANK * (WIDE + LONG)
    assert counted[0] < 1.05 * (base + low)
    assert counted[1] > 2 * base + low


def test_in_bf16_a_run_begins_as_the_model_that_it_adapts() -> None:
    layer = peft_layer(dtype=torch.bfloat16)
    plain = layer[0].get_base_layer()
    with torch.no_grad():
        layer[0].lora_B["default"].weight.zero_()
    use_lean_dora(layer)
    assert magnitude(layer).dtype == torch.float32
    assert torch.equal(magnitude(layer), row_norms(plain.weight))
    x = torch.randn(7, WIDE).to(torch.bfloat16)
    torch.testing.assert_close(layer(x), plain(x), atol=0.01, rtol=0.01)


def test_in_bf16_a_small_step_of_a_magnitude_counts() -> None:
    """0.1 %, in the mean of many outputs, each of which has 8 bits; PEFT's own factor has too."""
    layer = lean(peft_layer(dtype=torch.bfloat16, bias=False)).eval()
    use_lean_dora(layer)
    x = torch.randn(4096, WIDE).to(torch.bfloat16)
    with torch.no_grad():
        magnitude(layer).mul_(1.05)
        before = layer(x).double()
        magnitude(layer).mul_(1.001)
        after = layer(x).double()
    grown = (after * before).sum(0) / before.square().sum(0) - 1
    assert grown.min() > 0.0005
    assert grown.max() < 0.0015
