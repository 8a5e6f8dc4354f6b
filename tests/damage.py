"""Damage to an output folder behind its manifests' backs, and what `verify` says of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.fixtures_out import change_manifest


def entry_of(values: Any, name: str) -> dict[str, Any]:
    """The manifest's entry of a file, wherever it stands."""
    if isinstance(values, dict):
        if values.get("name") == name and "sha256" in values:
            return values
        values = list(values.values())
    found = [entry_of(item, name) for item in values if isinstance(item, dict | list)]
    return next((item for item in found if item), {})


def trust(out: str, file: str, manifest: str) -> None:
    """Let the manifest say of a changed file what is now true of its bytes."""
    path = Path(out) / file
    data = path.read_bytes()

    def change(values: dict[str, Any]) -> None:
        entry = entry_of(values, path.name)
        entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        if "rows" in entry and path.suffix == ".parquet":
            entry["rows"] = pq.ParquetFile(path).metadata.num_rows
        elif "rows" in entry:
            entry["rows"] = data.count(b"\n")

    change_manifest(f"{out}/{manifest}", change)


def edit(out: str, file: str, manifest: str, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    """Change a parquet file's rows, and let the manifest agree about its bytes."""
    table = pq.read_table(f"{out}/{file}")
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), f"{out}/{file}")
    trust(out, file, manifest)


def only(problems: list[str], *parts: str) -> None:
    """Exactly one problem, with all these in it."""
    assert len(problems) == 1, problems
    assert all(part in problems[0] for part in parts), problems
    assert "\n" not in problems[0]


def some(problems: list[str], *parts: str) -> None:
    """One of the problems has all these in it."""
    assert any(all(part in line for part in parts) for line in problems), problems
