"""Conversations as published: lists of messages turned into questions and answers.

Message objects spell speaker and text as ``from``/``value`` or ``role``/``content``; some sets
write bare strings that alternate, beginning with the user.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from cauldron.sources.base import RawTurn
from cauldron.sources.rows import RowProblem

_USERS = frozenset({"human", "user"})
_ASSISTANTS = frozenset({"gpt", "assistant", "chatgpt", "bard"})


class Conversation(NamedTuple):
    """What a row of text says.

    Attributes:
        system: the system prompt, or None.
        turns: pairs in order; where the other half of a question or answer is missing, it is None.
    """

    system: str | None
    turns: list[RawTurn]


def text_of(value: Any) -> str | None:
    """A JSON scalar as text; numbers as JSON writes them, because short answers may be numbers.

    A surrogate that stands alone (``\\ud800`` in JSON) is no character and cannot be stored:
    it becomes U+FFFD, and halves that belong together are joined.

    Raises:
        RowProblem: ``bad_row``, a boolean, array or object.
    """
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RowProblem("bad_row", f"{type(value).__name__} where text should be")
    return json.dumps(value)


def key_of(value: Any) -> str:
    """The publisher's key of a row, where it is a string or a number; else ""."""
    usable = isinstance(value, str | int) and not isinstance(value, bool)
    return (text_of(value) or "") if usable else ""


def conversation_of(messages: Any, source: str) -> Conversation:
    """Pair a list of messages.

    System messages before the first turn become the system prompt. A question that gets no answer
    and an answer without a question keep a turn with one half missing.

    Raises:
        RowProblem: ``bad_row``, not a list of messages, or a speaker that is none of the known.
    """
    if not isinstance(messages, list) or not messages:
        raise RowProblem("bad_row", "no list of messages")
    system: list[str] = []
    turns: list[RawTurn] = []
    for number, message in enumerate(messages):
        speaker, text = _speech(message, number)
        if speaker in _USERS:
            turns.append(RawTurn(text, None, source))
        elif speaker in _ASSISTANTS:
            if not turns or turns[-1].assistant is not None:
                turns.append(RawTurn(None, None, source))
            turns[-1].assistant = text
        elif speaker == "system" and not turns:
            system.append(text or "")
        else:
            raise RowProblem("bad_row", f"message {number} is from {speaker!r}")
    return Conversation("\n\n".join(filter(None, system)) or None, turns)


def _speech(message: Any, number: int) -> tuple[str, str | None]:
    if isinstance(message, str):
        return "gpt" if number % 2 else "human", text_of(message)
    if not isinstance(message, Mapping):
        raise RowProblem("bad_row", f"message {number} is neither an object nor text")
    speaker = message.get("from") or message.get("role")
    return str(speaker).lower(), text_of(message.get("value", message.get("content")))
