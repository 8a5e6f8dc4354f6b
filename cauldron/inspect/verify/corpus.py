"""A corpus against itself: rows, records, images and the counts of its manifest."""

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
from cauldron.core.finished import Finished
from cauldron.core.manifests import CorpusManifest, CorpusPart, HashedFile, RowFile
from cauldron.core.mixture import read_row_groups
from cauldron.core.reasons import outcome_of
from cauldron.core.schema import (
    CORPUS_SCHEMA,
    QUARANTINE_SCHEMA,
    ImageInfo,
    Sample,
    messages_of,
)
from cauldron.inspect.verify.files import (
    HashedReader,
    check_file,
    differences,
    first_few,
    hash_problems,
    reading,
)

_BLOCK = tarfile.BLOCKSIZE
_SUMS = ("turns", "images", "answer_tokens", "text_tokens")


@dataclass
class Found:
    """What one part really holds."""

    kept: int = 0
    sums: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Laid:
    """A finished corpus, a source's or a benchmark's, and where its files and its rejects lie."""

    manifest: CorpusManifest
    folder: str
    rejects: str


def laid_corpora(found: Finished) -> list[Laid]:
    """All corpora, then all benchmarks, which are laid out alike."""
    laid = []
    for (name, fingerprint), manifest in sorted(found.corpora.items()):
        place = f"{name}/{fingerprint}"
        laid.append(Laid(manifest, f"corpus/{place}", f"quarantine/{place}"))
    for (name, fingerprint), manifest in sorted(found.benchmarks.items()):
        place = f"benchmarks/{name}/{fingerprint}"
        laid.append(Laid(manifest, place, f"quarantine/{place}"))
    return laid


def check_part(out: str, corpus: Laid, part: CorpusPart) -> Found:
    """Read one part, its pack and its quarantine file."""
    manifest, folder, rejects = corpus.manifest, corpus.folder, corpus.rejects
    found = Found()
    found.problems += check_file(out, folder, part.parquet)
    rows = _counted(out, folder, part.parquet, manifest.source, found)
    if part.pack is None:
        lines = (f"row {n} has no pack" for n, row in enumerate(rows) if row["length"])
        found.problems += _of_rows(f"{folder}/{part.parquet.name}", lines)
    else:
        _check_pack(out, folder, part.pack, rows, found)
    if part.quarantine is not None:
        found.problems += check_file(out, rejects, part.quarantine)
        _count_rejects(out, rejects, part.quarantine, manifest.source, found)
    return found


def _of_rows(path: str, lines: Iterator[str]) -> list[str]:
    problems: list[str] = []
    with reading(path, problems):
        problems += first_few(path, lines)
    return problems


def _counted(
    out: str, folder: str, entry: RowFile, source: str, found: Found
) -> Iterator[dict[str, Any]]:
    """The rows of a part, counted as they pass; ends early where the file cannot be read."""
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


def _check_pack(
    out: str, folder: str, entry: HashedFile, rows: Iterator[dict[str, Any]], found: Found
) -> None:
    path = f"{folder}/{entry.name}"
    with reading(path, found.problems), storage.open_read(storage.join(out, path)) as file:
        pack = HashedReader(file)
        found.problems += first_few(path, _pack_problems(pack, rows, entry.name))
        found.problems += hash_problems(path, entry, pack)


def _pack_problems(pack: HashedReader, rows: Iterable[dict[str, Any]], name: str) -> Iterator[str]:
    """Walk pack and rows side by side; a record out of place ends the walk."""
    number = 0
    try:
        for row in rows:
            if row["pack"] != name:
                yield f"row {number} points into {row['pack']}"
            if row["offset"] != pack.position:
                raise ValueError(f"its record is at {pack.position}, not at {row['offset']}")
            yield from (f"row {number}: {line}" for line in _record_problems(pack, row, number))
            end = row["offset"] + row["length"]
            if pack.position != end:
                raise ValueError(f"its record ends at {pack.position}, not at {end}")
            number += 1
        if any(pack.read(2 * _BLOCK)):
            raise ValueError("a record that belongs to no row")
    except ValueError as error:
        yield f"row {number}: {error}"
    # The rows are counted even where the pack is broken.
    for _ in rows:
        pass


def _record_problems(pack: HashedReader, row: dict[str, Any], number: int) -> Iterator[str]:
    stem = f"{number:08d}"
    record = json.loads(_member(pack, f"{stem}.json", row["length"]))
    if [info["length"] for info in row["image_info"]] != record["lengths"]:
        yield "the record tells other image lengths than the row"
    for name, value in _as_row(Sample.model_validate(record["sample"])).items():
        said = row[name]
        if name == "image_info":
            # Where the images lie and what they are matched by stands in the row alone.
            said = [{k: info[k] for k in ImageInfo.model_fields} for info in said]
        if value != said:
            yield f"{name} of the record differs from the row"
    for k, info in enumerate(row["image_info"]):
        start = pack.position + _BLOCK
        data = _member(pack, f"{stem}.{k}.", row["length"])
        if (start, len(data)) != (info["offset"], info["length"]):
            yield f"image {k} is {len(data)} bytes at {start}, the row says otherwise"
        if hashlib.sha256(data).hexdigest() != info["sha256"]:
            yield f"image {k} has changed: its SHA-256 is not {info['sha256']}"


def _member(pack: HashedReader, name: str, limit: int) -> bytes:
    """The next member's bytes. Raises ValueError when it is not the one named so."""
    try:
        header = tarfile.TarInfo.frombuf(pack.read(_BLOCK), "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise ValueError(f"no tar header before {pack.position}: {error}") from None
    if not header.name.startswith(name) or header.size > limit:
        raise ValueError(f"found {header.name} of {header.size} bytes in place of {name}")
    data = pack.read(header.size)
    pack.read(-header.size % _BLOCK)
    return data


def _as_row(sample: Sample) -> dict[str, Any]:
    """What the corpus row must say of a record's sample."""
    turns = sample.turns
    return {
        "id": sample.id,
        "source": sample.source,
        "messages": messages_of(
            sample.system, [(turn.user, turn.assistant) for turn in turns], len(sample.images)
        ),
        "image_info": [info.model_dump() for info in sample.images],
        "answer_tokens": sample.answer_tokens,
        "text_tokens": sample.text_tokens,
        "turns": len(turns),
        "turn_sources": [turn.source for turn in turns],
        "origin": sample.origin.model_dump(),
        "license": sample.license,
        "language": sample.language,
    }


def _count_rejects(out: str, folder: str, entry: RowFile, source: str, found: Found) -> None:
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

    found.problems += _of_rows(path, lines())


def _is_outcome(reason: str, outcome: str) -> bool:
    try:
        return outcome_of(reason) == outcome
    except KeyError:
        return False


def corpus_problems(corpus: Laid, parts: list[Found]) -> list[str]:
    """The manifest's counts against what the parts hold, and against each other."""
    where = corpus.folder
    counts = corpus.manifest.counts
    whole = Found()
    for part in parts:
        whole.kept += part.kept
        whole.sums.update(part.sums)
        whole.dropped.update(part.dropped)
        whole.quarantined.update(part.quarantined)
    sums = whole.sums
    return differences(
        where,
        [
            ("rows kept", whole.kept, counts.kept),
            ("dropped rows", dict(whole.dropped), counts.dropped),
            ("quarantined rows", dict(whole.quarantined), counts.quarantined),
            *((name.replace("_", " "), sums[name], getattr(counts, name)) for name in _SUMS),
            ("rows accounted for", counts.accounted, counts.rows_in),
        ],
    )
