"""Made-up corpora are read by matching and by curation as those of ingest are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cauldron.transforms.curate.index import PartPath, index_part
from cauldron.transforms.matching.pictures import PicturePart, read_occurrences

from benchmarks import made_rows
from cauldron.core.output.manifests import CorpusManifest, read_manifest


def test_a_corpus_has_its_rows_and_a_copy_in_five(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made_rows, "ROWS_PER_PART", 20)
    made = made_rows.write_corpus(str(tmp_path), "the_cauldron/vqav2", 50)
    folder = tmp_path / "corpus/the_cauldron/vqav2" / made.fingerprint
    assert read_manifest(CorpusManifest, str(folder)) == made
    paths = [str(tmp_path / path) for path in made.tables()]
    rows = np.concatenate([index_part(PartPath(0, n, p), True) for n, p in enumerate(paths)])
    images = np.concatenate([read_occurrences(PicturePart(0, n, p)) for n, p in enumerate(paths)])
    assert len(np.unique(rows[["high", "low"]])) == len(images) == 50
    assert len(np.unique(images[["key_high", "key_low"]])) == 40
    assert not rows["blank"].any()
