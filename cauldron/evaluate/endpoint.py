"""An engine behind an OpenAI-compatible endpoint.

It asks through `cauldron.transforms.models`, as the pipeline does: attempts, waits, the circuit and
the key are described there. Images go as ``data:`` URLs, as large as published: the server scales
them. Answers are kept in the evaluation's folder and not beside those of other runs, because a name
at an endpoint does not tell which weights answer; the folder's header says that they are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cauldron.core.generation import Decoding, Question, Unanswered
from cauldron.transforms.models import questions as asked
from cauldron.transforms.models.ask import Outcome, ask_all, close_callers
from cauldron.transforms.models.endpoint import Endpoint

_MEDIA_TYPES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"RIFF": "image/webp"}


class EndpointEngine:
    """An `Engine` behind an address.

    Args:
        endpoint: its model is asked with the parameters of each `Decoding`.
        answers: the folder of kept answers.
    """

    independent = True

    def __init__(self, endpoint: Endpoint, answers: str) -> None:
        self._endpoint = endpoint
        self._answers = answers

    def length(self, question: Question, decoding: Decoding) -> int:
        """Questions are sent one by one, so their lengths do not matter."""
        return 0

    def generate(self, questions: Sequence[Question], decoding: Decoding) -> list[str | Unanswered]:
        """Raises CauldronError if the endpoint is down; the answers so far are kept."""
        endpoint = self._decoding_as(decoding)
        messages = (_question(str(place), question) for place, question in enumerate(questions))
        outcomes = {
            int(question.name): outcome
            for question, outcome in ask_all(messages, endpoint, self._answers)
        }
        return [_text(outcomes[place], decoding) for place in range(len(questions))]

    def close(self) -> None:
        """Gives up what is in flight."""
        close_callers()

    def _decoding_as(self, decoding: Decoding) -> Endpoint:
        # Greedy decoding needs no seed, and some servers refuse the field.
        extra: dict[str, Any] = {"seed": None}
        if decoding.stop_words:
            extra["stop"] = list(decoding.stop_words)
        parameters = {"temperature": 0.0, "max_tokens": decoding.max_new_tokens, "extra": extra}
        model = self._endpoint.model.model_copy(update=parameters)
        return replace(self._endpoint, model=model)


def _text(outcome: Outcome, decoding: Decoding) -> str | Unanswered:
    if isinstance(outcome, asked.Answer):
        return decoding.cut(outcome.text)
    return Unanswered(outcome.message, outcome.reason)


def _question(name: str, question: Question) -> asked.Question:
    parts = tuple(x if isinstance(x, str) else _picture(x) for x in question.parts)
    return asked.Question(name, (asked.Message("user", parts),))


def _picture(image: bytes) -> asked.Picture:
    media_type = next(kind for magic, kind in _MEDIA_TYPES.items() if image.startswith(magic))
    return asked.Picture(hashlib.sha256(image).hexdigest(), media_type, image)
