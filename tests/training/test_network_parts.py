"""Vision, head, noise and adapters against what they replace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from cauldron.training.adapters import parameter_groups  # noqa: E402
from cauldron.training.config import AdapterRules, ModelRules, TrainRecipe  # noqa: E402
from cauldron.training.export import merge_adapters  # noqa: E402
from cauldron.training.forward import (  # noqa: E402
    add_noise,
    normalise,
    pack_losses,
    token_losses,
    use_fast_vision,
)
from cauldron.training.model import load_model, resized_positions  # noqa: E402
from cauldron.training.network import load_adapted, seed_of  # noqa: E402
from cauldron.training.new_tokens import merge_new_tokens, train_new_tokens  # noqa: E402
from cauldron.training.special_tokens import ADDED  # noqa: E402
from cauldron.training.tiny import TILE, tiny_model, tiny_tokenizer  # noqa: E402

from cauldron.core.errors import UsageError  # noqa: E402
from tests.training.packs import chat, four_chats, packed  # noqa: E402

TINY = ModelRules(name="tiny")
NEW_ROWS = {"new_tokens.embedding", "new_tokens.head"}
DORA = TrainRecipe(model=TINY, adapter=AdapterRules(rank=4, dropout=0.0))


def test_fast_vision_is_the_published_forward_bit_for_bit() -> None:
    vision: Any = tiny_model(tiny_tokenizer(), 1).model.vision_model.eval()
    pixels = normalise(chat(1, 5, 1).tiles, torch.float32)
    with torch.no_grad():
        wanted = vision(pixel_values=pixels).last_hidden_state
        use_fast_vision(vision)
        assert torch.equal(vision(pixel_values=pixels), wanted)


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_the_head_in_chunks_is_the_whole_cross_entropy(chunk: int) -> None:
    head = torch.nn.Linear(16, 50, bias=False)
    hidden = torch.randn(23, 16, requires_grad=True)
    targets = torch.randint(0, 50, (23,))
    token_losses(head, hidden, targets, chunk).sum().backward()
    ours = (hidden.grad.clone(), head.weight.grad.clone())
    hidden.grad = head.weight.grad = None
    torch.nn.functional.cross_entropy(head(hidden), targets, reduction="sum").backward()
    torch.testing.assert_close(ours[0], hidden.grad)
    torch.testing.assert_close(ours[1], head.weight.grad)


def test_a_sequence_with_nothing_to_learn_goes_through_forward_and_backward() -> None:
    model = load_model(TINY).model
    sequence = packed([chat(1, 0, 1)])
    found = pack_losses(model, sequence, tile=TILE, chunk=8)
    found.total.backward()
    assert found.total.item() == 0
    assert len(found.tokens) == 0


def test_the_empty_tile_of_a_text_only_sequence_changes_nothing() -> None:
    model = load_model(TINY).model
    text = chat(3, 0, 12)
    found = pack_losses(model, packed([text]), tile=TILE, chunk=8)
    found.total.backward()
    assert all(p.grad is not None for p in model.parameters())
    assert not any(p.grad.any() for p in model.model.vision_model.parameters())


def test_losses_tell_whose_document_each_is() -> None:
    model = load_model(TINY).model
    sequence = packed(four_chats())
    found = pack_losses(model, sequence, tile=TILE, chunk=8)
    counts = torch.bincount(found.documents, minlength=4).tolist()
    assert counts == [20, 31, 11, 25]


def test_noise_follows_from_its_seed_and_keeps_its_size() -> None:
    embeddings = torch.zeros((1, 40, 16))
    one, same, other = (add_noise(embeddings, 5.0, seed) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.abs().max() <= 5.0 / (40 * 16) ** 0.5


def test_frozen_towers_leave_the_connector_and_new_tokens_to_train() -> None:
    rules = TrainRecipe(model=TINY, frozen=("vision", "language"))
    model = load_adapted(rules, torch.float32).model
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"model.connector.modality_projection.proj.weight", *NEW_ROWS}


def test_adapters_train_beside_frozen_weights_and_the_connector() -> None:
    model = load_adapted(DORA, torch.float32).model
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    kinds = {name for name in trained if "lora_" not in name}
    assert kinds == {"model.connector.modality_projection.proj.weight", *NEW_ROWS}
    assert any("vision_model" in name for name in trained)
    assert any("lora_magnitude_vector" in name for name in trained)


def test_adapters_start_the_same_on_every_rank_whatever_was_drawn_before() -> None:
    first = load_adapted(DORA, torch.float32).model.state_dict()
    torch.rand(7)
    second = load_adapted(DORA, torch.float32).model.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_merged_adapters_compute_the_same() -> None:
    model = load_adapted(DORA, torch.float32).model.eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name or "magnitude" in name:
                parameter.add_(torch.randn_like(parameter) * 0.05)
        before = pack_losses(model, packed(four_chats()), tile=TILE, chunk=64).tokens
        plain = load_model(TINY).model.eval()
        untrained = pack_losses(plain, packed(four_chats()), tile=TILE, chunk=64).tokens
        merge_adapters(model)
        after = pack_losses(model, packed(four_chats()), tile=TILE, chunk=64).tokens
    assert not any("lora" in name for name in model.state_dict())
    assert (before - untrained).abs().max() > 1e-3
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)


def test_rows_of_new_tokens_train_alone_and_fold_into_the_model() -> None:
    loaded = load_model(TINY)
    model = loaded.model.eval()
    new = loaded.tokenizer.convert_tokens_to_ids(list(ADDED))
    before = {name: p.clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    train_new_tokens(model, loaded.tokenizer)
    ids = torch.cat([chat(1, 0, 9).ids, torch.tensor(new)])
    hidden = model.get_input_embeddings()(ids)
    assert torch.equal(hidden, before["model.text_model.embed_tokens.weight"][ids])
    model.lm_head(hidden).square().sum().backward()
    with torch.no_grad():
        for parameter in model.new_tokens.parameters():
            assert parameter.grad.any()
            parameter.add_(torch.randn_like(parameter))
        embedded = model.get_input_embeddings()(ids)
        logits = model.lm_head(embedded)
        merge_new_tokens(model)
        torch.testing.assert_close(model.get_input_embeddings()(ids), embedded)
        torch.testing.assert_close(model.lm_head(embedded), logits)
    after = dict(model.named_parameters())
    assert after.keys() == before.keys()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed == {"model.text_model.embed_tokens.weight", "lm_head.weight"}
    for name in changed:
        rows = (after[name] != before[name]).any(1).nonzero().squeeze(1).tolist()
        assert sorted(rows) == sorted(new)


@pytest.fixture
def tied(tmp_path: Path) -> ModelRules:
    """A folder of a model whose head is its embeddings."""
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    model = tiny_model(tokenizer, 4)
    model.lm_head.weight = model.get_input_embeddings().weight
    model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = True
    model.save_pretrained(tmp_path)
    return ModelRules(name=str(tmp_path))


def test_a_tied_head_is_untied_where_rows_of_it_train_alone(tied: ModelRules) -> None:
    whole = load_model(tied).model
    assert whole.lm_head.weight is whole.get_input_embeddings().weight
    model = load_adapted(DORA.model_copy(update={"model": tied}), torch.float32).model
    new = model.new_tokens
    with torch.no_grad():
        new.embedding.add_(torch.randn_like(new.embedding))
        new.head.add_(torch.randn_like(new.head))
        ids = torch.tensor(new.ids)
        embedded = model.get_input_embeddings()(ids)
        logits = model.lm_head(embedded)
        merge_new_tokens(model)
        torch.testing.assert_close(model.get_input_embeddings()(ids), embedded)
        torch.testing.assert_close(model.lm_head(embedded), logits)
    assert not model.config.tie_word_embeddings


def test_an_adapter_over_a_tied_head_is_refused_before_training(tied: ModelRules) -> None:
    rules = DORA.model_copy(update={"model": tied, "export": "adapter"})
    with pytest.raises(UsageError, match="export=merged"):
        load_adapted(rules, torch.float32)


def test_only_matrices_decay() -> None:
    model = load_model(TINY).model
    matrices, vectors = parameter_groups(model, 0.1)
    assert {p.ndim for p in vectors["params"]} == {1}
    assert vectors["weight_decay"] == 0.0
    assert len(matrices["params"]) + len(vectors["params"]) == len(list(model.parameters()))


def test_positions_keep_their_values_on_the_same_grid_and_grow_to_another() -> None:
    positions = torch.randn(16, 8)
    assert torch.equal(resized_positions(positions, 16), positions)
    assert resized_positions(torch.ones(16, 8), 25).allclose(torch.ones(25, 8))


def test_seeds_differ_by_every_part_and_its_place() -> None:
    seeds = {seed_of(a, b, c) for a in range(8) for b in range(8) for c in range(8)}
    assert len(seeds) == 512
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(1, 2) == 6_804_074_658_870_690_613
