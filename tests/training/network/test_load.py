"""Networks from checkpoints on disk: published ones, and two that are composed."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from cauldron.training.config import ModelRules  # noqa: E402
from cauldron.training.network import load  # noqa: E402
from cauldron.training.network.forward import pack_losses  # noqa: E402
from cauldron.training.network.load import load_model  # noqa: E402
from cauldron.training.network.special_tokens import ADDED  # noqa: E402
from cauldron.training.network.tiny import tiny_model, tiny_tokenizer  # noqa: E402
from cauldron.training.resume import base_weights  # noqa: E402

from cauldron.core.errors import UsageError  # noqa: E402
from tests.training.packs import four_chats, packed  # noqa: E402


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of a SigLIP of 28 pixels and of a Llama without image tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import (
        LlamaConfig,
        LlamaForCausalLM,
        PreTrainedTokenizerFast,
        SiglipVisionConfig,
        SiglipVisionModel,
    )

    folder = tmp_path_factory.mktemp("parts")
    vision, language = folder / "vision", folder / "language"
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
             "num_attention_heads": 4}  # fmt: skip
    torch.manual_seed(1)
    SiglipVisionModel(SiglipVisionConfig(**sizes, image_size=28, patch_size=14)).save_pretrained(
        vision
    )
    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokens.train_from_iterator(["what is in the picture"] * 3, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokens, bos_token="<s>", eos_token="</s>")
    fast.save_pretrained(language)
    LlamaForCausalLM(LlamaConfig(**sizes, vocab_size=len(fast))).save_pretrained(language)
    return vision, language


def composed(parts: tuple[Path, Path], seed: int = 0) -> ModelRules:
    vision, language = map(str, parts)
    return ModelRules(vision=vision, language=language, tile=56, scale_factor=2, init_seed=seed)


def test_a_composed_model_has_the_weights_of_its_parts(parts: tuple[Path, Path]) -> None:
    from transformers import LlamaForCausalLM, SiglipVisionModel

    loaded = load_model(composed(parts))
    vision = SiglipVisionModel.from_pretrained(parts[0]).state_dict()
    language = LlamaForCausalLM.from_pretrained(parts[1])
    ours = loaded.model.model.vision_model.state_dict()
    name = "encoder.layers.1.mlp.fc1.weight"
    theirs = next(weight for key, weight in vision.items() if key.endswith(name))
    assert torch.equal(ours[name], theirs)
    layer = loaded.model.model.text_model.layers[1].mlp.up_proj.weight
    assert torch.equal(layer, language.model.layers[1].mlp.up_proj.weight)
    assert (loaded.tile, loaded.tile_tokens) == (56, 4)


def test_new_tokens_begin_as_the_mean_of_the_old(parts: tuple[Path, Path]) -> None:
    from transformers import LlamaForCausalLM

    loaded = load_model(composed(parts))
    language = LlamaForCausalLM.from_pretrained(parts[1])
    new = loaded.tokenizer.convert_tokens_to_ids(list(ADDED))
    for ours, theirs in (
        (loaded.model.get_input_embeddings(), language.get_input_embeddings()),
        (loaded.model.lm_head, language.lm_head),
    ):
        old = theirs.weight.shape[0]
        assert min(new) == old
        torch.testing.assert_close(ours.weight[new], theirs.weight.mean(0).expand(len(new), -1))
        assert torch.equal(ours.weight[:old], theirs.weight)


def test_a_fresh_connector_follows_from_the_seed(parts: tuple[Path, Path]) -> None:
    def connector(seed: int) -> object:
        return load_model(composed(parts, seed)).model.model.connector.modality_projection.proj

    first, same, other = (connector(seed).weight for seed in (0, 0, 1))  # type: ignore[attr-defined]
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("kind", ["composed", "tiny"])
def test_in_bf16_only_weights_lose_digits(parts: tuple[Path, Path], kind: str) -> None:
    """Rotary frequencies in bf16 would be off by whole turns at position 10,000."""
    rules = composed(parts) if kind == "composed" else ModelRules(name="tiny")
    half, whole = (load_model(rules, dtype).model for dtype in (torch.bfloat16, torch.float32))
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    buffers = dict(whole.named_buffers())
    assert any("inv_freq" in name for name in buffers)
    for name, buffer in half.named_buffers():
        assert buffer.dtype == buffers[name].dtype
        assert torch.equal(buffer, buffers[name])


def test_a_language_model_with_tied_weights_gets_a_head_of_its_own(
    parts: tuple[Path, Path], tmp_path: Path
) -> None:
    from transformers import (
        AutoConfig,
        AutoTokenizer,
        Idefics3ForConditionalGeneration,
        LlamaForCausalLM,
    )

    config = AutoConfig.from_pretrained(parts[1], tie_word_embeddings=True)
    language = LlamaForCausalLM(config)
    assert language.lm_head.weight is language.model.embed_tokens.weight
    language.save_pretrained(tmp_path / "tied")
    AutoTokenizer.from_pretrained(parts[1]).save_pretrained(tmp_path / "tied")
    rules = ModelRules(vision=str(parts[0]), language=str(tmp_path / "tied"), tile=56)
    model = load_model(rules).model
    assert torch.equal(model.lm_head.weight, model.get_input_embeddings().weight)
    with torch.no_grad():
        model.lm_head.weight.add_(1)
    model.save_pretrained(tmp_path / "saved")
    again = Idefics3ForConditionalGeneration.from_pretrained(tmp_path / "saved")
    assert torch.equal(again.lm_head.weight, model.lm_head.weight)
    assert torch.equal(again.get_input_embeddings().weight, model.get_input_embeddings().weight)
    tied = (again.config.tie_word_embeddings, again.config.text_config.tie_word_embeddings)
    assert tied == (False, False)


def test_a_published_folder_computes_what_was_saved(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    tiny_model(tokenizer, 4).save_pretrained(tmp_path)
    loaded = load_model(ModelRules(name=str(tmp_path)))
    direct = load_model(ModelRules(name="tiny", init_seed=4))
    with torch.no_grad():
        ours, wanted = (
            pack_losses(model, packed(four_chats()), tile=56, chunk=64).tokens
            for model in (loaded.model.eval(), direct.model.eval())
        )
    torch.testing.assert_close(ours, wanted)
    assert loaded.tile_tokens == 4


def test_a_hub_id_may_name_a_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it lies in the hub's cache: one folder a commit, and branches that name commits."""
    tokenizer = tiny_tokenizer()
    for commit, seed in (("aaa", 4), ("bbb", 5)):
        folder = tmp_path / "models--org--name" / "snapshots" / commit
        tokenizer.save_pretrained(folder)
        tiny_model(tokenizer, seed).save_pretrained(folder)
    names = tmp_path / "models--org--name" / "refs"
    names.mkdir()
    (names / "main").write_text("aaa")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("transformers.utils.hub.TRANSFORMERS_CACHE", str(tmp_path), raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    head = [load_model(ModelRules(name=name)).model.lm_head.weight
            for name in ("org/name", "org/name@bbb")]  # fmt: skip
    wanted = [load_model(ModelRules(name="tiny", init_seed=s)).model.lm_head.weight for s in (4, 5)]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(head, wanted, strict=True))
    assert base_weights(ModelRules(name="org/name@bbb")) == {"org/name@bbb": "bbb"}


def test_a_mistral_checkpoint_is_opened_by_its_tokenizer_json(
    parts: tuple[Path, Path], tmp_path: Path
) -> None:
    from transformers import AutoTokenizer, MistralConfig

    AutoTokenizer.from_pretrained(parts[1]).save_pretrained(tmp_path)
    MistralConfig().save_pretrained(tmp_path)
    (tmp_path / "tekken.json").write_text("{}")
    assert load._tokenizer(str(tmp_path)).backend_tokenizer.to_str()


def test_a_model_of_another_kind_is_refused(parts: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match=r"is a llama model; give an Idefics3 or SmolVLM one"):
        load_model(ModelRules(name=str(parts[1])))


def test_a_model_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be loaded") as found:
        load_model(ModelRules(name=str(tmp_path / "none")))
    assert "\n" not in str(found.value)
