"""A finished run as a folder that transformers and vLLM load.

Made from the last checkpoint on the CPU by one rank, so it needs no memory of the GPUs and can be
made again later.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from cauldron.training.adapters import lora_config
from cauldron.training.checkpoint import load_weights
from cauldron.training.config import TrainConfig
from cauldron.training.model import LoadedModel, load_model
from cauldron.training.network import adapted
from cauldron.training.new_tokens import NAME, NewTokens, fold
from cauldron.training.special_tokens import END_OF_UTTERANCE
from peft import PeftModel
from peft.tuners.trainable_tokens.layer import TrainableTokensLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers import GenerationConfig, Idefics3ImageProcessor, Idefics3Processor
from transformers.utils import logging


def export(config: TrainConfig, saved: Path, target: Path) -> None:
    """Write the model of a checkpoint with all that a user of it needs.

    Args:
        saved: folder of the checkpoint.
        target: must not be there yet; it is there whole or not at all.
    """
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    loaded = trained(config, saved)
    half = target.with_name(target.name + ".tmp")
    shutil.rmtree(half, ignore_errors=True)
    dtype = torch.bfloat16 if config.train.precision == "bf16" else torch.float32
    if config.train.adapter is not None and config.train.export == "adapter":
        as_adapter(config, loaded).to(dtype).save_pretrained(str(half))
    else:
        merge_adapters(loaded.model)
        fold(loaded.model)
        loaded.model.to(dtype).save_pretrained(half)
    write_processor(config, loaded, half)
    half.rename(target)


def trained(config: TrainConfig, saved: Path) -> LoadedModel:
    """The model on the CPU in fp32, adapters beside the weights they adapt."""
    loaded = adapted(config.train, torch.float32)
    weights = {name: p for name, p in loaded.model.named_parameters() if p.requires_grad}
    load_weights(saved, weights)
    loaded.model.eval()
    return loaded


def merge_adapters(model: nn.Module) -> None:
    """Merge each adapter into the layer that it adapts."""
    adapters = [(n, m) for n, m in model.named_modules() if isinstance(m, BaseTunerLayer)]
    for name, layer in adapters:
        merging: Any = layer
        merging.merge()
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer.get_base_layer())


def as_adapter(config: TrainConfig, loaded: LoadedModel) -> PeftModel:
    """The same weights as PEFT keeps them: adapters, and the connector whole."""
    rules = config.train
    base = load_model(rules.model).model
    new: NewTokens = loaded.model.get_submodule(NAME)
    tokens = {"embed_tokens": new.ids, "lm_head": new.ids}
    more: dict[str, Any] = {"modules_to_save": ["connector"], "trainable_token_indices": tokens}
    rows = {
        "embed_tokens": (base.get_input_embeddings().weight[new.ids] + new.embedding).detach(),
        "lm_head": (base.lm_head.weight[new.ids] + new.head).detach(),
    }
    found = PeftModel(base, lora_config(base, rules, **more))
    weights = {name: p for name, p in loaded.model.named_parameters() if p.requires_grad}
    weights = {name: p for name, p in weights.items() if not name.startswith(NAME)}
    whole = "model.connector."
    renamed = {
        f"base_model.model.{name.replace(whole, whole + 'modules_to_save.default.')}": weight
        for name, weight in weights.items()
    }
    unknown = found.load_state_dict(renamed, strict=False).unexpected_keys
    assert not unknown, unknown
    for name, module in found.named_modules():
        if isinstance(module, TrainableTokensLayer):
            place = next(part for part in rows if part in name)
            module.trainable_tokens_delta["default"].data.copy_(rows[place])
    return found


def write_processor(config: TrainConfig, loaded: LoadedModel, folder: Path) -> None:
    """Tokenizer, image settings, chat template and how generation ends."""
    tokenizer = loaded.tokenizer
    edge = config.train.longest_edge_at(config.train.steps)
    images = Idefics3ImageProcessor(
        size={"longest_edge": edge}, max_image_size={"longest_edge": loaded.tile}
    )
    template = tokenizer.chat_template
    processor = Idefics3Processor(
        images, tokenizer, image_seq_len=loaded.tile_tokens, chat_template=template
    )
    processor.save_pretrained(folder)
    # vLLM and older releases read the image settings from a file of their own.
    values = json.loads(images.to_json_string()) | {"processor_class": "Idefics3Processor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(values, indent=2) + "\n")
    ends = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.convert_tokens_to_ids(END_OF_UTTERANCE),
        pad_token_id=tokenizer.pad_token_id,
    )
    ends.save_pretrained(folder)
