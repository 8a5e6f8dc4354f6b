"""Shards: short rows become Arrow's some at a time, which does not show in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from cauldron.transforms import shards
from cauldron.transforms.shards import ShardWriter

from cauldron.core import storage
from cauldron.core.schema import mixture_schema_with_features
from tests.training.data.mixtures import mixed_rows


def write(path: Path, rows: list[dict[str, Any]], groups: list[int]) -> bytes:
    left = iter(rows)
    with storage.atomic_write(str(path)) as file:
        writer = ShardWriter(file)
        for size in groups:
            writer.write_row_group(next(left) for _ in range(size))
        writer.close()
    return path.read_bytes()


def test_where_batches_end_does_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Enough for several pages of a column.
    rows = mixed_rows(120) * 20
    monkeypatch.setattr(shards, "_ROWS_AT_A_TIME", 10_000)
    whole = write(tmp_path / "whole", rows, [2_000, 1, 399])
    monkeypatch.setattr(shards, "_ROWS_AT_A_TIME", 7)
    assert write(tmp_path / "parts", rows, [2_000, 1, 399]) == whole
    read = pq.ParquetFile(tmp_path / "parts")
    assert [read.metadata.row_group(n).num_rows for n in range(3)] == [2_000, 1, 399]
    assert read.schema_arrow == mixture_schema_with_features()
