"""Check a corpus: its rows against the record files, and both against the manifest."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq

from cauldron.core import storage
from cauldron.core.output.finished import Finished
from cauldron.core.output.manifests import CorpusManifest, CorpusPart, HashedFile, RowFile
from cauldron.core.output.mixture import read_row_groups
from cauldron.core.reasons import outcome_of
from cauldron.core.schema import CORPUS_SCHEMA, QUARANTINE_SCHEMA, ImageInfo, Sample
from cauldron.inspect.verify import hashes
from cauldron.inspect.verify.files import (
    HashedReader,
    check_file,
    differences,
    file_problems,
    first_few,
    hash_problems,
    reading,
)

_BLOCK = tarfile.BLOCKSIZE
_SUMS = ("turns", "images", "answer_tokens", "text_tokens")


@dataclass
class Counted:
    """The counts and problems of one part, and how far hashes of its first pictures are off."""

    kept: int = 0
    sums: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    hash_distances: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """A finished corpus or benchmark, its folder and that of its quarantine files."""

    manifest: CorpusManifest
    folder: str
    rejects: str


def places(found: Finished) -> list[Place]:
    """All corpora, then all benchmarks, which have the same files."""
    result = []
    for (name, fingerprint), manifest in sorted(found.corpora.items()):
        path = f"{name}/{fingerprint}"
        result.append(Place(manifest, f"corpus/{path}", f"quarantine/{path}"))
    for (name, fingerprint), manifest in sorted(found.benchmarks.items()):
        path = f"benchmarks/{name}/{fingerprint}"
        result.append(Place(manifest, path, f"quarantine/{path}"))
    return result


def check_part(out: str, corpus: Place, part: CorpusPart) -> Counted:
    """Check one part: its parquet file, its record file and its quarantine file."""
    manifest, folder, rejects = corpus.manifest, corpus.folder, corpus.rejects
    found = Counted()
    found.problems += check_file(out, folder, part.parquet)
    rows = _count_rows(out, folder, part.parquet, manifest.source, found)
    if part.pack is None:
        lines = (f"row {n} has no record file" for n, row in enumerate(rows) if row["length"])
        found.problems += file_problems(f"{folder}/{part.parquet.name}", lines)
    else:
        _check_record_file(out, folder, part.pack, rows, found)
    if part.quarantine is not None:
        found.problems += check_file(out, rejects, part.quarantine)
        _count_rejects(out, rejects, part.quarantine, manifest.source, found)
    return found


def _count_rows(
    out: str, folder: str, entry: RowFile, source: str, found: Counted
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a part and count them; ends early if the file cannot be read."""
    path = f"{folder}/{entry.name}"
    with reading(path, found.problems):
        with storage.open_read(storage.join(out, path)) as file:
            if not pq.read_schema(file).equals(CORPUS_SCHEMA):
                raise ValueError("its columns are not those of a corpus")
        for table in read_row_groups(storage.join(out, path)):
            for row in table.to_pylist():
                if row["source"] != source:
                    raise ValueError(f"row {found.kept} is of source {row['source']}")
                found.kept += 1
                found.sums["images"] += len(row["image_info"])
                for name in ("turns", "answer_tokens", "text_tokens"):
                    found.sums[name] += row[name]
                yield row


def _check_record_file(
    out: str, folder: str, entry: HashedFile, rows: Iterator[dict[str, Any]], found: Counted
) -> None:
    path = f"{folder}/{entry.name}"
    with reading(path, found.problems), storage.open_read(storage.join(out, path)) as file:
        tar = HashedReader(file)
        found.problems += first_few(path, _tar_problems(tar, rows, entry.name, found))
        found.problems += hash_problems(path, entry, tar)


def _tar_problems(
    tar: HashedReader, rows: Iterable[dict[str, Any]], name: str, found: Counted
) -> Iterator[str]:
    """Compare records and rows, both in order. Ends at the first record that is not in place."""
    number = 0
    try:
        for row in rows:
            if row["pack"] != name:
                yield f"row {number} points into {row['pack']}"
            if row["offset"] != tar.position:
                raise ValueError(f"its record is at {tar.position}, not at {row['offset']}")
            yield from (
                f"row {number}: {line}" for line in _record_problems(tar, row, number, found)
            )
            end = row["offset"] + row["length"]
            if tar.position != end:
                raise ValueError(f"its record ends at {tar.position}, not at {end}")
            number += 1
        if any(tar.read(2 * _BLOCK)):
            raise ValueError("a record that belongs to no row")
    except ValueError as error:
        yield f"row {number}: {error}"
    # Read on, so that all rows are counted.
    for _ in rows:
        pass


def _record_problems(
    tar: HashedReader, row: dict[str, Any], number: int, found: Counted
) -> Iterator[str]:
    stem = f"{number:08d}"
    record = json.loads(_member(tar, f"{stem}.json", row["length"]))
    if [info["length"] for info in row["image_info"]] != record["lengths"]:
        yield "the record tells other image lengths than the row"
    for name, value in Sample.model_validate(record["sample"]).columns().items():
        said = row[name]
        if name == "image_info":
            # The row alone has the places of the images and their signatures.
            said = [{k: info[k] for k in ImageInfo.model_fields} for info in said]
        if value != said:
            yield f"{name} of the record differs from the row"
    for k, info in enumerate(row["image_info"]):
        start = tar.position + _BLOCK
        data = _member(tar, f"{stem}.{k}.", row["length"])
        if (start, len(data)) != (info["offset"], info["length"]):
            yield f"image {k} is {len(data)} bytes at {start}, the row says otherwise"
        if hashlib.sha256(data).hexdigest() != info["sha256"]:
            yield f"image {k} has changed: its SHA-256 is not {info['sha256']}"
        elif len(found.hash_distances) < hashes.CHECKED:
            off = hashes.distance(data, info)
            if off is not None:
                found.hash_distances.append(off)


def _member(tar: HashedReader, name: str, limit: int) -> bytes:
    """The bytes of the next member. Raises ValueError if its name does not start with `name`."""
    try:
        header = tarfile.TarInfo.frombuf(tar.read(_BLOCK), "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise ValueError(f"no tar header before {tar.position}: {error}") from None
    if not header.name.startswith(name) or header.size > limit:
        raise ValueError(f"found {header.name} of {header.size} bytes in place of {name}")
    data = tar.read(header.size)
    tar.read(-header.size % _BLOCK)
    return data


def _count_rejects(out: str, folder: str, entry: RowFile, source: str, found: Counted) -> None:
    path = f"{folder}/{entry.name}"

    def lines() -> Iterator[str]:
        for table in read_row_groups(storage.join(out, path)):
            if not table.schema.equals(QUARANTINE_SCHEMA):
                raise ValueError("its columns are not those of a quarantine file")
            for row in table.to_pylist():
                tally = found.dropped if row["outcome"] == "dropped" else found.quarantined
                tally[row["reason"]] += row["rows"]
                if row["source"] != source:
                    yield f"a row is of source {row['source']}"
                if not _is_outcome(row["reason"], row["outcome"]):
                    yield f"a row is {row['outcome']} for {row['reason']!r}: no such code"

    found.problems += file_problems(path, lines())


def _is_outcome(reason: str, outcome: str) -> bool:
    try:
        return outcome_of(reason) == outcome
    except KeyError:
        return False


def corpus_problems(corpus: Place, parts: list[Counted]) -> list[str]:
    """Check the manifest's counts against those of the parts, and for consistency."""
    where = corpus.folder
    counts = corpus.manifest.counts
    whole = Counted()
    for part in parts:
        whole.kept += part.kept
        whole.sums.update(part.sums)
        whole.dropped.update(part.dropped)
        whole.quarantined.update(part.quarantined)
    sums = whole.sums
    most = corpus.manifest.limit
    problems = []
    # A file that cannot be read is one quarantined row, which takes nothing of the limit.
    read = counts.rows_in - sum(counts.quarantined.values())
    if 0 <= most < read:
        problems.append(f"{where}: {read:,} rows were read, its limit is {most:,}")
    problems += hashes.hash_problems(where, [off for part in parts for off in part.hash_distances])
    return problems + differences(
        where,
        [
            ("rows kept", whole.kept, counts.kept),
            ("dropped rows", dict(whole.dropped), counts.dropped),
            ("quarantined rows", dict(whole.quarantined), counts.quarantined),
            *((name.replace("_", " "), sums[name], getattr(counts, name)) for name in _SUMS),
            ("rows accounted for", counts.accounted, counts.rows_in),
        ],
    )
