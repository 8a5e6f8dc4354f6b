"""Answer tokens by the estimate and by Mistral-7B's tokenizer, beside the published counts.

    python benchmarks/tokens.py --real HUB

HUB holds real rows of IIW-400, TabMWP and CORD in their published layouts. The first table has the
speed of both counters on the texts of each source, on one core, in processor time.

The second has tokens per answer: published, and by both counters. Nine more sources are in it whose
answers all have one form of known length, so that their answers are known without their rows. Below
it stands the total variation between the shares that follow from the published counts and those
that follow from each counter's, over these sources only: tokens per answer x published answers x
weight. See README.md for how far the real rows are those that were counted.
"""

from __future__ import annotations

import argparse
import csv
import importlib.resources
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from cauldron.sources.base import Row
from cauldron.sources.catalog import registry
from cauldron.sources.repos.roots import open_root
from cauldron.transforms.tokens import token_counter

COUNTERS = ("estimate", "mistral-7b")
# Answers of one form; the published counts are 3.0 and 4.0 tokens for each, BOS included.
VERDICTS, CHOICES = ["Yes.", "No."], ["Answer: A", "Answer: B", "Answer: C", "Answer: D"]
KNOWN = {
    **{f"the_cauldron/{name}": VERDICTS for name in ("vsr", "figureqa", "nlvr2", "hateful_memes")},
    **{f"the_cauldron/{name}": CHOICES for name in ("ai2d", "tqa", "scienceqa", "intergps")},
    "the_cauldron/visual7w": CHOICES,
}


def texts(hub: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Questions and answers of each source with real rows."""
    return {
        "iiw_400": _iiw(hub),
        "the_cauldron/tabmwp": _tabmwp(hub),
        "cord_v2": _cord(hub),
    }


def _iiw(hub: Path) -> tuple[list[str], list[str]]:
    path = hub / "google/imageinwords/datasets/IIW-400/data.jsonl"
    return [], [json.loads(line)["IIW"] for line in path.read_text().splitlines()]


def _tabmwp(hub: Path) -> tuple[list[str], list[str]]:
    """The second turn only: the published table counts one answer for each table, the solution."""
    turns = [
        row[1]
        for path in sorted((hub / "HuggingFaceM4/the_cauldron/tabmwp").glob("*.parquet"))
        for row in pq.read_table(path, columns=["texts"])["texts"].to_pylist()
    ]
    return [turn["user"] for turn in turns], [turn["assistant"] for turn in turns]


def _cord(hub: Path) -> tuple[list[str], list[str]]:
    rows = list(_rows(hub, "cord_v2"))
    return [row.turns[0].user for row in rows], [str(row.turns[0].assistant) for row in rows]


def _rows(hub: Path, name: str) -> Iterator[Row]:
    source, root = registry()[name], open_root(str(hub))
    repo = root.repo(source.repo, None)
    options = dict(source.default_options)
    for piece in source.pieces(root, repo, options, -1):
        for row in source.read(root, repo, piece, options):
            assert isinstance(row, Row), row
            yield row


def speed(name: str, found: list[str], rounds: int = 5) -> None:
    """Print megabytes a second of each counter; each round with a counter that knows no word."""
    size = sum(len(text.encode()) for text in found)
    line = [f"{name:20}", f"{size / 1e6:6.2f} MB"]
    for spec in COUNTERS:
        times = []
        for _ in range(rounds):
            counter = token_counter(spec)
            began = time.process_time()
            tokens = sum(counter.count(found))
            times.append(time.process_time() - began)
        took = statistics.median(times)
        line.append(f"{spec} {size / 1e6 / took:6.1f} MB/s {tokens / 1e6 / took:6.2f} M tokens/s")
    print("  ".join(line))


def per_answer(spec: str, answers: list[str]) -> float:
    counter = token_counter(spec)
    return sum(counter.count(answers)) / len(answers) + counter.per_answer


def shares(tokens: dict[str, float]) -> dict[str, float]:
    """The share of each source, in per cent. Args: tokens: per answer."""
    table = importlib.resources.files("cauldron") / "data" / "idefics3_sft.csv"
    entries = {row["source"]: row for row in csv.DictReader(table.read_text().splitlines())}
    due = {
        name: count * int(entries[name]["qa_pairs"]) * float(entries[name]["weight"])
        for name, count in tokens.items()
    }
    return {name: 100 * value / sum(due.values()) for name, value in due.items()}


def published() -> dict[str, float]:
    """Published tokens per answer by source."""
    table = importlib.resources.files("cauldron") / "data" / "idefics3_sft.csv"
    return {
        row["source"]: float(row["answer_tokens"]) / int(row["qa_pairs"])
        for row in csv.DictReader(table.read_text().splitlines())
        if int(row["qa_pairs"])
    }


def compare(answers: dict[str, list[str]]) -> None:
    """Print tokens per answer and shares, and the total variation of each counter."""
    known = published()
    counts = {"published": {name: known[name] for name in answers}}
    for spec in COUNTERS:
        counts[spec] = {name: per_answer(spec, mine) for name, mine in answers.items()}
    reached = {column: shares(values) for column, values in counts.items()}
    print(f"\n{'tokens per answer':28}{'share in %':>37}")
    print(f"{'source':26}" + "".join(f"{c:>12}" for c in counts) * 2)
    for name in answers:
        figures = [f"{values[name]:12.2f}" for values in (*counts.values(), *reached.values())]
        print(f"{name:26}" + "".join(figures))
    for spec in COUNTERS:
        apart = (abs(reached[spec][name] - reached["published"][name]) for name in answers)
        print(f"total variation from the published shares, {spec}: {sum(apart) / 2:.2f} points")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, required=True, help="a hub with real rows")
    found = texts(parser.parse_args().real)
    for name, (questions, answers) in found.items():
        speed(name, questions + answers)
    real = {name: answers for name, (_, answers) in found.items()}
    compare(real | KNOWN)
    without = {name: answers for name, answers in real.items() if name != "cord_v2"}
    print("\nThe same without CORD, whose receipts here are others:")
    compare(without | KNOWN)


if __name__ == "__main__":
    main()
