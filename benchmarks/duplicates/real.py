"""Real tables and receipts as a labelled set: published pictures and altered copies of them.

Reads parquet files with a column ``images`` (the Cauldron) or ``image`` (CORD). What is true of
real pictures is not known, so the strictest reading holds: two pictures are the same if and only
if their pixels are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.duplicates.alterations import ALTERATIONS, opened
from benchmarks.duplicates.labelled import Labelled
from cauldron.sample.model import sample

# Where pictures that all look alike lie in a hub: tables, and photographed receipts.
FOLDERS = {
    "real table": "HuggingFaceM4/the_cauldron/tabmwp",
    "real receipt": "naver-clova-ix/cord-v2",
}


def real(hub: Path, seed: int, copies: int) -> Iterator[Labelled]:
    """Every picture below `hub`'s known folders once, and `copies` random alterations of it.

    Raises:
        FileNotFoundError: no known folder holds a parquet file.
    """
    found = 0
    for class_name, folder in FOLDERS.items():
        for path in sorted((hub / folder).rglob("*.parquet")):
            for data in _images(path):
                yield from _copies(class_name, found, data, seed, copies)
                found += 1
    if not found:
        raise FileNotFoundError(f"no parquet file below {hub} in {', '.join(FOLDERS.values())}")


def _images(path: Path) -> Iterator[bytes]:
    file = pq.ParquetFile(path)
    names = set(file.schema_arrow.names)
    column = "images" if "images" in names else "image"
    for batch in file.iter_batches(16, columns=[column]):
        for value in batch[column].to_pylist():
            for image in value if isinstance(value, list) else [value]:
                yield image["bytes"]


def _copies(
    class_name: str, number: int, data: bytes, seed: int, copies: int
) -> Iterator[Labelled]:
    image = opened(data)
    kind = "JPEG" if image.format == "JPEG" else "PNG"
    plain = image if image.mode in ("RGB", "L") else image.convert("RGB")
    content = f"{plain.size} {hashlib.sha256(plain.convert('RGB').tobytes()).hexdigest()}"
    yield Labelled(class_name, number, "base", content, data)
    rng = np.random.default_rng([seed, 99, number])
    for name in sample(rng, sorted(ALTERATIONS), copies):
        altered = ALTERATIONS[name](plain, kind, rng)
        yield Labelled(class_name, number, name, content, altered)
