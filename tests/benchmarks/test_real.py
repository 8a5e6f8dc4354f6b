"""Real pictures as a labelled set: equal pixels are one content, whatever the file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from benchmarks.duplicates.real import real


def _data(seed: int, kind: str, **options: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def _struct(data: bytes) -> dict[str, bytes | None]:
    return {"bytes": data, "path": None}


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """One file of the Cauldron (a list of images a row) and one of CORD (one image a row)."""
    tables = [[_struct(_data(1, "PNG"))], [_struct(_data(1, "PNG", compress_level=0))]]
    _write(tmp_path / "HuggingFaceM4/the_cauldron/tabmwp/train-0.parquet", {"images": tables})
    receipts = [_struct(_data(2, "JPEG"))]
    _write(tmp_path / "naver-clova-ix/cord-v2/data/train-0.parquet", {"image": receipts})
    return tmp_path


def _write(path: Path, columns: dict[str, list]) -> None:
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(columns), path)


def test_every_published_picture_is_there_with_its_own_bytes_and_copies(hub):
    pictures = list(real(hub, seed=1, copies=2))
    bases = [p for p in pictures if p.variant == "base"]
    assert [p.class_name for p in bases] == ["real table", "real table", "real receipt"]
    assert bases[2].data == _data(2, "JPEG")
    assert len(pictures) == 9


def test_content_is_the_pixels_and_not_the_file(hub):
    bases = list(real(hub, seed=1, copies=0))
    assert bases[0].data != bases[1].data
    assert bases[0].content == bases[1].content != bases[2].content


def test_the_same_seed_alters_in_the_same_way(hub):
    assert list(real(hub, 3, 2)) == list(real(hub, 3, 2))
    assert list(real(hub, 3, 2)) != list(real(hub, 4, 2))


def test_a_folder_without_the_known_sources_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no parquet file"):
        list(real(tmp_path, 1, 1))
