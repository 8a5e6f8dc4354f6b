"""Predictions on disk: what a model answered to each item, written as it comes.

    DIR/predictions/<benchmark>/rank-00000.jsonl    a header, then a line for each item

The header holds what decides the answers. A folder with predictions of another model or other
settings is refused, so that one score never mixes two models. A kill may leave half a line at the
end of a file; it is cut off, and the item is asked again. A line holds all that scoring needs, so
scores can be computed again without the benchmark.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cauldron.core.errors import CauldronError, UsageError, first_line
from cauldron.core.generation import Unanswered
from cauldron.core.schema import Origin
from cauldron.evaluate.items.read import Item, Refused

# Raise it when a prompt, a setting of decoding or the order of items changes.
PROMPTS_VERSION = 1
# The reason of an item that the model's server refuses to answer.
NO_ANSWER = "no_answer"
# Of an item on which the server failed at every attempt: the next run asks it again.
FAILED = frozenset({"endpoint_error", "broken_answer"})

_FOLDER = "predictions"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Header(_Frozen):
    """What decides the predictions of a file.

    Attributes:
        model: as given on the command line.
        weights: a digest or commit; None if unknown.
        engine: ``transformers``, ``vllm`` or ``endpoint``.
        batch: questions that are answered together; padding changes the last bits of numbers.
        root: where the benchmark was read from; None for the hub.
        prompts: `PROMPTS_VERSION`.
    """

    format: int = 1
    model: str
    weights: str | None
    engine: str
    batch: int
    root: str | None
    prompts: int = PROMPTS_VERSION


class Record(_Frozen):
    """One item: answered, or refused with a reason.

    Attributes:
        index: its place in the benchmark.
        text: what the model said; None if the item is refused.
        reason: a code of `cauldron.core.reasons`, `NO_ANSWER`, or one of `FAILED`; "" if it is
            answered.
        rows: how many items a refusal stands for; -1 if unknown.
    """

    index: int
    id: str
    origin: Origin
    text: str | None = None
    question: str = ""
    choices: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    meta: dict[str, str] = Field(default_factory=dict)
    reason: str = ""
    message: str = ""
    rows: int = 1

    @classmethod
    def answered(cls, index: int, item: Item, text: str) -> Record:
        return cls(
            index=index,
            id=item.id,
            origin=item.origin,
            text=text,
            question=item.question,
            choices=item.choices,
            answers=item.answers,
            meta=dict(item.meta),
        )

    @classmethod
    def unanswered(cls, index: int, item: Item, why: Unanswered) -> Record:
        found = cls.answered(index, item, "")
        reason = why.reason if why.reason in FAILED else NO_ANSWER
        return found.model_copy(update={"text": None, "reason": reason, "message": why.message})

    @classmethod
    def refused(cls, index: int, refused: Refused) -> Record:
        return cls(
            index=index,
            id=refused.id,
            origin=refused.origin,
            reason=refused.reason,
            message=refused.message,
            rows=refused.rows,
        )

    @property
    def is_final(self) -> bool:
        """Whether the item need not be asked again."""
        return self.reason not in FAILED

    def item(self, benchmark: str) -> Item:
        """The item without its pictures, as parsers and metrics need it."""
        return Item(
            benchmark=benchmark,
            id=self.id,
            images=(),
            question=self.question,
            choices=self.choices,
            answers=self.answers,
            meta=self.meta,
            origin=self.origin,
        )


def predicted(folder: Path) -> list[str]:
    """The benchmarks that an evaluation's folder has predictions of, sorted."""
    return sorted(path.name for path in (folder / _FOLDER).glob("*") if path.is_dir())


def read_predictions(folder: Path, benchmark: str) -> dict[int, Record]:
    """The records of all ranks by index, in order of the index.

    Raises:
        CauldronError: a file is damaged elsewhere than at its end.
    """
    found: dict[int, Record] = {}
    for path in _files(folder, benchmark):
        for record in _records(path):
            # Two ranks may both have an item after a run on another number of ranks. One that
            # failed may have been answered since.
            if record.index not in found or not found[record.index].is_final:
                found[record.index] = record
    return dict(sorted(found.items()))


def read_header(folder: Path) -> Header:
    """The header of an evaluation's folder. Raises UsageError if it has no predictions."""
    paths = [path for name in predicted(folder) for path in _files(folder, name)]
    headers = [header for path in paths if (header := _header(path)) is not None]
    if not headers:
        raise UsageError(f"{folder} has no predictions; give the folder of an evaluation")
    return headers[0]


def check_header(folder: Path, header: Header) -> None:
    """Raises UsageError when the folder has predictions of another model or other settings."""
    for name in predicted(folder):
        for path in _files(folder, name):
            saved = _header(path)
            if saved is None or saved == header:
                continue
            ours, theirs = header.model_dump(), saved.model_dump()
            changed = [f"{k} was {theirs[k]!r}, is {ours[k]!r}" for k in ours
                       if ours[k] != theirs[k]]  # fmt: skip
            raise UsageError(
                f"{folder} has predictions of another model or other settings: "
                f"{', '.join(changed)}; give another --output"
            )


def _files(folder: Path, benchmark: str) -> list[Path]:
    return sorted((folder / _FOLDER / benchmark).glob("rank-*.jsonl"))


def _lines(path: Path) -> Iterator[bytes]:
    """Whole lines: the last one counts only if it ends. A kill may cut it within a character."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line


def _header(path: Path) -> Header | None:
    """None if a kill left no whole line."""
    first = next(_lines(path), None)
    try:
        return None if first is None else Header.model_validate_json(first)
    except ValidationError as error:
        raise _damaged(path, 1, error) from None


def _records(path: Path) -> Iterator[Record]:
    for number, line in enumerate(_lines(path), start=1):
        if number > 1:
            try:
                yield Record.model_validate_json(line)
            except ValidationError as error:
                raise _damaged(path, number, error) from None


def _damaged(path: Path, number: int, error: Exception) -> CauldronError:
    what = first_line(error)
    return CauldronError(f"{path} line {number} is damaged ({what}); delete the file")


class PredictionWriter:
    """Appends the records of one rank. A context manager.

    Raises:
        CauldronError: the file is damaged elsewhere than at its end.
    """

    def __init__(self, folder: Path, benchmark: str, header: Header, rank: int) -> None:
        self._path = folder / _FOLDER / benchmark / f"rank-{rank:05d}.jsonl"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = self._path.open("ab")
        _cut_half_line(self._path)
        if not self._path.stat().st_size:
            self._write([header.model_dump(mode="json")])

    def write(self, records: Iterable[Record]) -> None:
        self._write([record.model_dump(mode="json") for record in records])

    def _write(self, values: Iterable[Mapping[str, object]]) -> None:
        text = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
        self._file.write(text.encode())
        self._file.flush()

    def __enter__(self) -> PredictionWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def _cut_half_line(path: Path) -> None:
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        while end:
            start = max(0, end - 65_536)
            file.seek(start)
            place = file.read(end - start).rfind(b"\n")
            if place >= 0:
                end = start + place + 1
                break
            end = start
        if end < size:
            file.truncate(end)
