"""The questions about a corpus part: every turn on every scale, in the order of the part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cauldron.transforms.models.questions import Message, Picture, Question
from cauldron.transforms.ratings.prompts import prompt

from cauldron.core import storage
from cauldron.core.output.mixture import read_row_groups
from cauldron.core.schema import is_document
from cauldron.core.sections.ratings import TEXT_SCALES, Scale
from cauldron.core.stores.ranges import Range

_COLUMNS = ("id", "messages", "image_info", "pack")


@dataclass(frozen=True, slots=True)
class RatedTurn:
    """A turn and a scale, with the question that asks for the rating.

    Attributes:
        number: among those of the part; also the question's name.
        turn: number of the turn in its row, from 0.
    """

    number: int
    id: str
    turn: int
    scale: Scale
    question: Question


def is_sampled(row_id: str, share: float) -> bool:
    """Whether a row is in the sample: ids are hashes, so their leading bits are drawn evenly."""
    return int(row_id[:8], 16) < share * 2**32


def rated_turns(
    corpus: str, parquet: str, scales: Sequence[Scale], share: float = 1.0
) -> Iterator[RatedTurn]:
    """The questions about a corpus part. The same part gives the same questions in one order.

    Args:
        corpus: the folder; record files of pictures are in it.
        parquet: file name of the part.
        scales: those with images only are left out for rows without.
        share: of the rows.
    """
    rows = (
        row
        for table in read_row_groups(storage.join(corpus, parquet), _COLUMNS)
        for row in table.to_pylist()
        if is_sampled(row["id"], share)
    )
    number = 0
    for row in rows:
        pictures = _pictures(row, corpus)
        for turn, (asked, answered) in enumerate(turns_of(row["messages"])):
            for scale in scales:
                shown = () if scale in TEXT_SCALES else pictures
                if scale in TEXT_SCALES or pictures:
                    text = prompt(scale, asked, answered, len(pictures))
                    question = Question(str(number), (Message("user", (*shown, text)),))
                    yield RatedTurn(number, row["id"], turn, scale, question)
                    number += 1


def _pictures(row: dict[str, Any], corpus: str) -> tuple[Picture, ...]:
    path = storage.join(corpus, row["pack"])
    return tuple(
        Picture(
            info["sha256"],
            f"image/{info['format'].lower()}",
            Range(path, info["offset"], info["length"]),
        )
        for info in row["image_info"]
    )


def turns_of(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(question, answer) of each turn of a row's messages; a document has none."""
    if is_document(messages):
        return []
    texts = [
        (message["role"], "".join(part["text"] or "" for part in message["content"]))
        for message in messages
        if message["role"] != "system"
    ]
    users = [text for role, text in texts if role == "user"]
    answers = [text for role, text in texts if role == "assistant"]
    return list(zip(users, answers, strict=True))
