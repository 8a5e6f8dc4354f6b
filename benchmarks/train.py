"""A training step on one GPU: tokens/s, MFU and peak memory, beside the transformers Trainer.

    python benchmarks/train.py                    # one table; about half an hour on an H100
    python benchmarks/train.py --only 2b --steps 6
    python benchmarks/train.py --tiny             # on a CPU in two minutes, to see that it runs

Models and conversations are those of `benchmarks/made_up.py`: random weights at the sizes of
SmolVLM-2.2B (SigLIP-SO400M, a Llama of 1.7B), all weights trained, and Idefics3-8B, with DoRA. Each
step has new conversations, so that attention plans, recompilation and the allocator's growth are in
the figures. Both sides train on the same ones, in equally many steps. Ours packs them into
sequences of 10,240. The Trainer (TRL packs no images either) pads batches of four in the given
order, batches of four of similar length, or takes one at a time; it checkpoints the activations of
all layers, as is common.

Every variant runs in its own process. Making the data is not timed. Tokens are those of
conversations, without padding. MFU counts the operations of `cauldron.training.flops`, without
recomputation, over the GPU's bf16 peak. Tokens/s and MFU are of the median step. An 8B model whose
language layers keep their activations takes more than 80 GB and is not tried.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmarks.made_up import (  # noqa: E402
    IGNORED,
    SIZES,
    Chat,
    Size,
    Words,
    configuration,
    conversations,
    device,
    document,
    length,
    packs,
    random_model,
    tile_tokens,
)

WARM_UP = 2
# Variants of the Trainer, with the conversations padded to a batch.
TRAINER = {"trainer": 4, "trainer+length": 4, "trainer+single": 1}
# Ours: recomputed layers, compiled or not; then the Trainer's.
VARIANTS = {
    "2b": ("vision", "vision+compile", "all", *TRAINER),
    "8b": ("all", "all+compile", *TRAINER),
    "tiny": ("none", "all", *TRAINER),
}


def rules(size: Size, variant: str) -> Any:
    from cauldron.training.config import AdapterRules, ModelRules, TrainRecipe

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
    from cauldron.training.flops import ModelShape, Passes, pack_flops

    shape = ModelShape.of(configuration(size))
    how = "adapter" if size.dora else "full"
    passes = Passes.of(vision=how, language=how)
    return lambda tiles, lengths, supervised: (
        pack_flops(shape, tiles, lengths, supervised, passes).total
    )


# --- the two sides: each yields (seconds, tokens, operations) of a step


def ours(size: Size, variant: str, steps: int) -> Iterator[tuple[float, int, float]]:
    from cauldron.training.attention import use_packed_attention
    from cauldron.training.forward import use_fast_vision
    from cauldron.training.model import LoadedModel
    from cauldron.training.network import adapt, base_dtype, make_network, make_optimizer
    from cauldron.training.parallel import Ranks
    from cauldron.training.step import Stepper

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
    for number in range(steps):
        batch = packs(size, number)
        start = now()
        result = stepper.step(number, batch)
        yield now() - start, result.tokens, result.flops
    ranks.leave()


def padded(size: Size, batch: list[Chat]) -> dict[str, Any]:
    """A batch as a common collator pads it: ids to the longest, tiles to the most."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    parts = [document(size, chat) for chat in batch]
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


def trainer_steps(size: Size, variant: str, steps: int) -> list[list[list[Chat]]]:
    """Conversations by step and batch: ours in the order they were drawn, as many in each step.

    Fewer than there are steps are left over at the end.
    """
    number = TRAINER[variant]
    packed = [chats for step in range(steps) for chats in conversations(size, step)]
    every = sorted((chat for chats in packed for chat in chats), key=lambda chat: chat.seed)
    a_step = len(every) // steps
    found = []
    for first in range(0, steps * a_step, a_step):
        chats = every[first : first + a_step]
        if variant == "trainer+length":
            chats.sort(key=lambda chat: length(size, chat), reverse=True)
        found.append([chats[at : at + number] for at in range(0, a_step, number)])
    return found


def trainer(size: Size, variant: str, steps: int) -> Iterator[tuple[float, int, float]]:
    """The transformers Trainer over the same conversations."""
    import torch
    from transformers import Trainer, TrainerCallback

    batches = trainer_steps(size, variant, steps)
    model = random_model(size, torch.bfloat16 if size.dora else torch.float32)
    if size.dora:
        model = with_dora(model, size)
    times: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        """Measures steps; a step's batches are made before it begins."""

        def on_step_begin(self, *arguments: Any, **named: Any) -> None:
            times.append(-now())

        def on_step_end(self, *arguments: Any, **named: Any) -> None:
            times[-1] += now()

    class Made(torch.utils.data.Dataset[dict[str, Any]]):
        """Each batch as one item, made when it is asked for."""

        def __len__(self) -> int:
            return sum(map(len, batches))

        def __getitem__(self, place: int) -> dict[str, Any]:
            step, batch = divmod(place, len(batches[0]))
            return padded(size, batches[step][batch])

    Trainer(
        model=model,
        args=arguments(steps, len(batches[0])),
        train_dataset=Made(),
        data_collator=lambda rows: rows[0],
        callbacks=[Clock()],
    ).train()
    for seconds, step in zip(times, batches, strict=True):
        chats = [chat for batch in step for chat in batch]
        tokens = sum(length(size, chat) for chat in chats)
        flops = sum(cost(size)(c.tiles, [length(size, c)], c.text - c.text // 2) for c in chats)
        yield seconds, tokens, flops


def arguments(steps: int, batches: int) -> Any:
    """Of the Trainer, for so many steps of so many batches."""
    import tempfile

    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=batches,
        max_steps=steps,
        train_sampling_strategy="sequential",
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


def with_dora(model: Any, size: Size) -> Any:
    """Train the same as ours: adapters, the connector, and the rows of the added tokens."""
    from cauldron.training.adapters import lora_config
    from cauldron.training.special_tokens import ADDED
    from peft import get_peft_model

    model.enable_input_require_grads()
    rows = [Words(size).convert_tokens_to_ids(token) for token in ADDED]
    more: dict[str, Any] = {
        "modules_to_save": ["connector"],
        "trainable_token_indices": {"embed_tokens": rows, "lm_head": rows},
    }
    return get_peft_model(model, lora_config(model, rules(size, "all"), **more))


def now() -> float:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


# --- measuring


def measure(name: str, variant: str, steps: int) -> None:
    """Run one variant and print its row as JSON. The first steps warm up."""
    import numpy as np
    import torch
    from cauldron.training.metrics import peak_of

    size, side = SIZES[name], trainer if variant in TRAINER else ours
    found = list(side(size, variant, steps))[WARM_UP:]
    seconds = [step[0] for step in found]
    row = {
        "seconds": statistics.median(seconds),
        "seconds_95": float(np.percentile(seconds, 95)),
        "tokens_per_second": statistics.median(step[1] / step[0] for step in found),
        "tokens": sum(step[1] for step in found),
    }
    if torch.cuda.is_available():
        peak = peak_of(torch.cuda.get_device_name())
        row["memory"] = torch.cuda.max_memory_allocated() / 2**30
        if peak:
            row["mfu"] = statistics.median(step[2] / step[0] for step in found) / peak
    print("RESULT", json.dumps(row))


def result_of(name: str, variant: str, steps: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", name, variant, "--steps", str(steps)]
    found = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in found.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        return {"error": what_went_wrong(found.stderr)}
    row: dict[str, Any] = json.loads(lines[0].removeprefix("RESULT "))
    return row


def what_went_wrong(said: str) -> str:
    """The line of the exception; libraries print more after it when they shut down."""
    lines = [re.sub(r"^\[rank\d+\]:\s*", "", line) for line in said.strip().splitlines()]
    raised = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Exit)\b", line)]
    return (raised or lines or ["no output"])[-1][:160].replace("|", "/")


def show(name: str, variant: str, row: dict[str, Any]) -> str:
    recomputed, _, more = variant.partition("+")
    who = f"cauldron{', compiled' if more else ''}"
    if variant in TRAINER:
        recomputed = "all"
        order = ", of like length" if more == "length" else ""
        who = f"transformers Trainer, batches of {TRAINER[variant]}{order}"
    if "error" in row:
        return f"| {name} | {who} | {recomputed} | {row['error']} | | | | |"
    mfu = f"{row['mfu']:.1%}" if "mfu" in row else ""
    memory = f"{row['memory']:.1f}" if "memory" in row else ""
    rate = f"{row['tokens_per_second']:,.0f}"
    seconds = f"{row['seconds']:.2f} | {row['seconds_95']:.2f}"
    return f"| {name} | {who} | {recomputed} | {rate} | {mfu} | {memory} | {seconds} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="A tiny model, on whatever is here.")
    parser.add_argument("--only", choices=["2b", "8b"])
    parser.add_argument(
        "--variant", choices=sorted({v for found in VARIANTS.values() for v in found})
    )
    parser.add_argument("--steps", type=int, default=14, help="The first two are not measured.")
    parser.add_argument("--json", type=Path, help="Write the rows there too.")
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "VARIANT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.steps <= WARM_UP:
        parser.error(f"--steps: more than the {WARM_UP} that warm up")
    if options.one:
        measure(*options.one, options.steps)
        return
    names = ["tiny"] if options.tiny else [options.only] if options.only else ["2b", "8b"]
    print("| model | what | recomputed | tokens/s | MFU | peak GiB | s a step | 95 % |")
    print("|---|---|---|---:|---:|---:|---:|---:|", flush=True)
    rows = []
    for name in names:
        for variant in [options.variant] if options.variant else VARIANTS[name]:
            row = result_of(name, variant, options.steps)
            rows.append({"model": name, "variant": variant, **row})
            print(show(name, variant, row), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
