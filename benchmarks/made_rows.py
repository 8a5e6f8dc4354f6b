"""Made-up corpora of any number of rows: metadata alone, no picture and no record file.

A row has one picture with random hashes, one row in five the picture of the row before it. So no
two pictures have to be compared, and what matching and curation join is as long as with real ones.
Nothing that reads records can run on them: duplicates are dropped, not merged.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cauldron.transforms.parts import PartNames

from benchmarks.join import drawn
from cauldron.core import storage
from cauldron.core.output.counts import CorpusCounts
from cauldron.core.output.manifests import (
    MANIFEST,
    CorpusManifest,
    CorpusPart,
    HashedFile,
    RowFile,
    Tokenizer,
    corpus_folder,
    manifest_bytes,
)
from cauldron.core.schema import CORPUS_SCHEMA

FINGERPRINT = "made-up"
ROWS_PER_PART, ROWS_PER_GROUP = 50_000, 2_000
COPY_EVERY = 5
IMAGE_BYTES, TEXT_BYTES = 100_000, 512


def write_corpus(output: str, source: str, rows: int) -> CorpusManifest:
    """Write a corpus of so many rows, and its manifest."""
    folder = corpus_folder(output, source, FINGERPRINT)
    sizes = [min(ROWS_PER_PART, rows - start) for start in range(0, rows, ROWS_PER_PART)]
    manifest = CorpusManifest(
        source=source,
        fingerprint=FINGERPRINT,
        repo="made/up",
        revision=None,
        commit=None,
        license="unknown",
        tokenizer=Tokenizer(name=None, estimated=True),
        files=[],
        parts=list(_parts(folder, source, sizes)),
        counts=CorpusCounts(
            rows_in=rows,
            kept=rows,
            turns=rows,
            images=rows,
            answer_tokens=10 * rows,
            text_tokens=15 * rows,
            bytes_in=0,
        ),
    )
    storage.write_bytes(storage.join(folder, MANIFEST), manifest_bytes(manifest))
    return manifest


def _parts(folder: str, source: str, sizes: list[int]) -> Iterator[CorpusPart]:
    for number, count in enumerate(sizes):
        names = PartNames(folder, "", number, len(sizes))
        table = _table(np.random.default_rng(number), source, count)
        with storage.atomic_write(storage.join(folder, names.parquet)) as file:
            pq.write_table(table, file, compression="zstd", row_group_size=ROWS_PER_GROUP)
        parquet = RowFile(**file.entry(names.parquet, count))
        pack = HashedFile(name=names.record_file, bytes=IMAGE_BYTES * count, sha256="0" * 64)
        yield CorpusPart(part=number, parquet=parquet, pack=pack, quarantine=None)


def _table(rng: np.random.Generator, source: str, count: int) -> pa.Table:
    """A part as ingest writes it, in all columns."""
    text = {"type": "text", "text": "Which one?"}
    row: dict[str, Any] = dict.fromkeys(CORPUS_SCHEMA.names)
    row |= {"source": source, "turn_sources": [source], "pack": "images.tar"}
    row |= {"answer_tokens": 10, "text_tokens": 15, "turns": 1}
    row["messages"] = [
        {"role": "user", "content": [{"type": "image", "text": None}, text]},
        {"role": "assistant", "content": [text]},
    ]
    same = pa.Table.from_pylist([row], schema=CORPUS_SCHEMA).take(pa.array([0] * count))
    places = np.arange(count, dtype=np.int64) * (IMAGE_BYTES + TEXT_BYTES)
    length = np.full(count, IMAGE_BYTES + TEXT_BYTES, dtype=np.int64)
    columns = {"id": _hex(rng, count), "offset": places, "length": length}
    columns["image_info"] = _images(rng, count, places + TEXT_BYTES)
    for name, values in columns.items():
        field = CORPUS_SCHEMA.field(name)
        column = values if isinstance(values, pa.Array) else pa.array(values, field.type)
        same = same.set_column(CORPUS_SCHEMA.get_field_index(name), field, column)
    return same


def _images(rng: np.random.Generator, count: int, offsets: np.ndarray) -> pa.ListArray:
    shown = np.arange(count)
    shown[COPY_EVERY - 1 :: COPY_EVERY] -= 1
    pictures, pixels = drawn(rng, count)[shown], _hex(rng, count).take(pa.array(shown))
    values = {
        "width": pictures["width"],
        "height": pictures["height"],
        "format": pa.array(["JPEG"] * count),
        "mode": pa.array(["RGB"] * count),
        "sha256": pa.array([digest * 2 for digest in pixels.to_pylist()]),
        "phash": pictures["phash"],
        "bits": np.full(count, 8),
        "pixels": pixels,
        "phash256": [hash_.tobytes() for hash_ in pictures["phash256"]],
        "ground": np.full(count, 128),
        "loss": np.zeros(count),
        "content": pa.nulls(
            count, CORPUS_SCHEMA.field("image_info").type.value_type["content"].type
        ),
        "offset": offsets,
        "length": np.full(count, IMAGE_BYTES),
    }
    kind = CORPUS_SCHEMA.field("image_info").type
    fields = list(kind.value_type)
    assert [field.name for field in fields] == list(values)
    arrays = [
        v if isinstance(v, pa.Array) else pa.array(v, field.type)
        for field, v in zip(fields, values.values(), strict=True)
    ]
    images = pa.StructArray.from_arrays(arrays, fields=fields)
    return pa.ListArray.from_arrays(pa.array(np.arange(count + 1), pa.int32()), images, type=kind)


def _hex(rng: np.random.Generator, count: int) -> pa.Array:
    """Random ids, as 32 hex digits."""
    text = rng.bytes(16 * count).hex()
    return pa.array([text[start : start + 32] for start in range(0, len(text), 32)])
