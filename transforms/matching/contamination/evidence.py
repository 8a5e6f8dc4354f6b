"""Evidence: what a training row and a benchmark's row have in common.

Images refer to their rows. Questions and origins are read from the parquet files of the corpora, a
row group at a time, and only for rows with a leaked picture. A worker holds the references of all
benchmark images with a leak, 66 bytes each, and the questions and origins of the parts it has used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from cauldron.transforms.arrays import Array, from_bytes
from cauldron.transforms.matching.contamination.images import BENCHMARK_IMAGE
from cauldron.transforms.matching.contamination.overlap import (
    Question,
    QuestionIndex,
    Runs,
    runs_of,
    split_question,
)
from cauldron.transforms.matching.records import KINDS, MatchJob

from cauldron.core import storage
from cauldron.core.schema import NO_QUESTION, ORIGIN, is_document

# The most benchmark images listed for one training image and benchmark.
LISTED = 3

_COLUMNS = ["messages", "turn_sources", "origin"]

# Pictures whose indexes of questions are kept.
_KEPT_INDEXES = 256

_ORIGIN = [field.name for field in ORIGIN]


class RowText(NamedTuple):
    """The text of a row.

    Attributes:
        origin: the fields of `cauldron.core.schema.Origin` in order.
        questions: the text of the user in each turn.
    """

    origin: list[Any]
    questions: list[Question]


class Evidence(NamedTuple):
    """A training image and a benchmark image that are the same; sorts as in the files.

    Attributes:
        origin, benchmark_origin: the fields of `cauldron.core.schema.Origin` in order.
        stored, benchmark_stored: the fields of `images.STORED` in order.
        kind: of `leaks.KINDS`.
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
    kind: str


def row_id(image: np.void) -> str:
    return f"{int(image['id_high']):016x}{int(image['id_low']):016x}"


def read_rows(
    source: int, part: int, rows: npt.NDArray[Any], job: MatchJob
) -> Iterator[tuple[int, RowText]]:
    """Read rows of a corpus part.

    Args:
        rows: their numbers in the part, ascending.
    """
    with storage.open_read(job.sources[source].table(part)) as raw:
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
    # A document has no question: a benchmark's question may be anywhere in its text.
    asks = "assistant" if is_document(values["messages"]) else "user"
    users = [message["content"] for message in values["messages"] if message["role"] == asks]
    questions = [
        " ".join(part["text"] for part in content if part["type"] == "text")
        for content, source in zip(users, values["turn_sources"], strict=True)
        # A benchmark without published questions has a key there, no text to compare.
        if not source.endswith(NO_QUESTION)
    ]
    return RowText(
        [values["origin"][name] for name in _ORIGIN],
        [split_question(question) for question in questions],
    )


class ImagesOfPicture:
    """The images of one benchmark that show one picture.

    Attributes:
        images: `BENCHMARK_IMAGE` records, by id and image.
        texts: of their rows.
    """

    def __init__(self, images: Array, texts: list[RowText], ngram: int) -> None:
        self.images = images
        self.texts = texts
        self._ngram = ngram

    @cached_property
    def _index(self) -> QuestionIndex:
        return QuestionIndex([text.questions for text in self.texts], self._ngram, LISTED)

    def listed(self, runs: Runs) -> list[tuple[int, str | None]]:
        """The places of the images to list, and the run that each has in common with `runs`.

        Images with a common run come first, then those with the smallest ids.
        """
        shared = self._index.shared(runs)
        chosen: list[tuple[int, str | None]] = [(n, shared[n]) for n in sorted(shared)[:LISTED]]
        others = (n for n in range(len(self.images)) if n not in shared)
        while len(chosen) < LISTED and (place := next(others, None)) is not None:
            chosen.append((place, None))
        return chosen


class BenchmarkImages:
    """All benchmark images that show leaked pictures, with the texts of their rows."""

    def __init__(self, pieces: Iterable[bytes], ngram: int, job: MatchJob) -> None:
        images = from_bytes(pieces, BENCHMARK_IMAGE)
        order = ("image", "id_low", "id_high", "source", "number")
        self._images = images[np.lexsort([images[name] for name in order])]
        self._ngram = ngram
        self._job = job
        self._texts: dict[tuple[int, int], dict[int, RowText]] = {}
        self._of_picture: dict[int, list[ImagesOfPicture]] = {}

    def of_picture(self, number: int) -> list[ImagesOfPicture]:
        """The images of a picture, by benchmark."""
        if number not in self._of_picture:
            if len(self._of_picture) >= _KEPT_INDEXES:
                del self._of_picture[next(iter(self._of_picture))]
            self._of_picture[number] = list(self._look_up(number))
        return self._of_picture[number]

    def _look_up(self, number: int) -> Iterator[ImagesOfPicture]:
        bounds = np.array([number, number + 1], dtype=np.uint64)
        start, stop = np.searchsorted(self._images["number"], bounds)
        images = self._images[start:stop]
        for source in np.unique(images["source"]):
            here = images[images["source"] == source]
            texts = [self._text(int(source), int(one["part"]), int(one["row"])) for one in here]
            yield ImagesOfPicture(here, texts, self._ngram)

    def _text(self, source: int, part: int, row: int) -> RowText:
        """The text of a row; all rows of a part are read when the first of them is needed."""
        if (source, part) not in self._texts:
            here = (self._images["source"] == source) & (self._images["part"] == part)
            rows = np.unique(self._images["row"][here])
            self._texts[source, part] = dict(read_rows(source, part, rows, self._job))
        return self._texts[source, part][row]


def find_evidence(
    images: Array, benchmarks: BenchmarkImages, match_text: bool, ngram: int, job: MatchJob
) -> Iterator[Evidence]:
    """The evidence for the rows of one corpus part.

    Args:
        images: `TRAINING_IMAGE` records of the part, in any order.
        match_text: remove a row only if one of its questions is a benchmark's.
    """
    order = ("benchmark", "image", "row")
    images = images[np.lexsort([images[name] for name in order])]
    rows, starts = np.unique(images["row"], return_index=True)
    pieces = dict(zip(rows.tolist(), np.split(images, starts[1:]), strict=True))
    if not pieces:
        return
    source, part = int(images["source"][0]), int(images["part"][0])
    for row, text in read_rows(source, part, rows, job):
        runs = runs_of(text.questions, ngram)
        found = [
            item
            for _, leaks in groupby(pieces[row], key=lambda record: int(record["image"]))
            for item in _image_evidence(list(leaks), text.origin, runs, benchmarks, job)
        ]
        removed = not match_text or any(item.overlap is not None for item in found)
        yield from (item._replace(removed=removed) for item in found)


def _image_evidence(
    leaks: list[np.void], origin: list[Any], runs: Runs, benchmarks: BenchmarkImages, job: MatchJob
) -> Iterator[Evidence]:
    """The images to list of each benchmark: those with a common run, then the best matches."""
    by_benchmark: dict[int, list[Evidence]] = {}
    for leak in leaks:
        for tested in benchmarks.of_picture(int(leak["benchmark"])):
            for place, overlap in tested.listed(runs):
                image, text = tested.images[place], tested.texts[place]
                item = Evidence(
                    source=job.sources[int(leak["source"])].name,
                    id=row_id(leak),
                    image=int(leak["image"]),
                    benchmark=job.sources[int(image["source"])].name,
                    benchmark_id=row_id(image),
                    benchmark_image=int(image["image"]),
                    origin=origin,
                    benchmark_origin=text.origin,
                    distance=int(leak["distance"]),
                    score=float(leak["score"]),
                    overlap=overlap,
                    removed=True,
                    stored=[int(value) for value in leak["stored"]],
                    benchmark_stored=[int(value) for value in image["stored"]],
                    kind=KINDS[leak["kind"]],
                )
                by_benchmark.setdefault(int(image["source"]), []).append(item)
    for items in by_benchmark.values():
        yield from sorted(items, key=_strongest_first)[:LISTED]


def _strongest_first(item: Evidence) -> tuple[Any, ...]:
    strength = (item.kind != "picture", -item.score, item.distance)
    return (item.overlap is None, *strength, item.benchmark_id, item.benchmark_image)
