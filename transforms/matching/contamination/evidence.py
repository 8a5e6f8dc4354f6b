"""Linked rows to evidence: what a training row and a benchmark's row have in common.

Either is known by reference; its questions and origin are read here from the parquet file of its
corpus, a row group at a time, and only where a row shows a linked picture. What a worker holds all
the time are the rows of benchmarks that are linked with anything: their references, 66 bytes
each, and of those it has met the questions and origins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from cauldron.transforms.arrays import Array, from_bytes
from cauldron.transforms.matching.contamination.images import BENCHMARK_ROW
from cauldron.transforms.matching.contamination.overlap import (
    Question,
    QuestionIndex,
    Runs,
    runs_of,
    split_question,
)
from cauldron.transforms.matching.contamination.thumbnails import Place
from cauldron.transforms.matching.records import MatchJob
from cauldron.transforms.parts import PartNames

from cauldron.core import storage
from cauldron.core.schema import NO_QUESTION, ORIGIN

# Benchmark images that are named for one training image and benchmark.
LISTED = 3

_COLUMNS = ["messages", "turn_sources", "origin"]

# Indexes of questions that are kept, one for a picture and benchmark.
_KEPT_INDEXES = 256

_ORIGIN = [field.name for field in ORIGIN]


class RowText(NamedTuple):
    """What is read of a row.

    Attributes:
        origin: the fields of `cauldron.core.schema.Origin` in order.
        questions: what the user says, one for each turn.
    """

    origin: list[Any]
    questions: list[Question]


class Evidence(NamedTuple):
    """A training image and a benchmark image that are the same; sorts as the files do.

    Attributes:
        origin, benchmark_origin: the fields of `cauldron.core.schema.Origin` in order.
        stored, benchmark_stored: where the pictures are: place of the source in the job, part,
            offset, length, pixels.
    """

    source: str
    id: str
    image: int
    benchmark: str
    benchmark_id: str
    benchmark_image: int
    origin: list[Any]
    benchmark_origin: list[Any]
    distance: int
    score: float
    overlap: str | None
    removed: bool
    stored: list[int]
    benchmark_stored: list[int]


def row_id(row: np.void) -> str:
    return f"{int(row['id_high']):016x}{int(row['id_low']):016x}"


def place_of(stored: Sequence[int], job: MatchJob) -> Place:
    source, part, offset, length, pixels = stored
    corpus = job.sources[source]
    pack = PartNames(corpus.corpus, "", part, corpus.parts).record_file
    return Place(storage.join(corpus.corpus, pack), offset, length, pixels)


def read_rows(
    source: int, part: int, rows: npt.NDArray[Any], job: MatchJob
) -> Iterator[tuple[int, RowText]]:
    """Read rows of a corpus part.

    Args:
        rows: their numbers in the part, ascending.
    """
    corpus = job.sources[source]
    names = PartNames(corpus.corpus, "", part, corpus.parts)
    with storage.open_read(storage.join(corpus.corpus, names.parquet)) as raw:
        file = pq.ParquetFile(raw)
        start = 0
        for group in range(file.num_row_groups):
            stop = start + file.metadata.row_group(group).num_rows
            here = rows[(rows >= start) & (rows < stop)].astype(np.int64)
            if len(here):
                table = file.read_row_group(group, _COLUMNS).take(here - start)
                for row, values in zip(here.tolist(), table.to_pylist(), strict=True):
                    yield row, _row_text(values)
            start = stop


def _row_text(values: dict[str, Any]) -> RowText:
    users = [message["content"] for message in values["messages"] if message["role"] == "user"]
    questions = [
        " ".join(part["text"] for part in content if part["type"] == "text")
        for content, source in zip(users, values["turn_sources"], strict=True)
        # A benchmark that publishes no question has its key there: no text to compare.
        if not source.endswith(NO_QUESTION)
    ]
    return RowText(
        [values["origin"][name] for name in _ORIGIN],
        [split_question(question) for question in questions],
    )


class Shown:
    """The images of one benchmark that show one picture.

    Attributes:
        rows: `BENCHMARK_ROW` records, by id and image.
    """

    def __init__(self, rows: Array, texts: list[RowText], ngram: int) -> None:
        self.rows = rows
        self.texts = texts
        self._ngram = ngram

    @cached_property
    def _index(self) -> QuestionIndex:
        return QuestionIndex([text.questions for text in self.texts], self._ngram, LISTED)

    def listed(self, runs: Runs) -> list[tuple[int, str | None]]:
        """Places of the rows that evidence names, and the run that each shares.

        Rows that share one come first, then those with the smallest ids.
        """
        shared = self._index.shared(runs)
        chosen: list[tuple[int, str | None]] = [(n, shared[n]) for n in sorted(shared)[:LISTED]]
        others = (n for n in range(len(self.rows)) if n not in shared)
        while len(chosen) < LISTED and (place := next(others, None)) is not None:
            chosen.append((place, None))
        return chosen


class BenchmarkRows:
    """The rows of benchmarks that training rows are linked with."""

    def __init__(self, pieces: Iterable[bytes], ngram: int, job: MatchJob) -> None:
        rows = from_bytes(pieces, BENCHMARK_ROW)
        order = ("image", "id_low", "id_high", "source", "number")
        self._rows = rows[np.lexsort([rows[name] for name in order])]
        self._ngram = ngram
        self._job = job
        self._texts: dict[tuple[int, int], dict[int, RowText]] = {}
        self._shown: dict[int, list[Shown]] = {}

    def shown(self, number: int) -> list[Shown]:
        """Where a benchmark picture stands, by benchmark."""
        if number not in self._shown:
            if len(self._shown) >= _KEPT_INDEXES:
                del self._shown[next(iter(self._shown))]
            self._shown[number] = list(self._look_up(number))
        return self._shown[number]

    def _look_up(self, number: int) -> Iterator[Shown]:
        bounds = np.array([number, number + 1], dtype=np.uint64)
        start, stop = np.searchsorted(self._rows["number"], bounds)
        rows = self._rows[start:stop]
        for source in np.unique(rows["source"]):
            here = rows[rows["source"] == source]
            texts = [self._text(int(source), int(row["part"]), int(row["row"])) for row in here]
            yield Shown(here, texts, self._ngram)

    def _text(self, source: int, part: int, row: int) -> RowText:
        """All linked rows of a part are read when the first of them is asked for."""
        if (source, part) not in self._texts:
            here = (self._rows["source"] == source) & (self._rows["part"] == part)
            rows = np.unique(self._rows["row"][here])
            self._texts[source, part] = dict(read_rows(source, part, rows, self._job))
        return self._texts[source, part][row]


def find_evidence(
    matches: Array, benchmarks: BenchmarkRows, match_text: bool, ngram: int, job: MatchJob
) -> Iterator[Evidence]:
    """The evidence against the rows of one corpus part.

    Args:
        matches: `MATCH` records of the part, in any order.
        match_text: remove a row only when a question of it is a benchmark's.
    """
    order = ("benchmark", "image", "row")
    matches = matches[np.lexsort([matches[name] for name in order])]
    rows, starts = np.unique(matches["row"], return_index=True)
    pieces = dict(zip(rows.tolist(), np.split(matches, starts[1:]), strict=True))
    if not pieces:
        return
    source, part = int(matches["source"][0]), int(matches["part"][0])
    for row, text in read_rows(source, part, rows, job):
        runs = runs_of(text.questions, ngram)
        found = [
            item
            for _, image in groupby(pieces[row], key=lambda match: int(match["image"]))
            for item in _image_evidence(list(image), text.origin, runs, benchmarks, job)
        ]
        removed = not match_text or any(item.overlap is not None for item in found)
        yield from (item._replace(removed=removed) for item in found)


def _image_evidence(
    matches: list[np.void], origin: list[Any], runs: Runs, benchmarks: BenchmarkRows, job: MatchJob
) -> Iterator[Evidence]:
    """Of each benchmark the images that say most: with a common run, then the best match."""
    by_benchmark: dict[int, list[Evidence]] = {}
    for match in matches:
        for shown in benchmarks.shown(int(match["benchmark"])):
            for place, overlap in shown.listed(runs):
                row, text = shown.rows[place], shown.texts[place]
                item = Evidence(
                    source=job.sources[int(match["source"])].name,
                    id=row_id(match),
                    image=int(match["image"]),
                    benchmark=job.sources[int(row["source"])].name,
                    benchmark_id=row_id(row),
                    benchmark_image=int(row["image"]),
                    origin=origin,
                    benchmark_origin=text.origin,
                    distance=int(match["distance"]),
                    score=float(match["score"]),
                    overlap=overlap,
                    removed=True,
                    stored=[int(value) for value in match["stored"]],
                    benchmark_stored=[int(value) for value in row["stored"]],
                )
                by_benchmark.setdefault(int(row["source"]), []).append(item)
    for items in by_benchmark.values():
        yield from sorted(items, key=_says_most)[:LISTED]


def _says_most(item: Evidence) -> tuple[Any, ...]:
    strength = (-item.score, item.distance)
    return (item.overlap is None, *strength, item.benchmark_id, item.benchmark_image)
