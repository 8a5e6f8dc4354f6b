"""Made-up decisions have the rows that were asked for, in files as a curation writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cauldron.transforms.arrays import range_of
from cauldron.transforms.mixing.select import kept_rows

from benchmarks import made_corpora
from benchmarks.made_corpora import SOURCES, write_decisions
from cauldron.core.output.manifests import CurationManifest, read_manifest


def test_decisions_are_in_the_bucket_of_their_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made_corpora, "ROWS_PER_BUCKET", 400)
    folder = str(tmp_path / "decisions")
    manifest = write_decisions(folder, 1001)
    assert read_manifest(CurationManifest, folder) == manifest
    assert sum(counts.kept for counts in manifest.counts.values()) == 1001
    assert [file.rows for file in manifest.buckets] == [333, 334, 334]
    found = list(kept_rows(f"{folder}/{file.name}" for file in manifest.buckets))
    for number, kept in enumerate(found):
        assert set(range_of(kept.ids[:, 0], 3)) == {number}
        assert len(np.unique(kept.ids, axis=0)) == len(kept.ids)
    merged = sum(int((kept.merged_length > 0).sum()) for kept in found)
    assert merged == 3 * 12  # one row in thirty of each file
    assert {name for kept in found for name in kept.names} <= {*SOURCES}
