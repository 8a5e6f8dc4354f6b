"""Where a row of a text-only set has its conversation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cauldron.sources.base import RawTurn
from cauldron.sources.values.conversations import Conversation, conversation_of, text_of
from cauldron.sources.values.rows import RowProblem


class Layout(Protocol):
    """Reads a row.

    Attributes:
        names: columns of which a row has at least one, and objects inside a row have none.
        columns: every column that is used.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def columns(self) -> tuple[str, ...]: ...

    def conversation(self, row: Mapping[str, Any], source: str) -> Conversation:
        """Raises `cauldron.sources.values.rows.RowProblem` for a row of another structure."""
        ...


@dataclass(frozen=True)
class Pair:
    """One question and one answer, each in a column of its own.

    Attributes:
        question, answer: columns in order of preference; the first that is not empty counts.
        context: a column that stands before the question, on lines of its own, unless it is blank.
    """

    question: tuple[str, ...]
    answer: tuple[str, ...]
    context: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return self.question + self.answer

    @property
    def columns(self) -> tuple[str, ...]:
        return self.names + ((self.context,) if self.context else ())

    def conversation(self, row: Mapping[str, Any], source: str) -> Conversation:
        question = _first(row, self.question)
        context = text_of(row.get(self.context)) if self.context else None
        if question and context and context.strip():
            question = f"{context}\n{question}"
        return Conversation(None, [RawTurn(question, _first(row, self.answer), source)])


@dataclass(frozen=True)
class Chat:
    """A list of messages in one of some columns."""

    messages: tuple[str, ...] = ("conversations", "messages", "conversation")

    @property
    def names(self) -> tuple[str, ...]:
        return self.messages

    @property
    def columns(self) -> tuple[str, ...]:
        return self.messages

    def conversation(self, row: Mapping[str, Any], source: str) -> Conversation:
        there = [name for name in self.messages if row.get(name) is not None]
        if not there:
            raise RowProblem("bad_row", f"none of the columns {', '.join(self.messages)}")
        return conversation_of(row[there[0]], source)


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    there = [name for name in names if name in row]
    if not there:
        raise RowProblem("bad_row", f"none of the columns {', '.join(names)}")
    texts = [text_of(row[name]) for name in there]
    return next((text for text in texts if text and text.strip()), texts[0])
