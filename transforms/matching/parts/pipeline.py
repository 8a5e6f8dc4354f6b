"""The search for parts as a Beam job: every training picture is decoded once.

The described pictures of all benchmarks are a side input, about 1,600 features of 40 bytes each.
A worker holds 80 bytes more a feature for its index. Above 3,750 pictures each has fewer features,
so that a worker holds 720 MB at most. What it costs is in benchmarks/README.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np
from cauldron.transforms.arrays import Array, from_bytes, read_array
from cauldron.transforms.matching.parts.records import STORED, unpacked
from cauldron.transforms.matching.parts.search import (
    MOST_TESTED_FEATURES,
    TESTED_FEATURES,
    TESTED_SIDES,
    Search,
    describe,
    read_stored,
)
from cauldron.transforms.matching.records import (
    BENCHMARK,
    KINDS,
    LEAK,
    PICTURE,
    TRAINING,
    MatchJob,
)
from cauldron.transforms.pictures.signatures import is_blank

# Pictures read at a time: some seconds of work, and the bytes that they may have together.
_BATCH = 128
_BATCH_BYTES = 64 * 1024 * 1024

_FIELDS = sorted({*(STORED.names or ()), "kind", "ground"} - {"number"})
_PICTURE = np.dtype([(name, PICTURE[name]) for name in _FIELDS])


def _batches(number: int, job: MatchJob, kind: int) -> Iterator[bytes]:
    """The pictures of a range that are of a kind and not blank, as packed `STORED` records."""
    pictures = read_array(job.pictures(number), _PICTURE)
    places = np.flatnonzero((pictures["kind"] & kind != 0) & ~is_blank(pictures["ground"]))
    stored = np.zeros(len(places), dtype=STORED)
    stored["number"] = places + (number << 32)
    for name in STORED.names or ():
        if name != "number":
            stored[name] = pictures[name][places]
    # Near bytes are read together.
    stored = stored[np.argsort(stored[["source", "part", "offset"]], kind="stable")]
    start = 0
    for stop in range(1, len(stored) + 1):
        size = int(stored["length"][start : stop + 1].sum())
        if stop == len(stored) or stop - start >= _BATCH or size > _BATCH_BYTES:
            yield stored[start:stop].tobytes()
            start = stop


def features_each(pictures: int) -> int:
    """How many features a benchmark picture has at each working size, if there are so many."""
    most = MOST_TESTED_FEATURES // (len(TESTED_SIDES) * max(1, pictures))
    return max(1, min(TESTED_FEATURES, most))


def _describe(element: bytes, most: int, job: MatchJob) -> bytes:
    """A batch of benchmark pictures."""
    stored = from_bytes([element], STORED)
    data = read_stored(list(stored), job)
    return b"".join(describe(one, record, most) for one, record in zip(data, stored, strict=True))


class _Search(beam.DoFn):
    def __init__(self, job: MatchJob) -> None:
        self._job = job
        self._search: Search | None = None

    def _read(self, stored: np.void) -> bytes:
        return read_stored([stored], self._job)[0]

    def process(self, element: bytes, tested: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        if self._search is None:  # a side input is the same for every element of a job
            self._search = Search(unpacked(tested), self._job.limits, self._read)
        stored = from_bytes([element], STORED)
        leaks: list[Array] = []
        for data, record in zip(read_stored(list(stored), self._job), stored, strict=True):
            for found in self._search.find(data, record):
                leak = np.zeros(1, dtype=LEAK)
                leak["training"], leak["benchmark"] = record["number"], found.benchmark
                leak["distance"], leak["score"] = found.distance, found.score
                leak["kind"] = KINDS.index(found.kind)
                leaks.append(leak)
        for leak in leaks:
            yield int(leak["training"][0]) >> 32, leak.tobytes()


class FindParts(beam.PTransform):
    """The numbers of all ranges in, packed `LEAK` records by the training picture's range out.

    Args:
        features: of a benchmark picture at each working size, see `features_each`.
    """

    def __init__(self, job: MatchJob, features: int) -> None:
        super().__init__()
        self._job, self._features = job, features

    def expand(self, ranges: beam.PCollection[int]) -> beam.PCollection[tuple[int, bytes]]:
        job = self._job
        theirs = (
            ranges
            | "Benchmark pictures"
            >> beam.FlatMap(_batches, job, BENCHMARK).with_output_types(bytes)
            | "Spread benchmark pictures" >> beam.Reshuffle()
        )
        describe = beam.Map(_describe, self._features, job)
        described = theirs | "Describe" >> describe.with_output_types(bytes)
        search = beam.ParDo(_Search(job), beam.pvalue.AsIter(described))
        return (
            ranges
            | "Training pictures" >> beam.FlatMap(_batches, job, TRAINING).with_output_types(bytes)
            | "Spread training pictures" >> beam.Reshuffle()
            | "Look for parts" >> search.with_output_types(tuple[int, bytes])
        )
