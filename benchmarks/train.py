"""A training step on one GPU: tokens/s, MFU and peak memory, beside the transformers Trainer.

    python benchmarks/train.py                    # one table; about ten minutes on an H100
    python benchmarks/train.py --only 2b --steps 6
    python benchmarks/train.py --tiny             # on a CPU in a minute, to see that it runs

No network and no mixture: weights are random, at the sizes of SmolVLM-2.2B (SigLIP-SO400M, a Llama
of 1.7B) and Idefics3-8B, and conversations are made up, with the lengths and tiles of a document
mixture. Both sides train on the same conversations. Ours packs them into sequences of 10,240; the
Trainer pads batches of four, sorted by nothing, with activations checkpointed, which is how a
vision-language model is commonly fine-tuned (TRL packs none). Every variant runs in a process of
its own. Tokens are those of conversations, padding is not counted; MFU counts the operations of
`training.flops` over the GPU's bf16 peak.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

PADDED_BATCH = 4
IGNORED = -100
# Tiles of an image, and text of a conversation; half of the text is learned.
TILES = (1, 1, 5, 10, 13, 17, 17)
TEXT = (30, 60, 120, 250, 500)


@dataclass(frozen=True)
class Size:
    """A model: its configuration's parts, and whether it trains whole or by DoRA."""

    vision: dict[str, int]
    text: dict[str, int]
    scale: int
    dora: bool
    sequence: int = 10_240
    packs: int = 4


SO400M = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27,
          "num_attention_heads": 16, "patch_size": 14}  # fmt: skip
SIZES = {
    "2b": Size(
        SO400M | {"image_size": 384},
        {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24,
         "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 49_280},
        scale=3,
        dora=False,
    ),
    "8b": Size(
        SO400M | {"image_size": 364},
        {"hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128_259},
        scale=2,
        dora=True,
    ),
    "tiny": Size(
        {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2,
         "num_attention_heads": 4, "patch_size": 14, "image_size": 56},
        {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512},
        scale=2,
        dora=False,
        sequence=1024,
        packs=2,
    ),
}  # fmt: skip
# Ours, by what is recomputed and whether layers are compiled; then the Trainer.
VARIANTS = ("vision", "vision+compile", "all", "all+compile", "trainer")


# --- conversations


@dataclass(frozen=True)
class Chat:
    tiles: int
    text: int


def chats(size: Size, number: int) -> list[Chat]:
    """Conversations of about `number` sequences, always the same; a sixth is text alone."""
    import numpy as np

    rng = np.random.Generator(np.random.Philox(number))
    found, tokens = [], 0
    while tokens < number * size.sequence:
        images = int(rng.integers(0, 6) > 0)
        tiles = images * int(rng.choice(TILES))
        if size.sequence < 10_240:
            tiles = min(tiles, 5)
        found.append(Chat(tiles, int(rng.choice(TEXT))))
        tokens += length(size, found[-1])
    return found


def tile_tokens(size: Size) -> int:
    return (size.vision["image_size"] // size.vision["patch_size"]) ** 2 // size.scale**2


def length(size: Size, chat: Chat) -> int:
    return chat.tiles * tile_tokens(size) + chat.text


def document(size: Size, chat: Chat, seed: int) -> tuple[Any, Any, Any]:
    """Ids, labels (the token itself, not the next) and tiles of a conversation."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    image = torch.full((chat.tiles * tile_tokens(size),), image_id(size))
    words = torch.randint(3, image_id(size), (chat.text,), generator=generator)
    ids = torch.cat([image, words])
    labels = ids.clone()
    labels[: len(image) + chat.text // 2] = IGNORED
    side = size.vision["image_size"]
    tiles = torch.randint(0, 256, (chat.tiles, 3, side, side), generator=generator)
    return ids, labels, tiles.to(torch.uint8)


def image_id(size: Size) -> int:
    return size.text["vocab_size"] - 2


def packs(size: Size) -> list[Any]:
    """Sequences as the loader makes them."""
    import torch

    from training.data.order import PackPosition
    from training.data.pack import Pack
    from training.data.packing import pack

    every = chats(size, size.packs)
    found = []
    for place, items in enumerate(pack([length(size, chat) for chat in every], size.sequence)):
        parts = [document(size, every[item], item) for item in items]
        ids = torch.cat([part[0] for part in parts])
        none = torch.tensor([IGNORED])
        labels = torch.cat([torch.cat([part[1][1:], none]) for part in parts])
        lengths = [len(part[0]) for part in parts]
        found.append(
            Pack(
                input_ids=ids,
                labels=labels,
                position_ids=torch.cat([torch.arange(n) for n in lengths]),
                boundaries=torch.tensor([0, *lengths]).cumsum(0).to(torch.int32),
                tiles=torch.cat([part[2] for part in parts]),
                image_positions=torch.nonzero(ids == image_id(size)).squeeze(1),
                document_sources=("made up",) * len(parts),
                supervised=int((labels != IGNORED).sum()),
                position=PackPosition(0, 0, 0, place),
            )
        )
    return found[: size.packs]


# --- the model


def configuration(size: Size) -> Any:
    from transformers import Idefics3Config

    text = size.text | {"model_type": "llama", "max_position_embeddings": 32_768,
                        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
    return Idefics3Config(
        text_config=text,
        vision_config=size.vision,
        image_token_id=image_id(size),
        pad_token_id=0,
        scale_factor=size.scale,
        tie_word_embeddings=False,
    )


def random_model(size: Size, dtype: Any) -> Any:
    """Made where it will be: the 8B takes minutes on a CPU."""
    import torch
    from transformers import Idefics3ForConditionalGeneration

    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    with torch.device(device()):
        model = Idefics3ForConditionalGeneration(configuration(size))
    torch.set_default_dtype(default)
    return model


def device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@dataclass(frozen=True)
class Words:
    """As much of a tokenizer as training asks for: the ids of the added tokens."""

    size: Size

    def convert_tokens_to_ids(self, token: str) -> int:
        from training.special_tokens import ADDED

        return image_id(self.size) - 1 + ADDED.index(token)


def rules(size: Size, variant: str) -> Any:
    from training.config import AdapterRules, ModelRules, TrainRecipe

    recompute, _, compiled = variant.partition("+")
    return TrainRecipe(
        model=ModelRules(name="tiny"),
        steps=1000,
        sequence_length=size.sequence,
        batch=size.packs,
        adapter=AdapterRules() if size.dora else None,
        recompute=recompute if recompute in ("none", "vision", "all") else "all",
        compile=bool(compiled),
    )


def cost(size: Size) -> Any:
    """Operations of a pack, by tiles, lengths and supervised tokens."""
    from training.flops import ModelShape, Passes, pack_flops

    shape = ModelShape.of(configuration(size))
    how = "adapter" if size.dora else "full"
    passes = Passes.of(vision=how, language=how)
    return lambda tiles, lengths, supervised: (
        pack_flops(shape, tiles, lengths, supervised, passes).total
    )


# --- the two sides: each yields (seconds, tokens, operations) of a step


def ours(size: Size, variant: str, steps: int) -> Iterator[tuple[float, int, float]]:
    from training.attention import use_packed_attention
    from training.model import LoadedModel
    from training.network import adapt, base_dtype, make_network, make_optimizer
    from training.parallel import Ranks
    from training.step import Stepper
    from training.vision import use_fast_vision

    how = rules(size, variant)
    ranks = Ranks.join()
    model = random_model(size, base_dtype(how, ranks.device))
    use_packed_attention(model.model.text_model)
    use_fast_vision(model.model.vision_model)
    loaded = LoadedModel(model, Words(size), size.vision["image_size"], tile_tokens(size))
    adapt(loaded, how)
    network = make_network(loaded, how, ranks)
    optimizer = make_optimizer(network, how, ranks.device)
    stepper = Stepper(network, optimizer, how, ranks, ["made up"], cost(size), lambda: False)
    batch = packs(size)
    for number in range(steps):
        start = time.perf_counter()
        result = stepper.step(number, batch)
        yield time.perf_counter() - start, result.tokens, result.flops
    ranks.leave()


def padded(size: Size, batch: list[Chat], first: int) -> dict[str, Any]:
    """A batch as a common collator makes it: ids to the longest, tiles to the most."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    parts = [document(size, chat, first + at) for at, chat in enumerate(batch)]
    ids = pad_sequence([p[0] for p in parts], batch_first=True, padding_value=0)
    labels = pad_sequence([p[1] for p in parts], batch_first=True, padding_value=IGNORED)
    mask = pad_sequence([torch.ones(len(p[0]), dtype=torch.long) for p in parts], batch_first=True)
    most, side = max(1, *(len(p[2]) for p in parts)), size.vision["image_size"]
    pixels = torch.zeros((len(parts), most, 3, side, side))
    for row, (_, _, tiles) in enumerate(parts):
        pixels[row, : len(tiles)] = (tiles.float() / 255 - 0.5) / 0.5
    found = {"input_ids": ids, "labels": labels, "attention_mask": mask}
    # A batch without images must not come with empty ones.
    return found | {"pixel_values": pixels} if any(chat.tiles for chat in batch) else found


def trainer(size: Size, steps: int) -> Iterator[tuple[float, int, float]]:
    """The transformers Trainer over as many conversations a step as ours has."""
    import tempfile

    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    every = chats(size, size.packs)
    group = len(every) // PADDED_BATCH
    batches = [every[at * PADDED_BATCH : (at + 1) * PADDED_BATCH] for at in range(group)]
    model = random_model(size, torch.bfloat16 if size.dora else torch.float32)
    if size.dora:
        model = with_dora(model, size)
    times = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *arguments: Any, **named: Any) -> None:
            times.append(-now())

        def on_step_end(self, *arguments: Any, **named: Any) -> None:
            times[-1] += now()

    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=group,
        max_steps=steps,
        bf16=device() == "cuda",
        use_cpu=device() == "cpu",
        gradient_checkpointing=True,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        optim="adamw_torch_fused" if device() == "cuda" else "adamw_torch",
        max_grad_norm=1.0,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    made = [padded(size, batch, at * PADDED_BATCH) for at, batch in enumerate(batches)]
    Trainer(
        model=model,
        args=arguments,
        train_dataset=made * steps,
        data_collator=lambda rows: rows[0],
        callbacks=[Clock()],
    ).train()
    used = [chat for batch in batches for chat in batch]
    tokens = sum(length(size, chat) for chat in used)
    flops = sum(cost(size)(c.tiles, [length(size, c)], c.text - c.text // 2) for c in used)
    for seconds in times:
        yield seconds, tokens, flops


def with_dora(model: Any, size: Size) -> Any:
    from peft import get_peft_model

    from training.adapters import lora_config

    model.enable_input_require_grads()
    return get_peft_model(model, lora_config(model, rules(size, "all")))


def now() -> float:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


# --- measuring


def measure(name: str, variant: str, steps: int) -> None:
    """Run one variant and print its row as JSON. The first two steps warm up."""
    import torch

    from training.metrics import peak_of

    size = SIZES[name]
    run = trainer(size, steps) if variant == "trainer" else ours(size, variant, steps)
    found = list(run)[2:]
    seconds = statistics.median(step[0] for step in found)
    row = {"seconds": seconds, "tokens_per_second": found[0][1] / seconds}
    if torch.cuda.is_available():
        peak = peak_of(torch.cuda.get_device_name())
        row["memory"] = torch.cuda.max_memory_allocated() / 2**30
        if peak:
            row["mfu"] = found[0][2] / seconds / peak
    print("RESULT", json.dumps(row))


def result_of(name: str, variant: str, steps: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", name, variant, "--steps", str(steps)]
    found = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in found.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        said = found.stderr.strip().splitlines() or ["no output"]
        return {"error": said[-1][:100]}
    row: dict[str, Any] = json.loads(lines[0].removeprefix("RESULT "))
    return row


def show(name: str, variant: str, row: dict[str, Any]) -> str:
    who = "transformers Trainer, padded" if variant == "trainer" else f"cauldron, {variant}"
    if "error" in row:
        return f"| {name} | {who} | {row['error']} | | | |"
    mfu = f"{row['mfu']:.1%}" if "mfu" in row else ""
    memory = f"{row['memory']:.1f}" if "memory" in row else ""
    rate, seconds = f"{row['tokens_per_second']:,.0f}", f"{row['seconds']:.2f}"
    return f"| {name} | {who} | {rate} | {mfu} | {memory} | {seconds} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="A tiny model, on whatever is here.")
    parser.add_argument("--only", choices=["2b", "8b"])
    parser.add_argument("--variant", choices=VARIANTS)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--json", type=Path, help="Write the rows there too.")
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "VARIANT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(*options.one, options.steps)
        return
    names = ["tiny"] if options.tiny else [options.only] if options.only else ["2b", "8b"]
    variants = [options.variant] if options.variant else list(VARIANTS)
    if options.tiny and not options.variant:
        variants = ["none", "all", "trainer"]
    print("| model | what, activations recomputed | tokens/s | MFU | peak GiB | s a step |")
    print("|---|---|---:|---:|---:|---:|", flush=True)
    rows = []
    for name in names:
        for variant in variants:
            row = result_of(name, variant, options.steps)
            rows.append({"model": name, "variant": variant, **row})
            print(show(name, variant, row), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
