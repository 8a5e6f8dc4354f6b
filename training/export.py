"""``RUN/model``: the run's model as a folder that transformers and vLLM load.

Made from the last checkpoint on the CPU by one rank, so it needs no GPU memory and can be made
again later. ``exported.json`` records the step, the form and the lineage, so that only another
export is made again. The folder is replaced by renames: a kill in the middle leaves the old one,
the new one, or none, and the same command then makes it again.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from cauldron.training.checkpoint import Checkpoint, load_weights
from cauldron.training.config import TrainConfig
from cauldron.training.disk import not_written
from cauldron.training.network.adapters import lora_config
from cauldron.training.network.build import load_adapted
from cauldron.training.network.load import LoadedModel, load_model
from cauldron.training.network.new_tokens import NAME, NewTokens, merge_new_tokens
from cauldron.training.network.special_tokens import CHAT_TEMPLATE, END_OF_UTTERANCE
from peft import PeftModel
from peft.tuners.trainable_tokens.layer import TrainableTokensLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError
from torch import nn
from transformers import GenerationConfig, Idefics3ImageProcessor, Idefics3Processor
from transformers.utils import logging

from cauldron.core import storage
from cauldron.core.errors import first_line
from cauldron.core.output.runs import EXPORTED, Lineage
from cauldron.core.tiles import Upscale

_FOLDER = "model"


def export_run(
    config: TrainConfig, last: Checkpoint, upscale: Upscale, lineage: Lineage
) -> tuple[Path, bool]:
    """Export the run's last checkpoint. Returns the folder, and whether it was made now.

    Args:
        upscale: of small images, as trained.
        lineage: what the model was trained on.
    """
    run, rules = Path(config.output), config.train
    target, new, old = (run / f"{_FOLDER}{suffix}" for suffix in ("", ".new", ".old"))
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    form = "whole" if rules.adapter is None else rules.export
    wanted: dict[str, Any] = {"step": last.step, "export": form, "upscale": upscale}
    wanted["lineage"] = lineage.model_dump(mode="json")
    if exported(target) == wanted:
        return target, False
    try:
        write_model(config, last.folder, new, upscale)
        storage.write_json(str(new / EXPORTED), wanted)
    except BaseException as error:
        shutil.rmtree(new, ignore_errors=True)
        if isinstance(error, SafetensorError):  # it hides the error of the disk in a text
            raise not_written(target, first_line(error)) from error
        raise
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return target, True


def exported(target: Path) -> dict[str, Any] | None:
    """What an exported folder holds; None if it is missing or of a version without the file."""
    try:
        found: dict[str, Any] = storage.read_json(str(target / EXPORTED))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found


def write_model(config: TrainConfig, saved: Path, folder: Path, upscale: Upscale) -> None:
    """Write the model of a checkpoint, its tokenizer and its settings to a new folder.

    Args:
        saved: folder of the checkpoint.
    """
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    loaded = load_trained(config, saved)
    dtype = torch.bfloat16 if config.train.precision == "bf16" else torch.float32
    if config.train.adapter is not None and config.train.export == "adapter":
        as_adapter(config, loaded).to(dtype).save_pretrained(str(folder))
    else:
        merge_adapters(loaded.model)
        merge_new_tokens(loaded.model)
        loaded.model.to(dtype).save_pretrained(folder)
    write_processor(config, loaded, folder, upscale)


def load_trained(config: TrainConfig, saved: Path) -> LoadedModel:
    """The model of a checkpoint on the CPU in fp32, with its adapters not merged."""
    loaded = load_adapted(config.train, torch.float32)
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
    """The same weights in PEFT's form: adapters, and the whole connector."""
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
    connector = "model.connector."
    renamed = {
        f"base_model.model.{name.replace(connector, connector + 'modules_to_save.default.')}": p
        for name, p in weights.items()
    }
    unknown = found.load_state_dict(renamed, strict=False).unexpected_keys
    assert not unknown, unknown
    for name, module in found.named_modules():
        if isinstance(module, TrainableTokensLayer):
            place = next(part for part in rows if part in name)
            module.trainable_tokens_delta["default"].data.copy_(rows[place])
    return found


def write_processor(
    config: TrainConfig, loaded: LoadedModel, folder: Path, upscale: Upscale
) -> None:
    """Write tokenizer, image settings, chat template and generation settings."""
    tokenizer = loaded.tokenizer
    # The layout of training, whatever template the base model came with.
    tokenizer.chat_template = CHAT_TEMPLATE
    edge = config.train.longest_edge_at(config.train.steps)
    images = Idefics3ImageProcessor(
        size={"longest_edge": edge},
        max_image_size={"longest_edge": loaded.tile},
        # For `cauldron.training.processor`; transformers ignores it.
        upscale=upscale,  # type: ignore[call-arg]
    )
    processor = Idefics3Processor(
        images, tokenizer, image_seq_len=loaded.tile_tokens, chat_template=CHAT_TEMPLATE
    )
    processor.save_pretrained(folder)
    # vLLM and older releases read the image settings from this file.
    values = json.loads(images.to_json_string()) | {"processor_class": "Idefics3Processor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(values, indent=2) + "\n")
    generation = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.convert_tokens_to_ids(END_OF_UTTERANCE),
        pad_token_id=tokenizer.pad_token_id,
    )
    generation.save_pretrained(folder)
