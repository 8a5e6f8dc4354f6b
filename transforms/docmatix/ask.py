"""Ask: the requests of all selected documents, each once, answers into the store.

A request is asked by the part that has it first, so no two workers ask the same. Several parts are
asked in a row: at the end of a row the endpoint runs idle until the last answers are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
from cauldron.transforms.docmatix import chunks
from cauldron.transforms.docmatix.prompts import messages
from cauldron.transforms.docmatix.records import Selection
from cauldron.transforms.models.ask import ask_all
from cauldron.transforms.models.budget import Limits
from cauldron.transforms.models.endpoint import Endpoint
from cauldron.transforms.models.questions import Answer, Failure, Question

from cauldron.core import storage
from cauldron.core.output.markers import marker_path

# Parts that are asked in a row, about 2,000 documents.
PARTS_IN_A_ROW = 16


class AskWork(NamedTuple):
    """Parts that one worker asks in a row.

    Attributes:
        parts: their numbers.
        asked_elsewhere: requests that an earlier part asks: part, row, chunk.
    """

    parts: tuple[int, ...]
    asked_elsewhere: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class AskJob:
    """Attributes:
    answers: the folder of the store.
    folder: of the dataset, for markers.
    fingerprint: of the dataset.
    """

    selection: Selection
    endpoint: Endpoint
    answers: str
    limits: Limits
    folder: str
    fingerprint: str

    def marker(self, part: int) -> str:
        return marker_path(self.folder, "ask", part, self.selection.parts)


def share_out(selection: Selection, parts: Sequence[int]) -> list[AskWork]:
    """The work for the given parts. Reads the requests of all parts, 16 bytes each."""
    seen: set[bytes] = set()
    elsewhere: dict[int, list[tuple[int, int, int]]] = {}
    for part in range(selection.parts):
        for row, document in enumerate(selection.rows(part, ["chunks"])):
            for chunk, values in enumerate(document["chunks"]):
                key = bytes.fromhex(values["request"])
                if key in seen:
                    elsewhere.setdefault(part, []).append((part, row, chunk))
                seen.add(key)
    return [
        AskWork(tuple(group), tuple(place for part in group for place in elsewhere.get(part, [])))
        for group in (
            parts[start : start + PARTS_IN_A_ROW] for start in range(0, len(parts), PARTS_IN_A_ROW)
        )
    ]


def question_of(document: dict[str, Any], chunk: dict[str, Any], name: str = "") -> Question:
    """The question to the model on a chunk of a selected document."""
    text = chunks.joined(document["texts"], range(chunk["start"], chunk["stop"]))
    return Question(name, messages(text, chunk["role"]))


class _Marks:
    """What came back for each part; a part whose questions are all answered gets its marker."""

    def __init__(self, job: AskJob) -> None:
        self._job = job
        self._waiting: Counter[int] = Counter()
        self._sums: dict[int, Counter[str]] = {}
        self._failures: dict[int, dict[str, list[str]]] = {}

    def begin(self, part: int) -> None:
        # One more than its questions until all of them are taken.
        self._waiting[part] = 1
        self._sums[part] = Counter()
        self._failures[part] = {}

    def asked(self, part: int) -> None:
        self._waiting[part] += 1

    def back(self, part: int, request: str, outcome: Answer | Failure) -> None:
        if isinstance(outcome, Answer):
            sums = self._sums[part]
            sums["answers"] += 1
            sums["tokens_in"] += outcome.tokens_in or 0
            sums["tokens_out"] += outcome.tokens_out or 0
        elif outcome.reason == "not_asked":
            return  # the part stays open for the next run
        else:
            self._failures[part][request] = [outcome.reason, outcome.message]
        self.settle(part)

    def settle(self, part: int) -> None:
        self._waiting[part] -= 1
        if self._waiting[part] == 0:
            mark = {"part": part, "fingerprint": self._job.fingerprint, **self._sums[part]}
            values = mark | {"failures": self._failures[part]}
            storage.write_json(self._job.marker(part), values)


def ask_parts(work: AskWork, job: AskJob) -> str:
    """Ask the questions of some parts and write a marker for each part that is through."""
    marks = _Marks(job)
    elsewhere = frozenset(work.asked_elsewhere)
    for question, outcome in ask_all(
        _questions(work.parts, elsewhere, job.selection, marks),
        job.endpoint,
        job.answers,
        job.limits,
    ):
        part, request = question.name.split("/")
        marks.back(int(part), request, outcome)
    return job.folder


def _questions(
    parts: Iterable[int],
    elsewhere: frozenset[tuple[int, int, int]],
    selection: Selection,
    marks: _Marks,
) -> Iterator[Question]:
    for part in parts:
        marks.begin(part)
        for row, document in enumerate(selection.rows(part)):
            for number, chunk in enumerate(document["chunks"]):
                if (part, row, number) not in elsewhere:
                    marks.asked(part)
                    yield question_of(document, chunk, f"{part}/{chunk['request']}")
        marks.settle(part)


class AskDocuments(beam.PTransform):
    """`AskWork` in, the dataset's folder out for each; answers go to the store."""

    def __init__(self, job: AskJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, work: beam.PCollection[AskWork]) -> beam.PCollection[str]:
        return (
            work
            | "Spread parts" >> beam.Reshuffle()
            | "Ask the model" >> beam.Map(ask_parts, self._job)
        )
