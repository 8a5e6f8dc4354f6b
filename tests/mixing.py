"""Made-up decisions, and what a mixture takes of them by the plainest means: all rows in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from cauldron.transforms.mixing.select import Take, kept_rows
from cauldron.transforms.mixing.selection import Passes
from cauldron.transforms.order import mix64

from cauldron.core.output.counts import CurationCounts
from cauldron.core.output.manifests import CurationManifest, RowFile
from cauldron.core.schema import DECISION_SCHEMA


def takes_in_memory(
    paths: Iterable[str], passes: Mapping[str, Passes], seed: int
) -> dict[str, Take]:
    """The takes by sorting the hashes of all rows."""
    hashes: dict[str, list[int]] = {name: [] for name in passes}
    for kept in kept_rows(paths):
        for name, mine in kept.holders():
            if name in passes:
                ids = kept.ids[kept.held.row[mine]]
                hashes[name] += mix64(ids, seed, "select", passes[name].whole).tolist()
    return {
        name: Take(p.whole, p.extra, sorted(hashes[name])[p.extra - 1] if p.extra else 0)
        for name, p in passes.items()
    }


def decision(source: str, number: int, **more: Any) -> dict[str, Any]:
    """A kept row of `DECISION_SCHEMA`, without a picture."""
    place = {"part": 0, "row": number, "offset": 1000 * number, "length": 1000, "image_bytes": 0}
    row = {"source": source, "id": f"{number:032x}", "decision": "keep", **place}
    return row | {"answer_tokens": 5, "turns": 1} | more


def merged_decision(number: int, held: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """A row of the first source of `held` that others were merged into.

    Args:
        held: turns and answer tokens by source.
    """
    shares = [{"source": n, "turns": turns, "answer_tokens": t} for n, (turns, t) in held.items()]
    return decision(
        next(iter(held)),
        number,
        turns=sum(turns for turns, _ in held.values()),
        answer_tokens=sum(tokens for _, tokens in held.values()),
        merged_file=0,
        merged_offset=100 * number,
        merged_length=100,
        contributions=shares,
    )


def write_curation(folder: Path, files: Iterable[list[dict[str, Any]]]) -> list[str]:
    """A finished curation with these files of decisions; returns their paths."""
    folder.mkdir(parents=True)
    buckets = []
    for number, rows in enumerate(files):
        path = folder / f"decisions-{number:05d}.parquet"
        # Row groups are read one at a time, so there are several.
        table = pa.Table.from_pylist(rows, schema=DECISION_SCHEMA)
        pq.write_table(table, path, row_group_size=max(1, len(rows) // 3))
        size = path.stat().st_size
        buckets.append(RowFile(name=path.name, bytes=size, sha256="0" * 64, rows=len(rows)))
    manifest = CurationManifest(
        fingerprint=folder.name,
        corpora={},
        buckets=buckets,
        counts={"a": CurationCounts(rows_in=1, kept=1)},
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return [str(folder / file.name) for file in buckets]
