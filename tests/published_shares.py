"""A hub as large as the published one by metadata: a thousandth of its rows, and no picture.

``python -m tests.published_shares`` prints published, asked and reached shares of the packaged
recipe, for both promises. Rows, turns and answer tokens of each source are the published ones over
1,000 (at least one row), spread evenly; PlotQA's tokens are the corrected ones. Decisions and
manifests are files of a real output folder; the counts, the solution and the takes are those of
`cauldron.transforms.mixing.selection`, as in a build.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.resources
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cauldron.transforms.mixing.select import Take, kept_rows
from cauldron.transforms.mixing.selection import Terms, select, tallies_of

from cauldron.core import storage
from cauldron.core.output.counts import CorpusCounts, CurationCounts
from cauldron.core.output.manifests import (
    MANIFEST,
    CorpusManifest,
    CurationManifest,
    RowFile,
    Tokenizer,
    corpus_folder,
    curation_folder,
)
from cauldron.core.schema import DECISION_SCHEMA
from cauldron.core.shares import Allocation
from cauldron.inspect.statistics import Published, published, published_counts
from cauldron.recipe import Recipe, load_recipe
from tests.mixing import takes_in_memory

SCALE = 1000
CORPUS, CURATION, DECISIONS = "c0", "d0", "decisions-00000-of-00001.parquet"


@dataclass(frozen=True)
class Taken:
    """What a mixture takes."""

    allocations: list[Allocation]
    takes: dict[str, Take]


@dataclass(frozen=True)
class Hub:
    """A recipe whose table of published counts is scaled, and an output folder with decisions."""

    recipe: Recipe
    out: str
    decisions: str
    table: dict[str, Published]

    def select(self) -> Taken:
        stage, counts = self.recipe.stage("sft"), published_counts(self.recipe.statistics)
        tallies = tallies_of([self.decisions], stage)
        terms = Terms(stage, self.table, counts)
        allocations = terms.solve(terms.counts(tallies))
        passes = select(tallies, allocations).passes
        return Taken(allocations, takes_in_memory([self.decisions], passes, self.recipe.seed))

    def reached(self, selection: Taken) -> dict[str, float]:
        """Answer tokens by source: those of the turns that the cap leaves in the taken rows."""
        cap, seed = self.recipe.stage("sft").turns.cap or sys.maxsize, self.recipe.seed
        tokens = dict.fromkeys(self.table, 0.0)
        for kept in kept_rows([self.decisions]):
            for name, mine in kept.holders():
                if name in selection.takes:
                    copies = selection.takes[name].copies(kept.ids[kept.held.row[mine]], seed)
                    turns = kept.held.turns[mine]
                    shown = np.minimum(turns, cap) / turns * kept.held.answer_tokens[mine]
                    tokens[name] += float((copies * shown).sum())
        return tokens


def make_hub(folder: Path, promise: str = "shares") -> Hub:
    table = _scaled_table(folder / "scaled.csv")
    stage: dict[str, Any] = {"promise": promise, "budget": None}
    if promise == "shares":
        whole = load_recipe("idefics3").stage("sft").budget
        assert whole is not None
        assert whole.answer_tokens is not None
        stage["budget"] = {"answer_tokens": whole.answer_tokens / SCALE}
    path = folder / "recipe.json"
    values = {"extends": "idefics3", "name": "scaled", "statistics": str(folder / "scaled.csv"),
              "duplicates": None, "stages": {"sft": stage}}  # fmt: skip
    storage.write_json(str(path), values)
    out = str(folder / "out")
    decisions = storage.join(curation_folder(out, CURATION), DECISIONS)
    columns = pa.concat_tables([_rows(row) for row in table.values()])
    with storage.atomic_write(decisions) as file:
        pq.write_table(columns, file)
    entry = RowFile(name=DECISIONS, bytes=file.size, sha256=file.sha256, rows=len(columns))
    _write_manifests(out, table, entry)
    return Hub(load_recipe(str(path)), out, decisions, table)


def _scaled_table(path: Path) -> dict[str, Published]:
    packaged = importlib.resources.files("cauldron") / "data" / "idefics3_sft.csv"
    rows = list(csv.DictReader(packaged.read_text().splitlines()))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        for row in rows:
            counts = {n: max(1, round(int(row[n]) / SCALE)) for n in ("images", "qa_pairs")}
            images = counts["images"] if int(row["images"]) else 0
            tokens = {
                name: float(row[name]) / SCALE if row[name] else ""
                for name in ("answer_tokens", "corrected_tokens")
            }
            writer.writerow({**row, **counts, "images": images, **tokens})
    return published(str(path))


def _rows(source: Published) -> pa.Table:
    """One kept decision for each row, its turns and tokens as even as whole numbers can be."""
    count = source.rows
    tokens = source.corrected_tokens or source.answer_tokens
    figures = {
        "answer_tokens": _spread(round(tokens), count),
        "turns": np.maximum(1, _spread(source.turns, count)),
        "part": np.zeros(count, np.int64),
        "row": np.arange(count),
        "offset": np.arange(count) * 100,
        "length": np.full(count, 100),
    }
    ids = [
        hashlib.blake2b(f"{source.source} {n}".encode(), digest_size=16).hexdigest()
        for n in range(count)
    ]
    values = {"source": [source.source] * count, "id": ids, "decision": ["keep"] * count, **figures}
    return pa.table(
        {
            column.name: pa.array(values[column.name]).cast(column.type)
            if column.name in values
            else pa.nulls(count, column.type)
            for column in DECISION_SCHEMA
        },
        schema=DECISION_SCHEMA,
    )


def _spread(total: int, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.diff(np.arange(count + 1, dtype=np.int64) * total // count)


def _write_manifests(out: str, table: dict[str, Published], decisions: RowFile) -> None:
    for name, row in table.items():
        counts = CorpusCounts(
            rows_in=row.rows, kept=row.rows, turns=row.turns, images=0, bytes_in=0,
            answer_tokens=round(row.answer_tokens), text_tokens=round(row.answer_tokens),
        )  # fmt: skip
        manifest = CorpusManifest(
            source=name, fingerprint=CORPUS, repo="org/name", revision=None, commit=None,
            license="unknown", tokenizer=Tokenizer(name="counted", estimated=False), files=[],
            parts=[], counts=counts,
        )  # fmt: skip
        _write(corpus_folder(out, name, CORPUS), manifest)
    curation = CurationManifest(
        fingerprint=CURATION,
        corpora=dict.fromkeys(table, CORPUS),
        buckets=[decisions],
        counts={
            name: CurationCounts(rows_in=row.rows, kept=row.rows) for name, row in table.items()
        },
    )
    _write(curation_folder(out, CURATION), curation)


def _write(folder: str, manifest: CorpusManifest | CurationManifest) -> None:
    storage.write_json(storage.join(folder, MANIFEST), manifest.model_dump(mode="json"))


def total_variation(hub: Hub, reached: dict[str, float]) -> float:
    """Half the sum of differences from the paper's printed column, in points.

    Over the 58 rows that are not misprinted, each side as shares of these rows.
    """
    printed = {n: row.percent_printed for n, row in hub.table.items() if not row.misprint}
    given, whole = sum(reached[name] for name in printed), sum(printed.values())
    return 50 * sum(abs(reached[n] / given - p / whole) for n, p in printed.items())


def main() -> None:
    for promise in ("shares", "epochs"):
        with tempfile.TemporaryDirectory() as folder:
            hub = make_hub(Path(folder), promise)
            selection = hub.select()
            reached = hub.reached(selection)
            whole = sum(reached.values())
            print(
                f"promise: {promise}\n{'source':36}  printed  published    asked  reached   epochs"
            )
            for item in selection.allocations:
                row = hub.table[item.source]
                print(
                    f"{item.source:36}  {row.percent_printed:7.2f}  {100 * row.share:9.2f}  "
                    f"{100 * item.share:7.2f}  {100 * reached[item.source] / whole:7.2f}  "
                    f"{item.epochs:7.3f}{'  misprinted' * row.misprint}"
                )
            print(f"total variation from the printed column: {total_variation(hub, reached):.2f}\n")


if __name__ == "__main__":
    main()
