"""Operations of a pack, against figures published or counted by others."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from cauldron.training.flops import (
    IDEFICS3_8B,
    LanguageShape,
    ModelShape,
    Passes,
    VisionShape,
    document_flops,
    pack_flops,
    tile_flops,
)

SMOLVLM = ModelShape(
    vision=VisionShape(layers=27, hidden=1152, intermediate=4304, patches=729, patch=14),
    language=LanguageShape(
        layers=24,
        hidden=2048,
        intermediate=8192,
        heads=32,
        key_heads=32,
        head_dim=64,
        vocabulary=49_152,
    ),
    tokens_per_tile=81,
    shuffle=3,
)


def test_a_forward_pass_costs_what_the_project_s_table_says():
    assert tile_flops(SMOLVLM.vision) / 1e12 == pytest.approx(0.666, abs=0.001)
    assert tile_flops(IDEFICS3_8B.vision) / 1e12 == pytest.approx(0.614, abs=0.001)
    assert document_flops(SMOLVLM.language, 2000) / 2000e9 == pytest.approx(3.42, abs=0.01)
    assert document_flops(IDEFICS3_8B.language, 2000) / 2000e9 == pytest.approx(14.5, abs=0.05)


@pytest.mark.parametrize(
    ("passes", "teraflops"),
    [
        (Passes(), 49.7),
        (Passes.of(vision="frozen"), 27.0),
        (Passes.of(vision="adapter", language="adapter"), 33.2),
    ],
)
def test_a_step_over_17_tiles_costs_what_the_project_s_table_says(passes, teraflops):
    found = pack_flops(SMOLVLM, 17, [1531], 100, passes)
    assert found.total / 1e12 == pytest.approx(teraflops, rel=0.005)


def test_documents_in_one_pack_cost_less_than_one_document_of_their_length():
    apart = pack_flops(SMOLVLM, 0, [1000] * 10, 0).language
    together = pack_flops(SMOLVLM, 0, [10_000], 0).language
    assert apart < 0.9 * together


def test_a_frozen_language_model_still_passes_gradients_on():
    assert Passes.of(vision="frozen", language="frozen") == Passes(1, 3, 2, 2)


def test_the_shape_is_read_from_a_configuration():
    config = SimpleNamespace(
        scale_factor=3,
        vision_config=SimpleNamespace(
            hidden_size=1152,
            intermediate_size=4304,
            num_hidden_layers=27,
            image_size=384,
            patch_size=14,
        ),
        text_config=SimpleNamespace(
            hidden_size=2048,
            intermediate_size=8192,
            num_hidden_layers=24,
            num_attention_heads=32,
            num_key_value_heads=32,
            head_dim=None,
            vocab_size=49_152,
        ),
    )
    assert ModelShape.of(config) == SMOLVLM


def test_parameters_and_operations_of_a_real_layer_agree():
    """Twice the weights for each token, plus the products of queries and keys and of values."""
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaDecoderLayer

    config = LlamaConfig(
        hidden_size=64, intermediate_size=128, num_attention_heads=4, num_key_value_heads=2
    )
    layer = LlamaDecoderLayer(config, 0)
    weights = sum(p.numel() for p in layer.parameters() if p.dim() == 2)
    shape = LanguageShape(1, 64, 128, 4, 2, 16, 100)
    assert document_flops(shape, 10) == 2 * 10 * weights + 2 * 10 * 10 * 64
