"""Candidate pairs to verdicts, as a Beam job.

Verdicts of earlier matchings are reused by content before any pixels are read: if a source is added
to a finished build, only pairs with one of its pictures are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
import numpy as np
from cauldron.transforms.arrays import Array, from_bytes, read_array, write_array
from cauldron.transforms.matching.compare.comparer import PictureComparer, batches
from cauldron.transforms.matching.join import distinct_pairs, found_candidates
from cauldron.transforms.matching.records import (
    OTHER_COLOURS,
    OTHER_RENDERING,
    PAIR,
    SAME,
    VERDICT,
    MatchJob,
)

from cauldron.core import storage

_CONTENT = ("first_high", "first_low", "second_high", "second_low")
_ODD = np.uint64(0x9E3779B97F4A7C15)

# Whether verdicts are new, and packed `VERDICT` records.
Compared = tuple[bool, bytes]


def known_verdicts(pairs: Array, old: Array) -> tuple[Array, Any]:
    """Copy earlier verdicts on the same two contents.

    Args:
        pairs, old: `VERDICT` records.

    Returns:
        `pairs` with the known verdicts, and which are known.
    """
    known = np.zeros(len(pairs), dtype=bool)
    keys = _content_key(pairs)
    order = np.argsort(keys, kind="stable")
    found = np.searchsorted(keys[order], _content_key(old))
    # Two pairs may have the same 64 bits: only equal contents count.
    hits = np.flatnonzero(found < len(pairs))
    rows = order[found[hits]]
    equal = np.all([pairs[n][rows] == old[n][hits] for n in _CONTENT], axis=0)
    rows, hits = rows[equal], hits[equal]
    verdicts = pairs.copy()
    for name in ("score", "drawing", "same"):
        verdicts[name][rows] = old[name][hits]
    known[rows] = True
    return verdicts, known


def _content_key(verdicts: Array) -> Any:
    """64 bits of the two contents, which are digests: any mixture of them is a good hash."""
    return verdicts["first_high"] ^ np.multiply(verdicts["second_low"], _ODD)


@dataclass(frozen=True)
class CompareJob:
    """What workers must know.

    Attributes:
        earlier: folders of other matchings with verdicts, and how many ranges each has.
        done: ranges that are not compared again.
    """

    match: MatchJob
    earlier: tuple[tuple[str, int], ...]
    done: frozenset[int] = frozenset()

    def known(self, number: int) -> Iterator[str]:
        """The verdict files of earlier matchings that may have pairs of a range.

        Ranges are equal parts of all keys, in order, so a file holds the keys of a known interval.
        """
        for folder, ranges in self.earlier:
            old = replace(self.match, folder=folder, ranges=ranges)
            first = number * ranges // self.match.ranges
            last = -(-(number + 1) * ranges // self.match.ranges)
            yield from map(old.verdicts, range(first, last))


# A range and its files of `PAIR` records.
RangeFiles = tuple[int, tuple[str, ...]]


def ranges_to_compare(job: CompareJob) -> Iterator[RangeFiles]:
    """The ranges without verdicts, with their candidates. The join must be complete."""
    for number, files in enumerate(found_candidates(job.match).files):
        if number not in job.done:
            yield number, files


def read_candidates(element: RangeFiles, job: CompareJob) -> tuple[Array, Array]:
    """The pairs of a range: `VERDICT` records of the known ones, `PAIR` records of the others."""
    number, paths = element
    files = [read_array(path, PAIR) for path in paths]
    pairs = distinct_pairs(np.concatenate([np.zeros(0, dtype=PAIR), *files]))
    verdicts = PictureComparer(job.match).without_scores(pairs)
    known = np.zeros(len(pairs), dtype=bool)
    for path in job.known(number):
        verdicts, more = known_verdicts(verdicts, read_array(path, VERDICT))
        known |= more
    return verdicts[known], pairs[~known]


def write_verdicts(number: int, packed: Iterable[Compared], job: MatchJob) -> None:
    """Write the file of a range, sorted by both pictures, and its marker."""
    pieces = list(packed)
    verdicts = from_bytes([piece for _, piece in pieces], VERDICT)
    verdicts = verdicts[np.lexsort([verdicts["second"], verdicts["first"]])]
    marker = {
        "range": number,
        "verdicts": write_array(job.verdicts(number), verdicts),
        "compared": sum(len(piece) for new, piece in pieces if new) // VERDICT.itemsize,
        "same": int((verdicts["same"] == SAME).sum()),
        "other_colours": int((verdicts["same"] == OTHER_COLOURS).sum()),
        "other_rendering": int((verdicts["same"] == OTHER_RENDERING).sum()),
    }
    storage.write_json(job.marker("verdicts", number), marker)


def _read_candidates(element: RangeFiles, job: CompareJob) -> Iterator[Any]:
    number = element[0]
    known, pairs = read_candidates(element, job)
    yield number, (False, known.tobytes())
    for batch in batches(pairs):
        yield beam.pvalue.TaggedOutput("new", (number, batch.tobytes()))


class _CompareBatch(beam.DoFn):
    def __init__(self, job: MatchJob) -> None:
        self._job = job

    def setup(self) -> None:
        self._comparer = PictureComparer(self._job)

    def process(self, element: tuple[int, bytes]) -> Iterator[tuple[int, Compared]]:
        number, batch = element
        yield number, (True, self._comparer.compare(from_bytes([batch], PAIR)).tobytes())


def _write_verdicts(element: tuple[int, Iterable[Compared]], job: MatchJob) -> Iterator[int]:
    number, packed = element
    write_verdicts(number, packed, job)
    yield number


class ComparePairs(beam.PTransform):
    """What `ranges_to_compare` makes in, the numbers of the written ranges out."""

    def __init__(self, job: CompareJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, ranges: beam.PCollection[RangeFiles]) -> beam.PCollection[int]:
        batch, verdicts = tuple[int, bytes], tuple[int, Compared]
        read = (
            ranges
            | "Spread ranges" >> beam.Reshuffle()
            | "Read candidates"
            >> beam.FlatMap(_read_candidates, self._job).with_outputs("new", main="known")
        )
        compared = (
            read.new
            | "Spread batches" >> beam.Reshuffle().with_output_types(batch)
            | "Compare pixels"
            >> beam.ParDo(_CompareBatch(self._job.match)).with_output_types(verdicts)
        )
        return (
            (read.known, compared)
            | "Known and new" >> beam.Flatten()
            | "Group by range" >> beam.GroupByKey()
            | "Write verdicts" >> beam.FlatMap(_write_verdicts, self._job.match)
        )
