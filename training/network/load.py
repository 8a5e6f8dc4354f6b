"""Loads the model of a run: published, composed of two with a new connector, or tiny."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from cauldron.training.config import ModelRules
from cauldron.training.network import tiny
from cauldron.training.network.attention import use_packed_attention
from cauldron.training.network.forward import use_fast_vision
from cauldron.training.network.new_tokens import untie_head
from cauldron.training.network.special_tokens import ADDED, CHAT_TEMPLATE
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    SiglipVisionModel,
)
from transformers.models.idefics3.modeling_idefics3 import Idefics3Connector

from cauldron.core.errors import UsageError
from cauldron.core.hub.calls import use_client
from cauldron.core.tokenizer import split_revision


@dataclass(frozen=True)
class LoadedModel:
    """A model, its tokenizer and the size of its tiles.

    Attributes:
        model: ``Idefics3ForConditionalGeneration``.
        tokenizer: ``PreTrainedTokenizerFast``.
        tile: side of a tile in pixels.
        tile_tokens: image tokens of a tile.
    """

    model: Any
    tokenizer: Any
    tile: int
    tile_tokens: int


def load_model(rules: ModelRules, dtype: torch.dtype = torch.float32) -> LoadedModel:
    """Load the model, in `dtype`, on the CPU.

    Raises:
        UsageError: there is no such checkpoint, or it is of another type.
    """
    if rules.name == "tiny":
        tokenizer = tiny.tiny_tokenizer()
        made: Any = tiny.tiny_model(tokenizer, rules.init_seed)
        for parameter in made.parameters():
            # Only parameters: rotary frequencies are buffers, and too imprecise in bf16.
            parameter.data = parameter.data.to(dtype)
        return _loaded(made, tokenizer)
    try:
        if rules.name is not None:
            return _published(rules.name, dtype)
        return _composed(rules, dtype)
    except (OSError, ValueError) as error:
        # The message of transformers for a missing or gated checkpoint has many lines.
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"the model cannot be loaded: {reason}") from error


def _published(name: str, dtype: torch.dtype) -> LoadedModel:
    config = _load(AutoConfig, name)
    if config.model_type not in ("idefics3", "smolvlm"):
        raise UsageError(f"{name} is a {config.model_type} model; give an Idefics3 or SmolVLM one")
    values = config.to_dict()
    values.pop("model_type")
    model = _load(
        Idefics3ForConditionalGeneration, name, config=Idefics3Config(**values), dtype=dtype
    )
    return _loaded(model, _tokenizer(name))


def _load(kind: Any, spec: str, **options: Any) -> Any:
    """Args: kind: has a `from_pretrained`. spec: folder, or hub id with or without revision."""
    name, revision = split_revision(spec)
    use_client()
    return kind.from_pretrained(name, revision=revision or "main", **options)


def _tokenizer(spec: str) -> Any:
    # transformers would open a checkpoint with a ``tekken.json`` by mistral-common, which is
    # installed for its data alone, and the result has no ``tokenizer.json``.
    return _load(AutoTokenizer, spec, mistral_format=False)


def _composed(rules: ModelRules, dtype: torch.dtype) -> LoadedModel:
    """SigLIP and Llama in an Idefics3; the connector is random, new tokens are the mean.

    The parts are moved, not copied, so an 8B model is in memory once. Position embeddings of the
    vision model are resized if its image size differs.
    """
    assert rules.vision
    assert rules.language
    vision = _load(SiglipVisionModel, rules.vision, dtype=dtype)
    language = _load(AutoModelForCausalLM, rules.language, dtype=dtype)
    tokenizer = _tokenizer(rules.language)
    untie_head(language)
    added = add_tokens(tokenizer)
    grow_embeddings(language, len(tokenizer), added)
    seen = vision.config.to_dict() | {"image_size": rules.tile}
    config = Idefics3Config(
        text_config=language.config,
        vision_config={k: v for k, v in seen.items() if k != "model_type"},
        image_token_id=int(tokenizer.convert_tokens_to_ids("<image>")),
        scale_factor=rules.scale_factor,
        tie_word_embeddings=False,
    )
    with torch.device("meta"):
        model: Any = Idefics3ForConditionalGeneration(config)
    model.model.text_model, model.lm_head = language.model, language.lm_head
    _load_vision(model.model.vision_model, vision)
    model.model.connector = _fresh_connector(model, rules.init_seed).to(dtype)
    assert not any(part.is_meta for part in (*model.parameters(), *model.buffers()))
    return _loaded(model, tokenizer)


def _fresh_connector(model: Any, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made: Any = Idefics3Connector(model.config)  # type: ignore[no-untyped-call]
        return cast(nn.Module, made.apply(model._init_weights))


def _load_vision(target: nn.Module, siglip: nn.Module) -> None:
    inner: Any = getattr(siglip, "vision_model", siglip)
    # Idefics3 reads hidden states and has no pooling head.
    weights = {k: v for k, v in inner.state_dict().items() if not k.startswith("head.")}
    name = "embeddings.position_embedding.weight"
    wanted = target.state_dict()[name].shape[0]
    weights[name] = resized_positions(weights[name], wanted)
    target.load_state_dict(weights, assign=True)


def resized_positions(positions: torch.Tensor, wanted: int) -> torch.Tensor:
    """Resize the position embeddings of a square grid, bicubic.

    Args:
        positions: shape (side * side, width).
        wanted: side * side of the new grid.
    """
    if len(positions) == wanted:
        return positions
    old, new = (round(number**0.5) for number in (len(positions), wanted))
    grid = positions.reshape(1, old, old, -1).permute(0, 3, 1, 2)
    scaled = nn.functional.interpolate(grid.float(), (new, new), mode="bicubic")
    return scaled.permute(0, 2, 3, 1).reshape(wanted, -1).to(positions.dtype)


def add_tokens(tokenizer: Any) -> int:
    """Add Idefics3's tokens and template to a tokenizer. Returns the number of new tokens."""
    tokenizer.chat_template = CHAT_TEMPLATE
    added = tokenizer.add_special_tokens({"additional_special_tokens": list(ADDED)})
    return int(added)


def grow_embeddings(language: Any, size: int, added: int) -> None:
    """Add rows for `added` new tokens, each the mean of the existing rows."""
    before = size - added
    if added == 0:
        return
    language.resize_token_embeddings(size, mean_resizing=False)
    with torch.no_grad():
        for part in (language.get_input_embeddings(), language.get_output_embeddings()):
            part.weight[before:] = part.weight[:before].float().mean(0).to(part.weight.dtype)


def _loaded(model: Any, tokenizer: Any) -> LoadedModel:
    seen = model.config.vision_config
    tokens = (seen.image_size // seen.patch_size) ** 2 // model.config.scale_factor**2
    use_packed_attention(model.model.text_model)
    use_fast_vision(model.model.vision_model)
    return LoadedModel(model, tokenizer, seen.image_size, tokens)
