"""Questions to a model, and what comes back."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cauldron.core.sections.models import ModelRules
from cauldron.core.stores.ranges import Range, read_ranges


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of a question.

    Attributes:
        sha256: of the bytes, hex. It stands for them in the question's key.
        media_type: e.g. ``image/png``.
        place: the bytes, or where they are stored: they are read when the question is asked.
    """

    sha256: str
    media_type: str
    place: bytes | Range

    def data_url(self) -> str:
        place = self.place
        data = place if isinstance(place, bytes) else read_ranges([place])[0]
        return f"data:{self.media_type};base64,{base64.b64encode(data).decode()}"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat.

    Attributes:
        role: ``system``, ``user`` or ``assistant``.
        parts: texts and pictures, in the order in which the model sees them.
    """

    role: str
    parts: tuple[str | Picture, ...]

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(part for part in self.parts if isinstance(part, Picture))

    def to_json(self) -> dict[str, Any]:
        content: Any = [_part(part) for part in self.parts]
        # Servers without vision take a text only in this form.
        if len(self.parts) == 1 and isinstance(self.parts[0], str):
            content = self.parts[0]
        return {"role": self.role, "content": content}


def _part(part: str | Picture) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": "image_url", "image_url": {"url": part.data_url()}}


@dataclass(frozen=True, slots=True)
class Question:
    """A question to a model.

    Attributes:
        name: what the question is for, e.g. a row and turn; the asker's own. Not part of its key.
    """

    name: str
    messages: tuple[Message, ...]

    def key(self, model: ModelRules) -> str:
        """128 bits, 32 hex digits, of model, revision, parameters and messages.

        Equal questions have equal keys, whoever asks them. The endpoint's address is not in it:
        the same model may move.
        """
        said = [
            # A picture is a list, which no text can be taken for.
            [message.role, *([x.sha256] if isinstance(x, Picture) else x for x in message.parts)]
            for message in self.messages
        ]
        values = [model.revision, model.parameters(), said]
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def body(self, model: ModelRules) -> bytes:
        """The request. Reads the pictures."""
        messages = [message.to_json() for message in self.messages]
        values = model.parameters() | {"messages": messages, "stream": False}
        return json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass")

    @property
    def has_pictures(self) -> bool:
        return any(message.pictures for message in self.messages)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model answered.

    Attributes:
        finish: the endpoint's reason why it ends, ``stop`` or ``length`` most often.
        tokens_in, tokens_out: as the endpoint counts them; None if it does not say.
    """

    text: str
    finish: str = "stop"
    tokens_in: int | None = None
    tokens_out: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A question without an answer. It is not kept: the next run asks again.

    Attributes:
        reason: a key of `cauldron.core.reasons.NO_ANSWER`, or ``not_asked`` once a limit of the
            run is reached.
        message: what the endpoint said, shortened.
    """

    reason: str
    message: str = ""


def parse_answer(body: bytes) -> Answer:
    """The answer in a response.

    Raises:
        ValueError: the body is not a chat completion.
    """
    try:
        values = json.loads(body)
        choice = values["choices"][0]
        text = choice["message"]["content"]
        usage = values.get("usage") or {}
        counts = [usage.get("prompt_tokens"), usage.get("completion_tokens")]
        finish = choice.get("finish_reason") or "stop"
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a chat completion: {type(error).__name__}: {error}") from None
    if not isinstance(text, str | None) or not all(isinstance(n, int | None) for n in counts):
        raise ValueError("not a chat completion: a field has the wrong type")
    return Answer(_whole(text or ""), str(finish), *counts)


def _whole(text: str) -> str:
    """The text with U+FFFD for half of a surrogate pair, which JSON can hold and UTF-8 cannot.

    Servers send one where an answer is cut within an emoji.
    """
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
