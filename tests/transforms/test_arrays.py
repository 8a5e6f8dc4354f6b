"""Records on disk: written a row group at a time, with the bytes of a table written at once."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from cauldron.transforms import arrays
from cauldron.transforms.arrays import read_array, to_table, write_array

KIND = np.dtype([("key", "<u8"), ("wide", "<u8", 4), ("size", "<i4")])


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 30])
def test_a_file_has_the_bytes_of_a_whole_table(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "_ROW_GROUP_ROWS", 8)
    records = np.zeros(rows, dtype=KIND)
    records["key"] = np.random.default_rng(0).integers(0, 1 << 63, rows)
    records["wide"][:, 3], records["size"] = records["key"], np.arange(rows)
    path = tmp_path / "records.parquet"
    entry = write_array(str(path), records)
    assert entry["rows"] == rows
    whole = io.BytesIO()
    pq.write_table(to_table(records), whole, compression="zstd", row_group_size=8)
    assert path.read_bytes() == whole.getvalue()
    assert read_array(str(path), KIND).tobytes() == records.tobytes()


def test_no_more_than_a_row_group_is_a_table_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "_ROW_GROUP_ROWS", 8)
    sizes: list[int] = []
    monkeypatch.setattr(arrays, "to_table", lambda part: sizes.append(len(part)) or to_table(part))
    write_array(str(tmp_path / "records.parquet"), np.zeros(20, dtype=KIND))
    assert sizes == [8, 8, 4]
