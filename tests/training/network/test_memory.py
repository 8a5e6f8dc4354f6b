"""The estimate tells settings that fit a card from those that do not."""

from __future__ import annotations

import pytest
from cauldron.training.config import AdapterRules, TrainRecipe
from cauldron.training.network.flops import IDEFICS3_8B, LanguageShape, ModelShape, VisionShape
from cauldron.training.network.memory import estimate

GIB = 2**30
SMOLVLM_2B = ModelShape(
    vision=VisionShape(layers=27, hidden=1152, intermediate=4304, patches=729, patch=14),
    language=LanguageShape(
        layers=24, hidden=2048, intermediate=8192, heads=32, key_heads=32, head_dim=64,
        vocabulary=49_155,
    ),
    tokens_per_tile=81,
    shuffle=3,
)  # fmt: skip
PARAMETERS = 2_246_000_000


def whole(world: int = 1, **rules: object) -> float:
    recipe = TrainRecipe.model_validate(rules)
    return estimate(SMOLVLM_2B, recipe, PARAMETERS, PARAMETERS, world).total / GIB


def test_a_2b_model_trained_whole_fits_80_gb_by_default_only() -> None:
    assert whole() < 60
    assert whole(recompute="vision") > 65
    assert whole(recompute="none") > 100


def test_ranks_share_all_but_activations() -> None:
    one = estimate(SMOLVLM_2B, TrainRecipe(), PARAMETERS, PARAMETERS, 1)
    eight = estimate(SMOLVLM_2B, TrainRecipe(), PARAMETERS, PARAMETERS, 8)
    assert eight.moments == one.moments / 8
    assert eight.activations == one.activations
    assert estimate(SMOLVLM_2B, TrainRecipe(shard=1), PARAMETERS, PARAMETERS, 8) == one


def test_adapters_need_no_moments_of_frozen_weights() -> None:
    found = estimate(IDEFICS3_8B, TrainRecipe(adapter=AdapterRules()), 8_700_000_000, 10**8, 1)
    assert found.moments == 8e8
    assert found.weights / GIB == pytest.approx(16.4, abs=0.2)
    assert str(found).startswith("memory: about ")
    assert "\n" not in str(found)
