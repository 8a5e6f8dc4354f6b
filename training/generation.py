"""Answers of a model by transformers: greedy, in batches, with images sized as in training.

A model is a run's folder (its last checkpoint, merged in memory), an exported folder, or a hub id.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from cauldron.training import failure
from cauldron.training.checkpoint import newest_checkpoint
from cauldron.training.config import ModelRules, TrainConfig
from cauldron.training.data.settings import upscale_of_run
from cauldron.training.export import (
    exported,
    load_trained,
    merge_adapters,
    write_processor,
)
from cauldron.training.network.build import Network, base_dtype, load_adapted
from cauldron.training.network.load import LoadedModel
from cauldron.training.network.new_tokens import merge_new_tokens
from cauldron.training.network.special_tokens import END_OF_UTTERANCE
from cauldron.training.processor import TrainedImageProcessor, load_processor
from cauldron.training.resume import base_weights, files_digest
from PIL import Image
from torch.distributed.distributed_c10d import _get_default_store
from torch.distributed.tensor import DTensor
from transformers import AutoConfig, AutoModelForImageTextToText
from transformers.utils import logging

from cauldron.core import storage
from cauldron.core.errors import CauldronError, UsageError, first_line
from cauldron.core.generation import Decoding, Question, Unanswered
from cauldron.core.output.mixture import load_mixture
from cauldron.core.output.runs import read_run
from cauldron.core.tiles import Upscale
from cauldron.core.tokenizer import split_revision

_BYTES_PER_TOKEN = 4
# Ranks end at about the same time; one may have many long answers left.
_PATIENCE = timedelta(hours=6)
_FAMILIES = ("idefics3", "smolvlm")


class TransformersEngine:
    """An `Engine` of an Idefics3 or SmolVLM in this process.

    Args:
        model: on its device, in its dtype.
        processor: of `load_processor`.
    """

    independent = False

    def __init__(self, model: Any, processor: Any) -> None:
        self._model, self._processor = model.eval(), processor
        # Generation goes on at the right end, so prompts are aligned there.
        processor.tokenizer.padding_side = "left"
        self._tile = int(processor.image_processor.max_image_size["longest_edge"])
        ends = model.generation_config.eos_token_id
        known = ends if isinstance(ends, list) else [] if ends is None else [ends]
        spoken = processor.tokenizer.convert_tokens_to_ids(END_OF_UTTERANCE)
        self._ends = sorted({*known, spoken, processor.tokenizer.eos_token_id} - {None})

    def length(self, question: Question, decoding: Decoding) -> int:
        """Image tokens by the tile arithmetic, and text tokens by an estimate."""
        size = {"size": {"longest_edge": decoding.edge_for(self._tile)}}
        tokens = 0
        for part in question.parts:
            if isinstance(part, str):
                tokens += len(part.encode()) // _BYTES_PER_TOKEN
                continue
            width, height = Image.open(io.BytesIO(part)).size
            tiles = self._processor.image_processor.get_number_of_image_patches(height, width, size)
            tokens += tiles[0] * int(self._processor.image_seq_len)
        return tokens

    @torch.inference_mode()
    def generate(self, questions: Sequence[Question], decoding: Decoding) -> list[str | Unanswered]:
        inputs = self._inputs(questions, decoding).to(self._model.device)
        if "pixel_values" in inputs:
            inputs["pixel_values"] = inputs["pixel_values"].to(self._model.dtype)
        try:
            found = self._model.generate(
                **inputs,
                do_sample=False,
                max_new_tokens=decoding.max_new_tokens,
                eos_token_id=self._ends,
                pad_token_id=self._processor.tokenizer.pad_token_id,
            )
        except torch.OutOfMemoryError as error:
            raise CauldronError(
                f"out of GPU memory with {len(questions)} questions at once "
                f"({first_line(error)}); give a smaller --batch, and another --output"
            ) from None
        new = found[:, inputs["input_ids"].shape[1] :]
        texts = self._processor.batch_decode(new, skip_special_tokens=True)
        return [decoding.cut(text) for text in texts]

    def _inputs(self, questions: Sequence[Question], decoding: Decoding) -> Any:
        chats = [[{"role": "user", "content": content_of(question)}] for question in questions]
        edge = {"longest_edge": decoding.edge_for(self._tile)}
        return self._processor.apply_chat_template(
            chats,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True, "images_kwargs": {"size": edge}},
        )


def content_of(question: Question) -> list[dict[str, Any]]:
    """The `content` of a chat message, with its images opened."""
    return [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image", "image": Image.open(io.BytesIO(part))}
        for part in question.parts
    ]


def device_of_rank() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def load_engine(model: str, device: torch.device) -> TransformersEngine:
    """An engine of a run's folder, an exported folder or a hub id.

    Raises:
        UsageError: there is no such model, or it is of another family.
    """
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    if read_run(model) is not None:
        config, last, upscale = _run(model)
        return _engine_of(config, load_trained(config, last), upscale, device, dtype)
    name, revision = split_revision(model)
    where: dict[str, Any] = {"revision": revision or "main"}
    try:
        family = AutoConfig.from_pretrained(name, **where).model_type
        if family not in _FAMILIES:
            raise UsageError(
                f"{model} is a {family} model; serve it and give the address of the endpoint "
                f"(transformers runs {' and '.join(_FAMILIES)} here)"
            )
        processor = load_processor(name, **where)
        loaded: Any = AutoModelForImageTextToText.from_pretrained(name, dtype=dtype, **where)
    except (OSError, ValueError) as error:
        raise UsageError(f"the model cannot be loaded: {first_line(error)}") from error
    return TransformersEngine(loaded.to(device), processor)


@dataclass(frozen=True)
class Joined:
    """This process among those of torchrun. `wait` returns when all have called it."""

    rank: int
    world: int

    def wait(self) -> None:
        dist.barrier()


@contextmanager
def joined(say: Callable[[str], None]) -> Iterator[Joined]:
    """Join the processes of torchrun. With several, a failure ends this process.

    The others then end too, instead of waiting for it (see `cauldron.training.failure`).
    """
    dist.init_process_group("gloo", timeout=_PATIENCE)
    found = Joined(dist.get_rank(), dist.get_world_size())
    try:
        yield found
    except BaseException as error:
        failure.end(error, found.rank, found.world, _get_default_store(), say)
    dist.destroy_process_group()


def digest_of(model: str) -> str | None:
    """Identifies the weights: a digest of a folder's files, or a commit of the hub.

    None if unknown: the hub cannot be reached.
    """
    if read_run(model) is not None:
        return files_digest(sorted(_run(model)[1].rglob("*")))
    return base_weights(ModelRules(name=model))[model]


def name_of(model: str) -> str:
    """A name for the results of a model: of a run with its step."""
    if read_run(model) is not None:
        return f"{Path(model).resolve().name}-{_run(model)[1].name}"
    name, revision = split_revision(model)
    last = (Path(name).resolve() if os.path.isdir(name) else Path(name)).name
    return f"{last}-{revision}" if revision else last


def _run(model: str) -> tuple[TrainConfig, Path, Upscale]:
    """The configuration, the last checkpoint's folder, and how small images are scaled up."""
    run = Path(model)
    config = TrainConfig.model_validate(storage.read_json(str(run / "config.json")))
    last = newest_checkpoint(run)
    if last is None:
        raise UsageError(f"{model} has no checkpoint yet; run `cauldron train` until it saves one")
    said = (exported(run / "model") or {}).get("upscale")
    return config, last.folder, said or upscale_of_run(config, load_mixture(config.mixture))


def engine_of_network(
    config: TrainConfig, network: Network, upscale: Upscale, device: torch.device
) -> TransformersEngine:
    """An engine of the weights that a run has now. All ranks must call it.

    The engine is a copy on each rank's device: a sharded model would need all ranks in every step
    of every answer. The base weights are read again, which takes seconds, and 16 GB of a GPU's
    memory are taken by a model of 8B.
    """
    loaded = load_adapted(config.train, base_dtype(config.train, device))
    copy = dict(loaded.model.named_parameters())
    for name, parameter in network.trainable().items():
        value = parameter.detach()
        whole = value.full_tensor() if isinstance(value, DTensor) else value
        copy[name].data.copy_(whole)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    return _engine_of(config, loaded, upscale, device, dtype)


def _engine_of(
    config: TrainConfig,
    loaded: LoadedModel,
    upscale: Upscale,
    device: torch.device,
    dtype: torch.dtype,
) -> TransformersEngine:
    """Args: loaded: its adapters are merged here."""
    model = loaded.model
    merge_adapters(model)
    merge_new_tokens(model)
    # Training's attention and vision take packs. `vars`: the published forward is the class's.
    model.model.text_model.set_attn_implementation("sdpa")
    vars(model.model.vision_model).pop("forward")
    with tempfile.TemporaryDirectory(prefix="cauldron-eval-") as folder:
        write_processor(config, loaded, Path(folder), upscale)
        processor = load_processor(folder)
    assert isinstance(processor.image_processor, TrainedImageProcessor)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
        parameter.data = parameter.data.to(device, dtype)
    return TransformersEngine(model.to(device), processor)
