"""Candidate pairs to verdicts: pixels read again by reference and compared.

Pairs travel in batches of `BATCH`, sorted by their pictures, so that a picture with many
candidates is read and decoded once for all of them. Results of an earlier matching are looked up
by content before anything is read: when a source is added to a finished build, only pairs with one
of its pictures are compared.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import apache_beam as beam
import numpy as np
from cauldron.transforms.arrays import Array, from_bytes, read_array, write_array
from cauldron.transforms.matching.compare.comparison import Comparison, Prepared, compare, prepare
from cauldron.transforms.matching.records import PAIR, PICTURE, VERDICT, MatchJob
from cauldron.transforms.parts import PartNames

from cauldron.core import storage

# At 10 to 30 ms a pair a batch is some seconds of work: short enough to balance, long enough to
# share decoded pictures.
BATCH = 256
# Pixels fetched at a time, and decoded pictures kept, at up to about 1 MB each.
_FETCH_BYTES = 64 * 1024 * 1024
_KEPT_PICTURES = 256
_KEPT_RANGES = 4

# Array verdicts, and whether they are new.
Judged = tuple[bool, bytes]

K = TypeVar("K")
V = TypeVar("V")


class _Recent(Generic[K, V]):
    """The values made last, made again when they have been forgotten."""

    def __init__(self, make: Callable[[K], V], size: int) -> None:
        self._make = make
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def get(self, key: K) -> V:
        return self.put(key, self._values[key] if key in self._values else self._make(key))

    def put(self, key: K, value: V) -> V:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)
        return value


class Judge:
    """Compares pictures by number. Holds a few tables and decoded pictures; not for threads."""

    def __init__(self, job: MatchJob) -> None:
        self._job = job
        self._tables = _Recent[int, Array](
            lambda number: read_array(job.pictures(number), PICTURE), _KEPT_RANGES
        )
        self._prepared = _Recent[int, Prepared](self._read, _KEPT_PICTURES)

    def judge(self, pairs: Array) -> Array:
        """Compare `PAIR` records; returns `VERDICT` records in the same order."""
        verdicts = self.unjudged(pairs)
        work = np.lexsort([pairs["second"], pairs["first"]])
        for start, stop in self._stretches(pairs[work]):
            self._fetch(pairs[work[start:stop]])
            for at in work[start:stop]:
                first, second = (int(pairs[name][at]) for name in ("first", "second"))
                found = self._compare(first, second)
                verdicts["score"][at] = found.score
                verdicts["drawing"][at], verdicts["same"][at] = found.drawing, found.same
        return verdicts

    def unjudged(self, pairs: Array) -> Array:
        """`VERDICT` records with the pairs' numbers, distances and content keys."""
        verdicts = np.zeros(len(pairs), dtype=VERDICT)
        for name in PAIR.names or ():
            verdicts[name] = pairs[name]
        for side in ("first", "second"):
            pictures = self.pictures(pairs[side])
            verdicts[f"{side}_high"] = pictures["key_high"]
            verdicts[f"{side}_low"] = pictures["key_low"]
        return verdicts

    def pictures(self, numbers: Any) -> Array:
        """The `PICTURE` records of picture numbers, in their order."""
        result = np.zeros(len(numbers), dtype=PICTURE)
        ranges = numbers >> np.uint64(32)
        for number in np.unique(ranges):
            here = ranges == number
            places = numbers[here] & np.uint64(0xFFFFFFFF)
            result[here] = self._tables.get(int(number))[places.astype(np.int64)]
        return result

    def _compare(self, first: int, second: int) -> Comparison:
        return compare(self._prepared.get(first), self._prepared.get(second))

    def _stretches(self, pairs: Array) -> Iterator[tuple[int, int]]:
        """Cut sorted pairs so that the pixels of each stretch may be fetched together."""
        size, start = 0, 0
        first, second = (self.pictures(pairs[side])["length"] for side in ("first", "second"))
        lengths = first + second
        for at in range(len(pairs)):
            size += int(lengths[at])
            if at > start and (size > _FETCH_BYTES or at - start >= _KEPT_PICTURES // 2):
                yield start, at
                size, start = int(lengths[at]), at
        if len(pairs):
            yield start, len(pairs)

    def _fetch(self, pairs: Array) -> None:
        """Read the pictures of pairs that are not at hand, near ranges together."""
        numbers = np.unique(np.concatenate([pairs["first"], pairs["second"]]))
        missing = np.array([n for n in numbers if int(n) not in self._prepared], dtype=np.uint64)
        for number in set(numbers.tolist()) - set(missing.tolist()):
            self._prepared.get(number)  # it must outlive the coming ones
        for number, data in zip(missing, self._bytes(missing), strict=True):
            self._prepared.put(int(number), prepare(data))

    def _read(self, number: int) -> Prepared:
        return prepare(self._bytes(np.array([number], dtype=np.uint64))[0])

    def _bytes(self, numbers: Any) -> list[bytes]:
        return storage.read_ranges([picture_range(p, self._job) for p in self.pictures(numbers)])


def picture_range(picture: np.void, job: MatchJob) -> storage.Range:
    """Where a picture's bytes lie; `picture` is a `PICTURE` or an `OCCURRENCE`."""
    source = job.sources[int(picture["source"])]
    pack = PartNames(source.corpus, "", int(picture["part"]), source.parts).record_file
    path = storage.join(source.corpus, pack)
    return storage.Range(path, int(picture["offset"]), int(picture["length"]))


def known_verdicts(pairs: Array, old: Array) -> tuple[Array, Any]:
    """Fill verdicts in from earlier ones on the same two contents.

    Args:
        pairs, old: `VERDICT` records.

    Returns:
        the verdicts, and which of them were known.
    """
    known = np.zeros(len(pairs), dtype=bool)
    keys = _content_key(pairs)
    order = np.argsort(keys, kind="stable")
    found = np.searchsorted(keys[order], _content_key(old))
    # A key may be that of another pair: what is not equal in full is compared anew.
    hits = np.flatnonzero(found < len(pairs))
    rows = order[found[hits]]
    equal = np.all([pairs[n][rows] == old[n][hits] for n in _CONTENT], axis=0)
    rows, hits = rows[equal], hits[equal]
    verdicts = pairs.copy()
    for name in ("score", "drawing", "same"):
        verdicts[name][rows] = old[name][hits]
    known[rows] = True
    return verdicts, known


_CONTENT = ("first_high", "first_low", "second_high", "second_low")


def _content_key(verdicts: Array) -> Any:
    """64 bits of the two contents; they are digests, so any mixture of them is as good."""
    return verdicts["first_high"] ^ np.multiply(verdicts["second_low"], np.uint64(_ODD))


_ODD = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class VerifyJob:
    """What workers must know.

    Attributes:
        known: for each range, the verdict files of an earlier matching that may hold its pairs.
    """

    match: MatchJob
    candidates: tuple[tuple[str, ...], ...]
    known: tuple[tuple[str, ...], ...]


def read_candidates(number: int, job: VerifyJob) -> tuple[Array, Array]:
    """The pairs of a range: `VERDICT` records of those known, `PAIR` records of the others."""
    files = [read_array(path, PAIR) for path in job.candidates[number]]
    pairs = np.concatenate(files) if files else np.zeros(0, dtype=PAIR)
    open_, known = Judge(job.match).unjudged(pairs), np.zeros(len(pairs), dtype=bool)
    for path in job.known[number]:
        open_, more = known_verdicts(open_, read_array(path, VERDICT))
        known |= more
    return open_[known], pairs[~known]


def batches(pairs: Array) -> Iterator[bytes]:
    """Pairs in batches that touch few ranges and each picture in few batches."""
    order = np.lexsort([pairs["second"], pairs["first"], pairs["second"] >> np.uint64(32)])
    for start in range(0, len(pairs), BATCH):
        yield pairs[order[start : start + BATCH]].tobytes()


def write_verdicts(number: int, packed: Iterable[Judged], job: MatchJob) -> None:
    """Write the file of a range, sorted by both pictures, and its marker."""
    pieces = list(packed)
    verdicts = from_bytes([piece for _, piece in pieces], VERDICT)
    verdicts = verdicts[np.lexsort([verdicts["second"], verdicts["first"]])]
    marker = {
        "range": number,
        "verdicts": write_array(job.verdicts(number), verdicts),
        "compared": sum(len(piece) for new, piece in pieces if new) // VERDICT.itemsize,
        "same": int(verdicts["same"].sum()),
    }
    storage.write_json(job.marker("verdicts", number), marker)


class _ReadCandidates(beam.DoFn):
    def __init__(self, job: VerifyJob) -> None:
        self._job = job

    def process(self, element: int) -> Iterator[Any]:
        known, pairs = read_candidates(element, self._job)
        yield element, (False, known.tobytes())
        for batch in batches(pairs):
            yield beam.pvalue.TaggedOutput("open", (element, batch))


class _JudgeBatch(beam.DoFn):
    def __init__(self, job: MatchJob) -> None:
        self._job = job

    def setup(self) -> None:
        self._judge = Judge(self._job)

    def process(self, element: tuple[int, bytes]) -> Iterator[tuple[int, Judged]]:
        number, batch = element
        yield number, (True, self._judge.judge(from_bytes([batch], PAIR)).tobytes())


class _WriteVerdicts(beam.DoFn):
    def __init__(self, job: MatchJob) -> None:
        self._job = job

    def process(self, element: tuple[int, Iterable[Judged]]) -> Iterator[int]:
        number, packed = element
        write_verdicts(number, packed, self._job)
        yield number


class VerifyPairs(beam.PTransform):
    """Numbers of ranges in, the numbers of the written ranges out."""

    def __init__(self, job: VerifyJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, ranges: beam.PCollection[int]) -> beam.PCollection[int]:
        batch, judged_ = tuple[int, bytes], tuple[int, Judged]
        read = ranges | "Read candidates" >> beam.ParDo(_ReadCandidates(self._job)).with_outputs(
            "open", main="known"
        )
        judged = (
            read.open
            | "Spread batches" >> beam.Reshuffle().with_output_types(batch)
            | "Compare pixels"
            >> beam.ParDo(_JudgeBatch(self._job.match)).with_output_types(judged_)
        )
        return (
            (read.known, judged)
            | "Known and new" >> beam.Flatten()
            | "Group by range" >> beam.GroupByKey()
            | "Write verdicts" >> beam.ParDo(_WriteVerdicts(self._job.match))
        )
