"""The training loader beside transformers' processors, as ratios within one run.

    python benchmarks/loader.py --folder /tmp/loader

Builds two mixtures in the folder, unless they exist: photographs of 1000 x 800, and the
SFT mixture of the sample hub. Every variant runs in its own process, with the same rows, the same
number of workers and the published rule for scaling. The figure compared is images per second of
processor time of all its processes together, which does not depend on other load on the machine.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

TILE, TOKENS_PER_TILE, SEQUENCE = 364, 169, 10_240
EDGES = (364, 1456)
PHOTOS = "photographs"
SFT = "sft sample"
VARIANTS = ("ours", "torchvision", "pil")
WANTED = {"pil": 4.0, "torchvision": 1.4}


# --- the mixtures


def photo(number: int) -> bytes:
    """A 1000 x 800 JPEG of about 170 kB with detail at every scale, as photographs have."""
    import numpy as np
    from PIL import Image

    rng = np.random.Generator(np.random.Philox(number))
    picture = np.full((800, 1000, 3), 120.0)
    for cells in (4, 12, 40, 120, 320):
        noise = rng.normal(size=(cells * 4 // 5, cells, 3)) * 90 / cells**0.45
        layers = [Image.fromarray(noise[..., c]).resize((1000, 800)) for c in range(3)]
        picture += np.stack([np.asarray(layer) for layer in layers], axis=-1)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def write_photographs(root: Path, rows: int) -> None:
    """A hub with one source, in the Cauldron's layout."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from benchmarks.corpus import REPO, SCHEMA

    folder = root / REPO / "vqav2"
    folder.mkdir(parents=True)
    made = []
    for number in range(rows):
        image = {"bytes": photo(number), "path": None}
        turns = [
            {"user": f"What is shown in picture {number}, at {n}?", "source": "bench",
             "assistant": f"A landscape with {number % 97} hills and {n} trees."}
            for n in range(4)
        ]  # fmt: skip
        made.append({"images": [image], "texts": turns})
    table = pa.Table.from_pylist(made, schema=SCHEMA)
    pq.write_table(table, folder / "train-00000-of-00001.parquet", row_group_size=100)


def build_mixtures(folder: Path, rows: int) -> dict[str, str]:
    """Folders of the two mixtures, by name."""
    cauldron = [sys.executable, "-m", "cauldron"]
    source = {"mixture": {"the_cauldron/vqav2": {"epochs": 1}}, "promise": "epochs"}
    recipes: dict[str, Any] = {
        PHOTOS: {"name": "photographs", "stages": {"sft": source}},
        SFT: {
            "name": "sample-sft",
            "extends": "sample",
            "stages": {"sft": {"budget": {"samples": rows}}},
        },
    }
    found = {}
    for name, recipe in recipes.items():
        place = folder / name.replace(" ", "-")
        found[name] = str(place / "out" / "mixtures" / recipe["name"] / "sft")
        if (Path(found[name]) / "manifest.json").exists():
            continue
        hub = place / "hub"
        if not hub.exists():
            if name == SFT:
                subprocess.run([*cauldron, "sample", str(hub)], check=True, cwd=ROOT)
            else:
                write_photographs(hub, 600)
        (place / "recipe.yaml").write_text(json.dumps(recipe))
        options = ["--stage", "sft", "--root", str(hub), "--output", str(place / "out")]
        command = [*cauldron, "build", str(place / "recipe.yaml"), *options]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return found


def write_tokenizer(folder: Path, mixture: str) -> None:
    """A byte-level BPE of 8,000 tokens, trained on a mixture's text."""
    from cauldron.training.network.special_tokens import ADDED, GRID
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    from cauldron.core.output.mixture import load_mixture

    rows = load_mixture(mixture).rows(["messages"])
    texts = (p["text"] for row in rows for m in row["messages"] for p in m["content"] if p["text"])
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=8000,
        special_tokens=["<|begin_of_text|>", *ADDED, *GRID],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))


def load_tokenizer(folder: Path) -> Any:
    from transformers import PreTrainedTokenizerFast

    path = str(folder / "tokenizer.json")
    return PreTrainedTokenizerFast(tokenizer_file=path, bos_token="<|begin_of_text|>")


# --- the variants: each yields (images, tokens)


def ours(folder: Path, mixture: str, edge: int, workers: int) -> Iterator[tuple[int, int]]:
    """Packed sequences from the mixture's shards."""
    from cauldron.training.data.loader import PackLoader
    from cauldron.training.data.settings import LoaderSettings
    from cauldron.training.data.tokenization import TokenLayout
    from cauldron.training.network.special_tokens import GLOBAL_IMAGE

    from cauldron.core.output.mixture import load_mixture

    tokenizer = load_tokenizer(folder)
    layout = TokenLayout(tokenizer, TILE, TOKENS_PER_TILE)
    whole = tokenizer.convert_tokens_to_ids(GLOBAL_IMAGE)
    settings = LoaderSettings(batch=8, longest_edge=edge, upscale="published", workers=workers)
    with PackLoader(load_mixture(mixture), layout, settings, 0, 1) as loader:
        for step in loader:
            for pack in step:
                yield int((pack.input_ids == whole).sum()), len(pack.input_ids)


class Samples:
    """The rows of a mixture through Idefics3Processor, for a torch DataLoader."""

    def __init__(self, folder: Path, mixture: str, edge: int, backend: str) -> None:
        from cauldron.training.network.special_tokens import CHAT_TEMPLATE
        from transformers import (
            Idefics3ImageProcessor,
            Idefics3ImageProcessorPil,
            Idefics3Processor,
        )

        from cauldron.core.output.mixture import load_mixture

        self.rows = []
        for row in load_mixture(mixture).rows(["images", "messages"]):
            self.rows.append(row)
            if len(self.rows) == 1000:
                break
        kind = {"pil": Idefics3ImageProcessorPil, "torchvision": Idefics3ImageProcessor}[backend]
        self.processor = Idefics3Processor(
            kind(size={"longest_edge": edge}, max_image_size={"longest_edge": TILE}),
            load_tokenizer(folder),
            image_seq_len=TOKENS_PER_TILE,
            chat_template=CHAT_TEMPLATE,
        )

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, number: int) -> tuple[int, int, Any]:
        from PIL import Image

        row = self.rows[number % len(self.rows)]
        images = [Image.open(io.BytesIO(image["bytes"])) for image in row["images"]]
        text = self.processor.apply_chat_template(row["messages"])
        made = self.processor(
            text=text, images=images or None, add_special_tokens=False, return_tensors="pt"
        )
        return len(images), made["input_ids"].shape[1], made


def by_processor(
    folder: Path, mixture: str, edge: int, workers: int, backend: str
) -> Iterator[tuple[int, int]]:
    """Single samples: float32 tiles and a mask, not packed."""
    from torch.utils.data import DataLoader

    samples = Samples(folder, mixture, edge, backend)
    # One sample at a time, so that nothing is padded.
    for images, tokens, _ in DataLoader(samples, batch_size=None, num_workers=workers):
        yield images, tokens


def measure(arguments: argparse.Namespace) -> None:
    """Run one variant until it has made enough images; print its figures as JSON."""
    folder, name = Path(arguments.folder), arguments.variant
    made = (
        ours(folder, arguments.mixture, arguments.edge, arguments.workers)
        if name == "ours"
        else by_processor(folder, arguments.mixture, arguments.edge, arguments.workers, name)
    )
    import torch

    torch.set_num_threads(1)
    images = tokens = 0
    next(made)  # imports, workers, and the first plan or the first samples
    cpu, wall = cpu_seconds(), time.perf_counter()
    for more, length in made:
        images, tokens = images + more, tokens + length
        if images >= arguments.images:
            break
    result = {
        "images": images,
        "tokens": tokens,
        "cpu": cpu_seconds() - cpu,
        "wall": time.perf_counter() - wall,
        "mib": max(peak_mib(pid) for pid in family()),
    }
    print(json.dumps(result), flush=True)
    made.close()


def family() -> list[int]:
    """This process and its descendants."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry)] = int(fields[1])
    found = [os.getpid()]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def cpu_seconds() -> float:
    """Processor time of this process and its descendants, in seconds."""
    ticks = 0
    for pid in family():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


# --- packing and assignment to ranks, from plans only


def smolvlm() -> Any:
    """SigLIP-SO400M and a language model of 1.7B, with tiles of 364."""
    from cauldron.training.network.flops import IDEFICS3_8B, LanguageShape, ModelShape

    language = LanguageShape(
        layers=24,
        hidden=2048,
        intermediate=8192,
        heads=32,
        key_heads=32,
        head_dim=64,
        vocabulary=49_152,
    )
    return ModelShape(IDEFICS3_8B.vision, language, TOKENS_PER_TILE, shuffle=2)


def windows(folder: Path, mixture: str, edge: int, upscale: Any) -> tuple[list[Any], Any, float]:
    """An epoch's measured windows, their rules, and the processor time per row."""
    from cauldron.training.data.builder import BuilderSettings, MeasureTask, PackBuilder
    from cauldron.training.data.packing import PackRules
    from cauldron.training.data.rows import row_groups
    from cauldron.training.data.sampler import Order
    from cauldron.training.data.tokenization import TokenLayout

    from cauldron.core.output.mixture import load_mixture

    shards = tuple(load_mixture(mixture).shards)
    layout = TokenLayout(load_tokenizer(folder), TILE, TOKENS_PER_TILE)
    rules = PackRules(layout, SEQUENCE, upscale, seed=0)
    builder = PackBuilder(BuilderSettings(shards, rules, frozenset()))
    order = Order(row_groups(shards), seed=0, window_rows=1024, windows=8)
    start = time.process_time()
    found = [
        builder.measure(MeasureTask((0, number), window, tuple(groups), edge))
        for number, parts in enumerate(order.rounds(0))
        for window, groups in enumerate(parts)
    ]
    seconds = time.process_time() - start
    return found, rules, seconds / sum(len(window.rows) for window in found)


def plan(folder: Path, mixture: str) -> None:
    """Print packing waste, and the share of time that 8 ranks wait for the slowest."""
    from cauldron.training.data.packing import extent

    from cauldron.core.packing import best_fit

    print("| longest edge, scaling up | rows a pack | waste | best fit decreasing | ms a row |")
    print("|---|---:|---:|---:|---:|")
    for edge, upscale in ((364, "never"), (1820, "never"), (1820, 2.0), (1456, "published")):
        measured, rules, seconds = windows(folder, mixture, edge, upscale)
        bins = plain = tokens = rows = 0
        packs = []
        for window in measured:
            extents = [extent(row, edge, rules) for row in window.rows]
            lengths = [length for length, _ in extents if length <= SEQUENCE]
            bins, plain = bins + len(window.packed.packs), plain + len(best_fit(lengths, SEQUENCE))
            tokens, rows = tokens + sum(lengths), rows + len(lengths)
            packs += [
                ([extents[i] for i in numbers], sum(window.rows[i].supervised for i in numbers))
                for numbers in window.packed.packs
            ]
        waste, usual = (1 - tokens / (count * SEQUENCE) for count in (bins, plain))
        figures = f"{rows / bins:.1f} | {waste:.2%} | {usual:.2%} | {1000 * seconds:.2f}"
        print(f"| {edge}, {upscale} | {figures} |")
        if (edge, upscale) == (1820, "never"):
            fine_tuning = packs
    print_waiting(fine_tuning)


def print_waiting(packs: list[Any]) -> None:
    """Print how long 8 ranks wait when packs are assigned by cost, and in turn."""
    from cauldron.training.data.sampler import assign_packs, idle_share, permutation
    from cauldron.training.network.flops import IDEFICS3_8B, pack_flops

    print("\n| model, packs a step | a step | in turn | a micro-batch | in turn |")
    print("|---|---:|---:|---:|---:|")
    for model, shape in (("2B", smolvlm()), ("8B", IDEFICS3_8B)):
        costs = [
            pack_flops(shape, sum(t for _, t in rows), [n for n, _ in rows], supervised).total
            for rows, supervised in packs
        ]
        costs = [costs[i] for i in permutation(len(costs), 0, "packs")]
        for batch in (8, 32, 128, 1024):
            steps = [costs[i : i + batch] for i in range(0, len(costs) - batch + 1, batch)]
            turns = [list(range(rank, batch, 8)) for rank in range(8)]
            figures = []
            for lockstep in (False, True):
                by_cost = [
                    idle_share(step, assign_packs(step, 8), lockstep=lockstep) for step in steps
                ]
                in_turn = [idle_share(step, turns, lockstep=lockstep) for step in steps]
                figures += [f"{statistics.mean(waits):.1%}" for waits in (by_cost, in_turn)]
            print(f"| {model}, {batch} | {' | '.join(figures)} |")


# --- the tables


def run(arguments: argparse.Namespace, mixture: str, edge: int, variant: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--folder", arguments.folder, "--variant", variant]
    command += ["--mixture", mixture, "--edge", str(edge), "--workers", str(arguments.workers)]
    # Enough that the packs or samples in preparation at the end do not matter.
    images = arguments.images if variant == "ours" else max(20, arguments.images // 8)
    command += ["--images", str(images)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def compare(arguments: argparse.Namespace, mixtures: dict[str, str]) -> None:
    print(
        "| rows, longest edge | loader | images/s a core | tokens/s a core | peak MiB | ours is |"
    )
    print("|---|---|---:|---:|---:|---:|")
    for name, mixture in mixtures.items():
        for edge in EDGES:
            rates: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
            for _ in range(arguments.repeat):  # in turn, so that other load affects all alike
                last = {v: run(arguments, mixture, edge, v) for v in VARIANTS}
                for variant, result in last.items():
                    rates[variant].append(result["images"] / result["cpu"])
            best = {variant: statistics.median(found) for variant, found in rates.items()}
            for variant, rate in best.items():
                result = last[variant]
                tokens = rate * result["tokens"] / result["images"]
                ratio = "" if variant == "ours" else f"{best['ours'] / rate:.1f}x"
                ratio += f" (wanted {WANTED[variant]}x)" if variant in WANTED else ""
                figures = f"{rate:.1f} | {tokens:,.0f} | {result['mib']:.0f} | {ratio}"
                print(f"| {name}, {edge} | {variant} | {figures} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", default="/tmp/loader-benchmark")
    parser.add_argument("--rows", type=int, default=12_000, help="of the SFT sample")
    parser.add_argument(
        "--images", type=int, default=1600, help="that a run of ours makes, eight times the others"
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=("speed", "plan"))
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--mixture", help=argparse.SUPPRESS)
    parser.add_argument("--edge", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.variant:
        measure(arguments)
        return
    folder = Path(arguments.folder)
    folder.mkdir(parents=True, exist_ok=True)
    mixtures = build_mixtures(folder, arguments.rows)
    write_tokenizer(folder, mixtures[SFT])
    if arguments.only != "plan":
        compare(arguments, mixtures)
    if arguments.only != "speed":
        plan(folder, mixtures[SFT])


if __name__ == "__main__":
    main()
