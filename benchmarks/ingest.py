"""How fast ingest and mix are, as ratios within one run.

    python benchmarks/ingest.py --folder /tmp/bench --gigabytes 2

Every variant runs in a process of its own on the same files and tells its seconds and the largest
memory of any of its processes; the table compares them. See README.md for what each stands for.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from benchmarks.corpus import PAGES, PHOTOS, REPO, write_corpus

SOURCES = (f"the_cauldron/{PHOTOS}", f"the_cauldron/{PAGES}")
RECIPE = {
    "name": "bench",
    "stages": {
        "sft": {
            "mixture": {SOURCES[0]: {"share": 0.5}, SOURCES[1]: {"share": 0.5}},
            "budget": {"epochs_of": {SOURCES[0]: 1}},
            "max_epochs": 1,
        }
    },
}


def request(root: str, output: str) -> Any:
    from cauldron.pipeline.build import BuildOptions
    from cauldron.recipe import Recipe

    return BuildOptions(Recipe.model_validate(RECIPE), (), root, output)


def loop(root: str, output: str) -> None:
    """The project's own per-row functions in a plain loop: no Beam."""
    from cauldron.transforms.ingest import PieceWork, ingest_piece

    from cauldron.pipeline.corpora import plan_corpora
    from cauldron.pipeline.ingest import cut_pieces

    asked = request(root, output)
    planned, _ = plan_corpora(asked)
    for corpus, pieces in zip(planned, cut_pieces(planned, root), strict=True):
        for part, piece in enumerate(pieces):
            work = PieceWork(corpus.source.name, part, len(pieces), piece)
            ingest_piece(work, corpus.job(root))


def pipeline(workers: int) -> Callable[[str, str], None]:
    def run(root: str, output: str) -> None:
        from cauldron.pipeline.corpora import plan_corpora
        from cauldron.pipeline.ingest import ingest
        from cauldron.pipeline.runners.runner import Launcher

        asked = request(root, output)
        planned, _ = plan_corpora(asked)
        mode = "in_memory" if workers == 1 else "multi_processing"
        beam_args = [f"--direct_running_mode={mode}", f"--direct_num_workers={workers}"]
        ingest(planned, asked, Launcher(beam_args, lambda line: None))

    return run


def floor(root: str, output: str) -> None:
    """What nobody can leave out: read, SHA-256, one scaled decode per image, write."""
    import pyarrow.parquet as pq
    from PIL import Image

    os.makedirs(output)
    for config in (PHOTOS, PAGES):
        folder = os.path.join(root, REPO, config)
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(output, f"{config}-{name}"), "wb") as sink:
                file = pq.ParquetFile(os.path.join(folder, name))
                for batch in file.iter_batches(batch_size=16):
                    for images in batch.column("images").to_pylist():
                        for image in images:
                            data = image["bytes"]
                            hashlib.sha256(data).digest()
                            picture = Image.open(io.BytesIO(data))
                            picture.draft("L", (160, 120))
                            picture.load()
                            sink.write(data)


def datasets_map(root: str, output: str) -> None:
    """`datasets.Dataset.map` with the same per-row function and two processes."""
    import datasets

    os.makedirs(output)
    paths = [
        os.path.join(root, REPO, config, name)
        for config in (PHOTOS, PAGES)
        for name in sorted(os.listdir(os.path.join(root, REPO, config)))
    ]
    cache = os.path.join(output, "cache")
    rows = datasets.load_dataset("parquet", data_files=paths, split="train", cache_dir=cache)
    rows = rows.cast_column("images", datasets.List(datasets.Image(decode=False)))
    start = time.perf_counter()
    rows.map(_mapped, num_proc=2, remove_columns=["texts"], load_from_cache_file=False)
    # Told apart from reading the parquet files into the cache that it works on.
    print(json.dumps({"map_alone": time.perf_counter() - start}))


_SETTINGS: dict[str, Any] = {}


def _mapped(values: dict[str, Any]) -> dict[str, Any]:
    from cauldron.sources.base import RawImage, RawTurn, Row
    from cauldron.transforms.normalise import Kept, SourceSettings, normalise

    from cauldron.core.schema import Origin, messages_of
    from cauldron.core.sections.rules import ImageRules, LanguageRules, TextRules

    if not _SETTINGS:
        _SETTINGS["it"] = SourceSettings(
            SOURCES[0], "", ImageRules(), TextRules(), LanguageRules(), (), "mistral-7b", {}
        )
    turns = [RawTurn(t["user"], t["assistant"], t["source"]) for t in values["texts"]]
    images = [RawImage(image["bytes"]) for image in values["images"]]
    kept = normalise(Row(Origin(file="x", row=0), images, turns), _SETTINGS["it"])
    assert isinstance(kept, Kept)
    sample = kept.sample
    texts = [(turn.user, turn.assistant) for turn in sample.turns]
    return {
        "images": [{"bytes": data, "path": None} for data in kept.images],
        "messages": messages_of(sample.system, texts, len(kept.images)),
        # An unsigned hash does not fit the types that datasets infers.
        "image_info": [info.model_dump() | {"phash": str(info.phash)} for info in sample.images],
        "id": sample.id,
    }


def mix(root: str, output: str) -> None:
    """Curate and mix the corpora that the pipeline with two workers left."""
    from cauldron.pipeline.corpora import plan_corpora
    from cauldron.pipeline.decide import curate
    from cauldron.pipeline.ingest import ingest
    from cauldron.pipeline.mix import MixRequest
    from cauldron.pipeline.mix import mix as mix_stage
    from cauldron.pipeline.runners.runner import Launcher

    asked = request(root, output)
    planned, _ = plan_corpora(asked)
    made = ingest(planned, asked, Launcher([], lambda line: None))
    corpora = {manifest.source: manifest for manifest in made}
    curation = curate(corpora, output, Launcher([], lambda line: None))
    shutil.rmtree(os.path.join(output, "mixtures"), ignore_errors=True)
    start = time.perf_counter()
    mode = ["--direct_running_mode=in_memory", "--direct_num_workers=1"]
    wanted = MixRequest(asked.recipe, "sft", output, corpora, curation, [])
    mix_stage(wanted, Launcher(mode, lambda line: None))
    print(json.dumps({"mix_alone": time.perf_counter() - start}))


def copy(root: str, output: str) -> None:
    """A plain copy of the mixture's shards: read and write, nothing else."""
    from cauldron.core.output.mixture import find_mixture, load_mixture

    for shard in load_mixture(find_mixture(output, "sft")).shards:
        target = os.path.join(output, f"copy-{os.path.basename(shard)}")
        with open(shard, "rb") as source, open(target, "wb") as sink:
            while data := source.read(1 << 20):
                sink.write(data)
        os.remove(target)


VARIANTS: dict[str, Callable[[str, str], None]] = {
    "loop": loop,
    "pipeline x1": pipeline(1),
    "pipeline x2": pipeline(2),
    "floor": floor,
    "datasets.map x2": datasets_map,
    "mix": mix,
    "copy": copy,
}


# (what, the variant that the figure is relative to, the variant whose speed it is)
CLAIMS = (
    ("(a) pipeline, one worker / plain loop", "loop", "pipeline x1"),
    ("(a) pipeline, two workers / one worker", "pipeline x1", "pipeline x2"),
    ("(b) plain loop / physical floor", "floor", "loop"),
    ("(c) pipeline x2 / load_dataset and map, num_proc=2", "datasets.map x2", "pipeline x2"),
    ("(c) pipeline x2 / map alone, num_proc=2", "datasets.map alone", "pipeline x2"),
    ("(d) mix / plain copy of the same bytes", "copy", "mix"),
)


def measure(variant: str, root: str, output: str) -> dict[str, float]:
    """Run a variant in a process of its own."""
    if variant not in ("mix", "copy"):
        shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, os.path.abspath(__file__), "--variant", variant]
    command += ["--folder", root, "--output", output]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            result.update(json.loads(line))
    result["seconds"] = result.pop("mix_alone", result["seconds"])
    return result


def run_variant(variant: str, root: str, output: str) -> None:
    start = time.perf_counter()
    VARIANTS[variant](root, output)
    seconds = time.perf_counter() - start
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps({"seconds": seconds, "mib": max(own, children) / 1024}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--variant", choices=VARIANTS)
    parser.add_argument("--output")
    parser.add_argument("--only", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    options = parser.parse_args()
    if options.variant:
        run_variant(options.variant, options.folder, options.output)
        return
    root = os.path.join(options.folder, "root")
    size = int(options.gigabytes * 1e9)
    write_corpus(root, size)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in options.only}
    for _ in range(options.repeat):
        for name in options.only:
            output = os.path.join(options.folder, "out-" + name.replace(" ", "-"))
            if name in ("mix", "copy"):
                output = os.path.join(options.folder, "out-pipeline-x2")
            runs[name].append(measure(name, root, output))
            print(f"{name:16} {runs[name][-1]['seconds']:8.1f} s", flush=True)
    report(runs, size)


def report(runs: dict[str, list[dict[str, float]]], size: int) -> None:
    seconds = {name: statistics.median(r["seconds"] for r in found) for name, found in runs.items()}
    print(f"\n{'variant':16} {'seconds':>8} {'MB/s':>7} {'peak MiB':>9}")
    for name, found in runs.items():
        peak = max(r["mib"] for r in found)
        print(f"{name:16} {seconds[name]:8.1f} {size / 1e6 / seconds[name]:7.1f} {peak:9.0f}")
    if "datasets.map x2" in runs:
        alone = statistics.median(r["map_alone"] for r in runs["datasets.map x2"])
        seconds["datasets.map alone"] = alone
    for claim, slow, fast in CLAIMS:
        if slow in seconds and fast in seconds:
            print(f"{claim:55} {seconds[slow] / seconds[fast]:.2f}")


if __name__ == "__main__":
    main()
