"""Texts in common as a Beam job.

Only sequences that a benchmark has leave a worker. Every worker holds the hashes of all benchmarks'
sequences, 8 bytes for about each word (100,000 questions of 50 words: 32 MB), and reads its parts a
row group at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from cauldron.transforms.arrays import from_bytes, range_of
from cauldron.transforms.graph import Each
from cauldron.transforms.matching.arrays import by_part, cut_by, write_tables
from cauldron.transforms.matching.texts.common import capped, grams_of, once, shared_sequences
from cauldron.transforms.matching.texts.evidence import (
    BenchmarkTexts,
    TextEvidence,
    find_evidence,
)
from cauldron.transforms.matching.texts.files import GRAM, SHARED, TextJob

from cauldron.core import storage
from cauldron.core.schema import CONTAMINATION_SCHEMA

_PAIR = tuple[int, bytes]
# Records in a row group of the evidence, and in one element of the job.
_BATCH_ROWS = 4_096


class FindTexts(beam.PTransform):
    """``(source, part)`` of every corpus and benchmark part in, numbers of written files out."""

    def __init__(self, job: TextJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, parts: beam.PCollection[tuple[int, int]]) -> beam.PCollection[int]:
        job = self._job
        spread = parts | "Spread text parts" >> beam.Reshuffle()
        theirs = spread | "Read benchmark texts" >> beam.FlatMap(
            _benchmark_grams, job
        ).with_output_types(bytes)
        hashes = beam.pvalue.AsIter(
            theirs | "Hashes of benchmarks" >> beam.Map(_hashes).with_output_types(bytes)
        )
        ours = spread | "Read training texts" >> beam.ParDo(
            _TrainingGrams(job), hashes
        ).with_output_types(_PAIR)
        shared = (
            {
                "ours": ours,
                "theirs": theirs | beam.FlatMap(_by_hash, job.files).with_output_types(_PAIR),
            }
            | "Group by sequence" >> beam.CoGroupByKey()
            | "Sequences in common" >> beam.FlatMap(_shared, job).with_output_types(_PAIR)
        )
        evidence = (
            shared
            | "Group texts by part" >> beam.GroupByKey()
            | "Find text evidence" >> beam.ParDo(_FindEvidence(job)).with_output_types(_PAIR)
        )
        empty = parts.pipeline | "Empty text files" >> Each(job.files, b"[]", bytes)
        return (
            (empty, evidence)
            | "With empty text files" >> beam.Flatten()
            | "Group texts by file" >> beam.GroupByKey()
            | "Write text evidence" >> beam.FlatMap(_write_file, job).with_output_types(int)
        )


def text_parts(job: TextJob) -> Iterator[tuple[int, int]]:
    """``(source, part)`` of every corpus and benchmark part of a job."""
    for number, source in enumerate(job.match.sources):
        for part in range(source.parts):
            yield number, part


def _benchmark_grams(element: tuple[int, int], job: TextJob) -> Iterator[bytes]:
    number, part = element
    source = job.match.sources[number]
    if source.benchmark:
        for grams in grams_of(source.table(part), number, part, job.ngram):
            yield grams.tobytes()


def _hashes(grams: bytes) -> bytes:
    return np.unique(from_bytes([grams], GRAM)["hash"]).tobytes()


def _by_hash(grams: bytes, ranges: int) -> Iterator[tuple[int, bytes]]:
    records = from_bytes([grams], GRAM)
    yield from cut_by(records, range_of(records["hash"], ranges))


class _TrainingGrams(beam.DoFn):
    def __init__(self, job: TextJob) -> None:
        self._job = job
        self._wanted: np.ndarray[Any, np.dtype[np.uint64]] | None = None

    def process(
        self, element: tuple[int, int], hashes: Iterable[bytes]
    ) -> Iterator[tuple[int, bytes]]:
        job = self._job
        number, part = element
        source = job.match.sources[number]
        if source.benchmark:
            return
        if self._wanted is None:  # a side input is the same for every element of a job
            self._wanted = np.unique(np.frombuffer(b"".join(hashes), dtype=np.uint64))
        groups = grams_of(source.table(part), number, part, job.ngram, self._wanted)
        found = list(groups)
        if found:
            grams = capped(once(np.concatenate(found)), job.max_texts)
            yield from cut_by(grams, range_of(grams["hash"], job.files))


def _shared(
    element: tuple[int, dict[str, Iterable[bytes]]], job: TextJob
) -> Iterator[tuple[int, bytes]]:
    _, pieces = element
    ours, theirs = (from_bytes(pieces[side], GRAM) for side in ("ours", "theirs"))
    yield from by_part(shared_sequences(ours, theirs, job.max_texts))


class _FindEvidence(beam.DoFn):
    def __init__(self, job: TextJob) -> None:
        self._job = job

    def setup(self) -> None:
        self._benchmarks = BenchmarkTexts(self._job.match)

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        shared = from_bytes(element[1], SHARED)
        found = list(find_evidence(shared, self._benchmarks, self._job))
        high = np.array([int(item.id[:16], 16) for item in found], dtype=np.uint64)
        files = range_of(high, self._job.files)
        for number in np.unique(files).tolist():
            here = [item for item, file in zip(found, files, strict=True) if file == number]
            for start in range(0, len(here), _BATCH_ROWS):
                yield number, json.dumps(here[start : start + _BATCH_ROWS]).encode()


def _write_file(element: tuple[int, Iterable[bytes]], job: TextJob) -> Iterator[int]:
    number, pieces = element
    items = [TextEvidence(*values) for piece in pieces for values in json.loads(piece)]
    items.sort(key=lambda item: item[:4])
    groups = (items[at : at + _BATCH_ROWS] for at in range(0, len(items), _BATCH_ROWS))
    entry = write_tables(job, number, CONTAMINATION_SCHEMA, (_table(group) for group in groups))
    storage.write_json(job.marker(number), {"number": number, "file": entry})
    yield number


def _table(items: list[TextEvidence]) -> pa.Table:
    rows = [{**item._asdict(), "kind": "text"} for item in items]
    return pa.Table.from_pylist(rows, schema=CONTAMINATION_SCHEMA)
