"""Mix: from decisions to shuffled shards. Only references cross the shuffle.

A reference has 94 bytes: the copy's position in the mixture, its sample, and the places of the
record and of the merged text, if any. A shard is a range of positions, and its copies are sorted by
position, so the whole mixture is in hash order. The writer of a shard fetches records by range, one
row group at a time. Where the ranges end follows from the bytes of the copies, see `bounds`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from cauldron.transforms.arrays import Array, from_bytes
from cauldron.transforms.curate.records import merged_name
from cauldron.transforms.mixing.copies import Copy, chosen_turns, leave_out, mixture_row
from cauldron.transforms.mixing.select import KeptRows, Numbers, Take, kept_rows
from cauldron.transforms.order import U64, id_halves, mix64
from cauldron.transforms.parts import record_file
from cauldron.transforms.record_files import read_record
from cauldron.transforms.shards import ShardWriter, batches_by_bytes, shard_name

from cauldron.core import storage
from cauldron.core.output.markers import marker_path
from cauldron.core.schema import Sample, Turn
from cauldron.core.sections.stage import StageRecipe
from cauldron.core.stores.ranges import Range, read_ranges

# Part of every mixture fingerprint. Raise it if a change alters the bytes of mixtures.
MIX_VERSION = 5

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
        ("without", "<u8"),
    ]
)
_COPIED = ("part", "offset", "length", "merged_file", "merged_offset", "merged_length", "without")

NOTHING = Take(0, 0, 0)

# Totals of copies by source.
Tallies = defaultdict[str, Counter[str]]


@dataclass(frozen=True)
class MixSource:
    """A source of the mixture.

    Attributes:
        corpus: folder of its record files.
        parts: number of its parts.
        take: of nothing if only turns of other sources are taken from its rows.
    """

    name: str
    corpus: str
    parts: int
    dialogue: bool
    take: Take = NOTHING


@dataclass(frozen=True)
class MixJob:
    """The settings that workers need.

    Attributes:
        folder: of the shards; no other build writes there.
        curation: folder of the decisions and of the files of merged texts.
        merged_files: number of these.
        bounds: the positions at which the second and each later shard begins, ascending.
        edges: the first position of each longest edge of the stage, and its pixels; empty if it has
            one.
    """

    sources: tuple[MixSource, ...]
    stage: StageRecipe
    seed: int
    folder: str
    curation: str = ""
    merged_files: int = 0
    bounds: tuple[int, ...] = ()
    edges: tuple[tuple[int, int], ...] = ()

    def edge_at(self, position: int) -> int:
        """The longest edge of the images of a copy, in pixels."""
        if not self.edges:
            return self.stage.edges[0][1]
        return [pixels for first, pixels in self.edges if first <= position][-1]

    @property
    def shards(self) -> int:
        return len(self.bounds) + 1

    def shard_path(self, shard: int) -> str:
        return storage.join(self.folder, shard_name(shard, self.shards))

    def marker_path(self, shard: int) -> str:
        return marker_path(self.folder, "", shard, self.shards)

    def merged_path(self, number: int) -> str:
        return storage.join(self.curation, merged_name(number, self.merged_files))


@dataclass(frozen=True, slots=True)
class Placed:
    """The copies of kept rows, and their positions in the mixture.

    Attributes:
        row: number of each copy's row.
        epoch: number of the copy among those of its row.
        repeat: copies of each row.
    """

    row: Numbers
    epoch: Numbers
    position: U64
    repeat: Numbers


def placed(kept: KeptRows, job: MixJob) -> Placed:
    """The copies that the sources' takes ask for."""
    takes = {source.name: source.take for source in job.sources}
    taken = np.zeros(len(kept.held.row), dtype=np.int64)
    for name, mine in kept.holders():
        if name in takes:
            taken[mine] = takes[name].copies(kept.ids[kept.held.row[mine]], job.seed)
    repeat = kept.most(taken)
    rows = np.repeat(np.arange(len(repeat)), repeat)
    epoch = np.arange(len(rows)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
    position = mix64(kept.ids[rows], job.seed, "position", epoch.astype(np.uint64))
    return Placed(rows, epoch, position, repeat)


def references(path: str, job: MixJob) -> Iterator[Array]:
    """The `REFERENCE` records of the copies of one decisions file, a row group at a time."""
    numbers = {source.name: number for number, source in enumerate(job.sources)}
    for kept in kept_rows([path]):
        these = placed(kept, job)
        rows = these.row
        copies = np.zeros(len(rows), dtype=REFERENCE)
        copies["epoch"], copies["position"] = these.epoch, these.position
        copies["high"], copies["low"] = kept.ids[rows].T
        copies["source"] = np.array([numbers.get(name, 0) for name in kept.names])[
            kept.source[rows]
        ]
        copies["repeat"] = these.repeat[rows]
        copies["cluster_high"], copies["cluster_low"] = kept.cluster[rows].T
        for name in _COPIED:
            copies[name] = getattr(kept, name)[rows]
        yield copies


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
        ranges.append(Range(path, int(copy["offset"]), int(copy["length"])))
    merged = np.flatnonzero(copies["merged_length"])
    for copy in copies[merged]:
        path = job.merged_path(int(copy["merged_file"]))
        length = int(copy["merged_length"])
        ranges.append(Range(path, int(copy["merged_offset"]), length))
    found = read_ranges(ranges)
    texts = [b""] * len(copies)
    for row, text in zip(merged, found[len(copies) :], strict=True):
        texts[row] = text
    return list(zip(found, texts, strict=False))


def _rows(
    copies: Array, records: list[tuple[bytes, bytes]], job: MixJob, tally: Tallies
) -> Iterator[dict[str, Any]]:
    """The mixture rows of copies; what they hold of each source is added to `tally`."""
    for copy, (record, text) in zip(copies, records, strict=True):
        sample, images = read_record(record)
        due = None
        if text:
            sample = Sample.model_validate_json(text)
            due = _due(sample, int(copy["epoch"]), job)
        if copy["without"]:
            sample, images = leave_out(sample, images, int(copy["without"]))
        which = Copy(int(copy["epoch"]), int(copy["repeat"]), _cluster(copy), due)
        dialogue = job.sources[copy["source"]].dialogue
        turns = chosen_turns(sample, which, job.stage, job.seed, dialogue)
        edge = job.edge_at(int(copy["position"]))
        row = mixture_row(sample, images, turns, which, job.stage, edge)
        _count(row, sample, turns, tally)
        yield row


def _due(sample: Sample, epoch: int, job: MixJob) -> frozenset[str]:
    """The sources that a copy of a merged row shows."""
    names = {turn.source for turn in sample.turns}
    ids = id_halves([sample.id])
    return frozenset(
        source.name
        for source in job.sources
        if source.name in names and source.take.copies(ids, job.seed)[0] > epoch
    )


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
    tally: Tallies = defaultdict(Counter)
    path = job.shard_path(shard)
    with storage.atomic_write(path) as file, ThreadPoolExecutor(1) as fetcher:
        writer = ShardWriter(file)
        ahead = fetcher.submit(_fetch, batches[0], job)
        for number, batch in enumerate(batches):
            records = ahead.result()
            if number + 1 < len(batches):
                ahead = fetcher.submit(_fetch, batches[number + 1], job)
            writer.write_row_group(_rows(batch, records, job, tally))
        writer.close()
    marker = {
        "shard": shard,
        "file": file.entry(shard_name(shard, job.shards), len(copies)),
        "sources": {name: dict(sorted(counts.items())) for name, counts in sorted(tally.items())},
    }
    storage.write_json(job.marker_path(shard), marker)
    return marker


def _count(row: dict[str, Any], sample: Sample, turns: Sequence[Turn], tally: Tallies) -> None:
    """A row counts for every source that has turns in it; its pictures and its system prompt count
    for its own."""
    for name in {turn.source for turn in turns}:
        tally[name]["rows"] += 1
    for turn in turns:
        tally[turn.source]["answer_tokens"] += turn.answer_tokens
        tally[turn.source]["text_tokens"] += turn.user_tokens + turn.answer_tokens
    own = tally[sample.source]
    if sample.document is not None:
        own["rows"] += 1
        own["answer_tokens"] += sample.answer_tokens
        own["text_tokens"] += sample.text_tokens
    own["text_tokens"] += sample.system_tokens
    own["images"] += len(row["images"])
    own["image_tokens"] += row["tokens"]["image"]
