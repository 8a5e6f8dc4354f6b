"""Evidence: which benchmark rows a training row repeats, and how much of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

import numpy as np
from cauldron.transforms.arrays import Array
from cauldron.transforms.matching.records import MatchJob
from cauldron.transforms.matching.texts.files import TextJob
from cauldron.transforms.matching.texts.turns import (
    StoredRow,
    TurnText,
    Words,
    read_rows,
    sequences,
)

# The most benchmark rows listed for one training row and benchmark.
LISTED = 3
# Words of the text in common that the evidence shows.
_SHOWN_WORDS = 60
# Parts of benchmarks whose rows are kept.
_KEPT_PARTS = 16

_Row = tuple[int, int, int]


class TextEvidence(NamedTuple):
    """A training row and a benchmark row with text in common; sorts as in the files.

    Attributes:
        origin, benchmark_origin: the fields of `cauldron.core.schema.Origin` by name.
        score: the share of the benchmark's words that are in common.
        overlap: the longest text in common.
    """

    source: str
    id: str
    benchmark: str
    benchmark_id: str
    origin: dict[str, object]
    benchmark_origin: dict[str, object]
    score: float
    overlap: str
    removed: bool


class BenchmarkTexts:
    """The rows of benchmarks, read when they are first needed."""

    def __init__(self, job: MatchJob) -> None:
        self._job = job
        self._part = lru_cache(maxsize=_KEPT_PARTS)(self._read)

    def row(self, row: _Row) -> StoredRow:
        source, part, number = row
        return self._part(source, part)[number]

    def _read(self, source: int, part: int) -> dict[int, StoredRow]:
        groups = read_rows(self._job.sources[source].table(part))
        return {row.number: row for rows in groups for row in rows}


def find_evidence(
    shared: Array, benchmarks: BenchmarkTexts, job: TextJob
) -> Iterator[TextEvidence]:
    """The evidence for the rows of one corpus part.

    Args:
        shared: `SHARED` records of the part, in any order.
    """
    if not len(shared):
        return
    source, part = int(shared["source"][0]), int(shared["part"][0])
    found = _by_row(shared)
    for rows in read_rows(job.match.sources[source].table(part), frozenset(found)):
        for row in rows:
            yield from _of_row(row, source, found[row.number], benchmarks, job)


def _by_row(shared: Array) -> Mapping[int, Mapping[_Row, list[int]]]:
    """The hashes in common, by the number of the training row and by benchmark row."""
    found: dict[int, dict[_Row, list[int]]] = defaultdict(lambda: defaultdict(list))
    names = ("row", "benchmark_source", "benchmark_part", "benchmark_row", "hash")
    for row, *benchmark, digest in zip(*(shared[name].tolist() for name in names), strict=True):
        found[row][benchmark[0], benchmark[1], benchmark[2]].append(digest)
    return found


def _of_row(
    row: StoredRow,
    source: int,
    found: Mapping[_Row, list[int]],
    benchmarks: BenchmarkTexts,
    job: TextJob,
) -> Iterator[TextEvidence]:
    ours = {words for turn in row.turns for words in _sequences_of(turn.words, job.ngram)}
    evidence = []
    for place, hashes in found.items():
        theirs = benchmarks.row(place)
        best = max(
            (_in_common(turn, hashes, ours, job.ngram) for turn in theirs.turns),
            default=(0.0, ""),
        )
        if best[0] >= job.overlap:
            names = (job.match.sources[source].name, row.id, job.match.sources[place[0]].name)
            both = row.pictured and theirs.pictured
            removed = job.remove_pictured if both else job.remove
            item = TextEvidence(*names, theirs.id, row.origin, theirs.origin, *best, removed)
            evidence.append(item)
    evidence.sort(key=_strongest_first)
    for _, items in groupby(evidence, key=lambda item: item.benchmark):
        yield from list(items)[:LISTED]


def _strongest_first(item: TextEvidence) -> tuple[object, ...]:
    return item.benchmark, not item.removed, -item.score, item.benchmark_id


def _sequences_of(words: Words, length: int) -> Iterator[Words]:
    return (words[start : start + length] for start in range(len(words) - length + 1))


def _in_common(
    turn: TurnText, hashes: list[int], ours: set[Words], ngram: int
) -> tuple[float, str]:
    """The share of a benchmark turn's words in common sequences, and the longest such text."""
    wanted = np.array(sorted(hashes), dtype=np.uint64)
    covered = np.zeros(len(turn.words) + 1, dtype=bool)
    for start in np.flatnonzero(np.isin(sequences([turn.words], ngram).hashes, wanted)).tolist():
        # Equal hashes of different words are improbable, and are no evidence.
        if turn.words[start : start + ngram] in ours:
            covered[start : start + ngram] = True
    if not covered.any():
        return 0.0, ""
    score = covered[:-1].mean()
    if turn.question >= ngram:
        score = max(score, covered[: turn.question].mean())
    edges = np.flatnonzero(np.diff(covered, prepend=False))
    start, stop = max(
        zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True),
        key=lambda run: (run[1] - run[0], -run[0]),
    )
    return round(float(score), 4), " ".join(turn.words[start : min(stop, start + _SHOWN_WORDS)])
