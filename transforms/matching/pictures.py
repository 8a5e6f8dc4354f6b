"""From corpora to pictures: every content once, however many rows show it.

Only the signatures that ingest stored are read, never pixels. Images are grouped by content key in
ranges of keys; a range becomes two files, its pictures and their occurrences. An image is 186
bytes in the shuffle, and two million of them take about 300 MB in the worker of a range: hence
`PICTURES_PER_RANGE`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from cauldron.transforms.arrays import Array, from_bytes, range_of, split_by, write_array
from cauldron.transforms.graph import Each
from cauldron.transforms.matching.arrays import repeated, starts
from cauldron.transforms.matching.records import (
    BENCHMARK,
    CONTENT_FIELDS,
    OCCURRENCE,
    PICTURE,
    TRAINING,
    MatchJob,
)
from cauldron.transforms.order import id_halves

from cauldron.core import storage

PICTURES_PER_RANGE = 500_000

_COLUMNS = ["id", "image_info"]
_COPIED = ("phash", "ground", "loss", "width", "height", "offset", "length")


class PicturePart(NamedTuple):
    """A corpus part to read; `source` is the source's place in the job."""

    source: int
    part: int
    path: str


def read_occurrences(part: PicturePart) -> Array:
    """The images of a corpus part, in order."""
    with storage.open_read(part.path) as file:
        table = pq.read_table(file, columns=_COLUMNS)
    infos = table["image_info"].combine_chunks()
    images: pa.StructArray = infos.flatten()
    records = np.zeros(len(images), dtype=OCCURRENCE)
    if not len(images):
        return records
    sizes = np.diff(infos.offsets.to_numpy())
    rows, records["image"] = repeated(sizes)
    records["row"], records["images"] = rows, sizes[rows]
    records["source"], records["part"] = part.source, part.part
    ids = id_halves(table["id"].to_pylist())[rows]
    records["id_high"], records["id_low"] = ids[:, 0], ids[:, 1]
    keys = _keys(images)
    records["key_high"], records["key_low"] = keys[:, 0], keys[:, 1]
    for name in _COPIED:
        records[name] = images.field(name).to_numpy(zero_copy_only=False)
    records["phash256"] = _words(images.field("phash256").to_pylist())
    contents = images.field("content")
    for name in ("left", "top", "width", "height", "phash"):
        values = pc.fill_null(contents.field(name), 0)
        records[f"content_{name}"] = values.to_numpy(zero_copy_only=False)
    # Values of a null struct may be anything.
    none = contents.is_null().to_numpy(zero_copy_only=False)
    wide = contents.field("phash256").to_pylist()
    records["content_phash256"] = _words([one or bytes(32) for one in wide])
    for name in CONTENT_FIELDS:
        records[name][none] = 0
    return records


def _words(hashes: list[bytes]) -> Any:
    return np.frombuffer(b"".join(hashes), dtype="<u8").reshape(-1, 4)


def _keys(images: pa.StructArray) -> Any:
    """Digests of the pixels where ingest decoded them in full, otherwise of the stored bytes."""
    pixels, stored = images.field("pixels").to_pylist(), images.field("sha256").to_pylist()
    return id_halves([a or b[:32] for a, b in zip(pixels, stored, strict=True)])


def group_pictures(occurrences: Array, benchmarks: frozenset[int]) -> tuple[Array, Array]:
    """Sort the images of a range and list each picture once.

    Rows that are exact copies of another (same source and id) are left out.

    Args:
        benchmarks: places of the sources that are benchmarks.

    Returns:
        `PICTURE` and `OCCURRENCE` records, both sorted by key.
    """
    images = _sorted(occurrences, _ROW_ORDER)
    same_row = ("key_high", "key_low", "source", "id_high", "id_low", "image")
    images = images[starts(images, *same_row)]
    images = _sorted(images, _PLACE_ORDER)
    first = np.flatnonzero(starts(images, "key_high", "key_low"))
    pictures = np.zeros(len(first), dtype=PICTURE)
    for name in PICTURE.names or ():
        if name not in ("kind", "occurrences"):
            pictures[name] = images[name][first]
    if len(first):
        kinds = np.where(np.isin(images["source"], list(benchmarks)), BENCHMARK, TRAINING)
        pictures["kind"] = np.bitwise_or.reduceat(kinds, first)
        pictures["occurrences"] = np.diff([*first, len(images)])
    return pictures, images


# The last field weighs most.
_ROW_ORDER = ("row", "part", "image", "id_low", "id_high", "source", "key_low", "key_high")
_PLACE_ORDER = ("image", "row", "part", "source", "key_low", "key_high")


def _sorted(records: Array, names: Iterable[str]) -> Array:
    return records[np.lexsort([records[name] for name in names])]


def write_range(number: int, packed: Iterable[bytes], job: MatchJob) -> dict[str, Any]:
    """Write the two files of a range and its marker; returns the marker."""
    benchmarks = frozenset(n for n, source in enumerate(job.sources) if source.benchmark)
    pictures, images = group_pictures(from_bytes(packed, OCCURRENCE), benchmarks)
    marker = {
        "range": number,
        "pictures": write_array(job.pictures(number), pictures),
        "occurrences": write_array(job.occurrences(number), images),
    }
    storage.write_json(job.marker("pictures", number), marker)
    return marker


def picture_parts(job: MatchJob) -> Iterator[PicturePart]:
    """All corpus parts of a job."""
    for number, source in enumerate(job.sources):
        for part in range(source.parts):
            yield PicturePart(number, part, source.table(part))


def _read_part(
    element: PicturePart, ranges: int, done: frozenset[int]
) -> Iterator[tuple[int, bytes]]:
    images = read_occurrences(element)
    for number, piece in split_by(images, range_of(images["key_high"], ranges)):
        if number not in done:
            yield number, piece


def _write_range(
    element: tuple[int, Iterable[bytes]], job: MatchJob, done: frozenset[int]
) -> Iterator[int]:
    number, packed = element
    if number not in done:
        write_range(number, packed, job)
        yield number


class CollectPictures(beam.PTransform):
    """`PicturePart` in, the numbers of the written ranges out.

    Args:
        done: ranges that are not written again.
    """

    def __init__(self, job: MatchJob, done: frozenset[int] = frozenset()) -> None:
        super().__init__()
        self._job, self._done = job, done

    def expand(self, parts: beam.PCollection[PicturePart]) -> beam.PCollection[int]:
        empty = parts.pipeline | "Every range" >> Each(self._job.ranges, b"", bytes)
        images = (
            parts
            | "Spread parts" >> beam.Reshuffle()
            | "Read signatures"
            >> beam.FlatMap(_read_part, self._job.ranges, self._done).with_output_types(
                tuple[int, bytes]
            )
        )
        return (
            (empty, images)
            | "With empty ranges" >> beam.Flatten()
            | "Group by key range" >> beam.GroupByKey()
            | "Write pictures" >> beam.FlatMap(_write_range, self._job, self._done)
        )
