"""Made-up curations of any number of rows: decisions alone, no corpus and no picture.

Ids are random, lengths and tokens vary, sources differ in size by a factor of a thousand, as the
Cauldron's do. One row in thirty took over rows of two other sources. Files are written by the
project's own writer of decisions, a bucket of 500,000 rows at a time.
"""

from __future__ import annotations

import numpy as np
from cauldron.transforms.arrays import Array
from cauldron.transforms.curate.decisions import write_bucket
from cauldron.transforms.curate.pipeline import ROWS_PER_BUCKET
from cauldron.transforms.curate.records import (
    CONTRIBUTION,
    FATE,
    JUDGED,
    TAKES,
    CurateJob,
    CurateSource,
)

from cauldron.core import storage
from cauldron.core.output.counts import CurationCounts
from cauldron.core.output.manifests import MANIFEST, CurationManifest, RowFile

SOURCES = tuple(f"source_{number:02d}" for number in range(50))
_MERGED_EVERY = 30


def write_decisions(folder: str, rows: int, seed: int = 0) -> CurationManifest:
    """Write the decisions on so many rows, and the manifest of their curation."""
    sources = tuple(CurateSource(name, f"corpus/{name}", 1) for name in SOURCES)
    buckets = max(1, -(-rows // ROWS_PER_BUCKET))
    job = CurateJob(sources, buckets, folder, "merge")
    marks = []
    for bucket in range(buckets):
        count = rows * (bucket + 1) // buckets - rows * bucket // buckets
        judged, fates, held = _rows(np.random.default_rng((seed, bucket)), count, bucket, buckets)
        pieces = ([judged.tobytes()], [fates.tobytes()], [held.tobytes()], [])
        marks.append(write_bucket(bucket, *pieces, job))
    counts = dict.fromkeys(SOURCES, CurationCounts(rows_in=0, kept=0))
    for mark in marks:
        for name, values in mark["sources"].items():
            counts[name] += CurationCounts(**values)
    manifest = CurationManifest(
        fingerprint=folder.rpartition("/")[2],
        corpora=dict.fromkeys(SOURCES, "made-up"),
        buckets=[RowFile(**mark["file"]) for mark in marks],
        counts=counts,
    )
    storage.write_json(storage.join(folder, MANIFEST), manifest.model_dump(mode="json"))
    return manifest


def _rows(
    rng: np.random.Generator, count: int, bucket: int, buckets: int
) -> tuple[Array, Array, Array]:
    """`JUDGED`, `FATE` and `CONTRIBUTION` records of a bucket."""
    weights = 1000.0 ** -np.linspace(0, 1, len(SOURCES))
    rows = np.zeros(count, dtype=JUDGED)
    # A bucket is a range of ids; see `range_of`.
    first, last = (-(-(number << 32) // buckets) for number in (bucket, bucket + 1))
    leading = rng.integers(first, last, count, dtype=np.uint64) << np.uint64(32)
    rows["high"] = leading + rng.integers(0, 1 << 32, count, dtype=np.uint64)
    rows["low"] = rng.integers(0, 1 << 63, count, dtype=np.uint64)
    rows["source"] = rng.choice(len(SOURCES), count, p=weights / weights.sum())
    rows["row"] = np.arange(count)
    rows["turns"] = rng.geometric(0.3, count)
    rows["answer_tokens"] = rows["turns"] * rng.integers(2, 60, count)
    rows["image_bytes"] = rng.integers(20_000, 200_000, count)
    rows["length"] = rows["image_bytes"] + 1024
    rows["offset"] = np.cumsum(rows["length"]) - rows["length"]
    fates = np.zeros(len(rows[::_MERGED_EVERY]), dtype=FATE)
    held = np.zeros(3 * len(fates), dtype=CONTRIBUTION)
    taking = rows[::_MERGED_EVERY]
    for name in ("high", "low"):
        fates[name] = taking[name]
        held[name] = np.repeat(taking[name], 3)
    for name in ("source", "row"):
        fates[f"into_{name}"] = taking[name]
    fates["kind"] = TAKES
    fates["merged_offset"], fates["merged_length"] = 2000 * np.arange(len(fates)), 2000
    # Neighbours share pictures, as sets of one family do.
    held["source"] = (np.repeat(taking["source"], 3) + np.tile([0, 1, 2], len(fates))) % len(
        SOURCES
    )
    held["turns"] = rng.geometric(0.3, len(held))
    held["answer_tokens"] = held["turns"] * rng.integers(2, 60, len(held))
    for name in ("turns", "answer_tokens"):
        fates[name] = held[name].reshape(-1, 3).sum(axis=1)
    return rows, fates, held
