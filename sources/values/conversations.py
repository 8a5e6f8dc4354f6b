"""Conversations as published: lists of messages turned into questions and answers.

Messages are objects with ``from``/``value`` or ``role``/``content``, or plain strings of user and
assistant in turn; the user begins.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from cauldron.sources.base import RawTurn
from cauldron.sources.values.rows import RowProblem

_USERS = frozenset({"human", "user"})
_ASSISTANTS = frozenset({"gpt", "assistant", "chatgpt", "bard"})


class Conversation(NamedTuple):
    """The conversation of a row.

    Attributes:
        system: the system prompt, or None.
        turns: questions and answers in order; a missing one is None.
    """

    system: str | None
    turns: list[RawTurn]


def text_of(value: Any) -> str | None:
    """A JSON scalar as text; numbers as JSON writes them, because short answers may be numbers.

    Surrogate pairs are joined. A lone surrogate (``\\ud800`` in JSON) is not a character and
    cannot be stored; it becomes U+FFFD.

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
    """The publisher's key of a row if it is a string or a number, else ""."""
    usable = isinstance(value, str | int) and not isinstance(value, bool)
    return (text_of(value) or "") if usable else ""


def conversation_of(messages: Any, source: str) -> Conversation:
    """Pair the messages of a list to turns.

    System messages before the first turn become the system prompt. A question without an answer
    and an answer without a question become turns with one half missing.

    Raises:
        RowProblem: ``bad_row``, not a list of messages, or an unknown speaker.
    """
    if not isinstance(messages, list) or not messages:
        raise RowProblem("bad_row", "no list of messages")
    system: list[str] = []
    turns: list[RawTurn] = []
    for number, message in enumerate(messages):
        speaker, text = _speaker_and_text(message, number)
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


def _speaker_and_text(message: Any, number: int) -> tuple[str, str | None]:
    if isinstance(message, str):
        return "gpt" if number % 2 else "human", text_of(message)
    if not isinstance(message, Mapping):
        raise RowProblem("bad_row", f"message {number} is neither an object nor text")
    speaker = message.get("from") or message.get("role")
    return str(speaker).lower(), text_of(message.get("value", message.get("content")))
