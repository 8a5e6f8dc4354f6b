"""Mix: from decisions to shuffled shards. Only references cross the shuffle.

A reference has 86 bytes: the copy's position in the mixture, its sample, and the places of the
record and of the merged text, if any. A shard is a range of positions, and its copies are sorted by
position, so the whole mixture is in hash order. The writer of a shard fetches records by range, one
row group at a time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
from cauldron.transforms.arrays import Array, from_bytes, range_of, split_by
from cauldron.transforms.copies import Copy, mixture_row
from cauldron.transforms.order import U64, mix64
from cauldron.transforms.parts import record_file
from cauldron.transforms.record_files import read_record
from cauldron.transforms.select import Take, kept_rows
from cauldron.transforms.shards import ShardWriter, batches_by_bytes, shard_name

from cauldron.core import storage
from cauldron.core.markers import marker_path
from cauldron.core.schema import Sample
from cauldron.core.stage import StageRecipe

# Part of every mixture fingerprint. Raise it if a change alters the bytes of mixtures.
MIX_VERSION = 1

REFERENCE = np.dtype(
    [
        ("position", "<u8"),
        ("high", "<u8"),
        ("low", "<u8"),
        ("source", "<u2"),
        ("epoch", "<u4"),
        ("repeat", "<u4"),
        ("part", "<u4"),
        ("offset", "<i8"),
        ("length", "<i8"),
        ("cluster_high", "<u8"),
        ("cluster_low", "<u8"),
        ("merged_file", "<u4"),
        ("merged_offset", "<i8"),
        ("merged_length", "<u4"),
    ]
)
_LOCATIONS = ("part", "offset", "length", "merged_file", "merged_offset", "merged_length")


@dataclass(frozen=True)
class MixSource:
    """A source of the mixture.

    Attributes:
        corpus: folder of its record files.
        parts: number of its parts.
    """

    name: str
    corpus: str
    parts: int
    dialogue: bool
    take: Take


@dataclass(frozen=True)
class MixJob:
    """The settings that workers need.

    Attributes:
        folder: of the mixture; shards go to ``data/`` in it.
        fingerprint: written into each shard's marker, so that a rerun recognises its own shards.
        merged: paths of the files of merged texts, by their number in decisions.
    """

    sources: tuple[MixSource, ...]
    stage: StageRecipe
    seed: int
    shards: int
    folder: str
    fingerprint: str
    merged: tuple[str, ...] = ()

    def shard_path(self, shard: int) -> str:
        return storage.join(self.folder, "data", shard_name(shard, self.shards))

    def marker_path(self, shard: int) -> str:
        return marker_path(self.folder, "", shard, self.shards)


def references(path: str, job: MixJob) -> Array:
    """The `REFERENCE` records of the copies of one decisions file, unsorted."""
    numbers = {source.name: number for number, source in enumerate(job.sources)}
    found = []
    for kept in kept_rows([path]):
        if kept.source not in numbers:
            continue
        number = numbers[kept.source]
        take = job.sources[number].take
        extra = np.zeros(len(kept.ids), dtype=bool)
        if take.extra:
            hashes = mix64(kept.ids, job.seed, "select", take.passes)
            extra = hashes <= np.uint64(take.threshold)
        for epoch in range(take.passes + 1):
            rows = np.arange(len(extra)) if epoch < take.passes else np.flatnonzero(extra)
            copies = np.zeros(len(rows), dtype=REFERENCE)
            ids: U64 = kept.ids[rows]
            copies["position"] = mix64(ids, job.seed, "position", epoch)
            copies["high"], copies["low"] = ids[:, 0], ids[:, 1]
            copies["source"], copies["epoch"] = number, epoch
            copies["repeat"] = take.passes + extra[rows]
            clusters: U64 = kept.cluster[rows]
            copies["cluster_high"], copies["cluster_low"] = clusters[:, 0], clusters[:, 1]
            for name in _LOCATIONS:
                copies[name] = getattr(kept, name)[rows]
            found.append(copies)
    return np.concatenate(found) if found else np.zeros(0, dtype=REFERENCE)


def in_order(pieces: Iterable[bytes]) -> Array:
    """The references of one shard, sorted by position, then id and pass."""
    copies = from_bytes(pieces, REFERENCE)
    return copies[np.lexsort([copies[k] for k in ("epoch", "low", "high", "position")])]


def _fetch(copies: Array, job: MixJob) -> list[tuple[bytes, bytes]]:
    """The record of each copy, and its merged text, empty if none."""
    ranges = []
    for copy in copies:
        source = job.sources[copy["source"]]
        path = record_file(source.corpus, copy["part"], source.parts)
        ranges.append(storage.Range(path, int(copy["offset"]), int(copy["length"])))
    merged = np.flatnonzero(copies["merged_length"])
    for copy in copies[merged]:
        path = job.merged[copy["merged_file"]]
        length = int(copy["merged_length"])
        ranges.append(storage.Range(path, int(copy["merged_offset"]), length))
    found = storage.read_ranges(ranges)
    texts = [b""] * len(copies)
    for row, text in zip(merged, found[len(copies) :], strict=True):
        texts[row] = text
    return list(zip(found, texts, strict=False))


def _rows(copies: Array, records: list[tuple[bytes, bytes]], job: MixJob) -> list[dict[str, Any]]:
    rows = []
    for copy, (record, text) in zip(copies, records, strict=True):
        sample, images = read_record(record)
        if text:
            sample = Sample.model_validate_json(text)
        which = Copy(int(copy["epoch"]), int(copy["repeat"]), _cluster(copy))
        dialogue = job.sources[copy["source"]].dialogue
        rows.append(mixture_row(sample, images, which, job.stage, job.seed, dialogue))
    return rows


def _cluster(copy: np.void) -> str | None:
    high, low = int(copy["cluster_high"]), int(copy["cluster_low"])
    return f"{high:016x}{low:016x}" if high or low else None


def write_shard(shard: int, pieces: Iterable[bytes], job: MixJob) -> dict[str, Any]:
    """Write one shard and its marker; returns the marker.

    The next row group is fetched while the current one is written, so two are in memory.
    """
    copies = in_order(pieces)
    limit = job.stage.row_group_bytes
    sizes = (copies["length"] + copies["merged_length"]).tolist()
    batches = [copies[b.start : b.stop] for b in batches_by_bytes(sizes, limit)]
    tally: dict[str, Counter[str]] = defaultdict(Counter)
    path = job.shard_path(shard)
    with storage.atomic_write(path) as file, ThreadPoolExecutor(1) as fetcher:
        writer = ShardWriter(file)
        ahead = fetcher.submit(_fetch, batches[0], job) if batches else None
        for number, batch in enumerate(batches):
            assert ahead is not None
            records = ahead.result()
            if number + 1 < len(batches):
                ahead = fetcher.submit(_fetch, batches[number + 1], job)
            rows = _rows(batch, records, job)
            _count(rows, tally)
            writer.write_row_group(rows)
        writer.close()
    marker = {
        "shard": shard,
        "fingerprint": job.fingerprint,
        "file": file.entry(shard_name(shard, job.shards), len(copies)),
        "sources": {name: dict(sorted(counts.items())) for name, counts in sorted(tally.items())},
    }
    storage.write_json(job.marker_path(shard), marker)
    return marker


def _count(rows: list[dict[str, Any]], tally: dict[str, Counter[str]]) -> None:
    for row in rows:
        counts = tally[row["source"]]
        counts["rows"] += 1
        counts["images"] += len(row["images"])
        for kind, tokens in row["tokens"].items():
            counts[f"{kind}_tokens"] += tokens


class _FindCopies(beam.DoFn):
    def __init__(self, job: MixJob, todo: Sequence[int]) -> None:
        self._job = job
        self._todo = set(todo)

    def process(self, element: str) -> Iterator[tuple[int, bytes]]:
        copies = references(element, self._job)
        for shard, piece in split_by(copies, range_of(copies["position"], self._job.shards)):
            if shard in self._todo:
                yield shard, piece


class _WriteShard(beam.DoFn):
    def __init__(self, job: MixJob) -> None:
        self._job = job

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[int]:
        shard, pieces = element
        write_shard(shard, pieces, self._job)
        yield shard


class MixShards(beam.PTransform):
    """Paths of decisions files in, the numbers of the written shards out.

    Args:
        todo: the shards to write; a rerun leaves out finished ones.
    """

    def __init__(self, job: MixJob, todo: Sequence[int]) -> None:
        super().__init__()
        self._job = job
        self._todo = list(todo)

    def expand(self, decisions: beam.PCollection[str]) -> beam.PCollection[int]:
        shards = decisions.pipeline | "Every shard" >> beam.Create(
            [(shard, b"") for shard in self._todo]
        )
        copies = (
            decisions
            | "Spread decisions" >> beam.Reshuffle()
            | "Find copies"
            >> beam.ParDo(_FindCopies(self._job, self._todo)).with_output_types(tuple[int, bytes])
        )
        return (
            (shards, copies)
            | "With empty shards" >> beam.Flatten()
            | "Group by position" >> beam.GroupByKey()
            | "Fetch and write" >> beam.ParDo(_WriteShard(self._job))
        )
