"""Records what a fixed run writes, so that a change of form can be proven to move no byte.

The run is: the miniature hub, the recipe ``sample`` built from it with one of its own sources as a
benchmark, and twenty steps of the tiny model. Recorded are the SHA-256 of every file of hub and
output, the fingerprints and the losses. Numbers depend on the versions of pillow, pyarrow, OpenCV
and torch, so records are compared on one machine and are not kept in the repository.

    python -m tests.freeze record before.json --work /tmp/freeze      # on the old code
    python -m tests.freeze record after.json --work /tmp/freeze       # on the new code
    python -m tests.freeze compare before.json after.json

``--hub FOLDER`` builds an existing hub instead of the one that this code draws. ``--no-train``
leaves the trainer out, for machines without torch.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import click

STEPS = 20


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by relative path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[path.relative_to(folder).as_posix()] = digest
    return found


def cauldron(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "cauldron", *arguments], check=True)


def losses(run: Path) -> list[float]:
    """The training loss of each step."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [row["loss"] for row in map(json.loads, lines) if "loss" in row]


def benchmark_folder(hub: Path, work: Path) -> Path:
    """A shard of the hub as a benchmark, so that contamination is part of the record."""
    folder = work / "benchmark"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for shard in sorted((hub / "HuggingFaceM4/the_cauldron/ai2d").glob("*.parquet")):
        shutil.copy(shard, folder)
    return folder


@click.group()
def main() -> None:
    """Prove that no byte moved."""


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Scratch folder.")
@click.option("--hub", type=click.Path(path_type=Path, exists=True), help="Build this hub.")
@click.option("--train/--no-train", default=True)
def record(file: Path, work: Path, hub: Path | None, train: bool) -> None:
    """Run, and write the record to FILE."""
    work = work.absolute()
    out, run = work / "out", work / "run"
    for folder in (out, run):
        shutil.rmtree(folder, ignore_errors=True)
    if hub is None:
        hub = work / "hub"
        shutil.rmtree(hub, ignore_errors=True)
        cauldron("sample", str(hub))
    benchmark = benchmark_folder(hub, work)
    places = ("--root", str(hub), "--output", str(out))
    cauldron("build", "sample", *places)
    cauldron("build", "sample", *places, "--against", f"leaks={benchmark}")
    found: dict[str, object] = {"hub": digests(hub), "out": digests(out)}
    if train:
        mixture = ("--mixture", str(next((out / "mixtures").rglob("manifest.json")).parent))
        shape = ("--model", "tiny", "--steps", str(STEPS), "--output", str(run))
        cauldron("train", "--stage", "sft", *mixture, *shape)
        found["losses"] = losses(run)
    file.write_text(json.dumps(found, indent=1, sort_keys=True))
    click.echo(f"{file}: {len(digests(hub))} files of the hub, {len(digests(out))} of the output")


@main.command()
@click.argument("before", type=click.Path(path_type=Path, exists=True))
@click.argument("after", type=click.Path(path_type=Path, exists=True))
def compare(before: Path, after: Path) -> None:
    """List what differs; exit code 1 if anything does."""
    old, new = json.loads(before.read_text()), json.loads(after.read_text())
    lines = []
    for part in sorted(old.keys() | new.keys()):
        a, b = old.get(part), new.get(part)
        if isinstance(a, dict) and isinstance(b, dict):
            lines += [
                f"{part}: {name}"
                for name in sorted(a.keys() | b.keys())
                if a.get(name) != b.get(name)
            ]
        elif a != b:
            lines.append(f"{part}: {a} became {b}")
    for line in lines:
        click.echo(line)
    click.echo(f"{len(lines)} differences")
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
