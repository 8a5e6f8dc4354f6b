"""A real server with the OpenAI protocol and a vision model; skipped unless one is named.

CONTRIBUTING.md says how to start one:
``CAULDRON_CHAT_URL=http://127.0.0.1:8000 CAULDRON_CHAT_MODEL=tiny pytest -m slow THIS_FILE``.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from cauldron.transforms.models.ask import ask_all, close_callers
from cauldron.transforms.models.calls import EndpointError
from cauldron.transforms.models.endpoint import Endpoint
from cauldron.transforms.models.questions import Answer, Failure, Message, Picture, Question
from cauldron.transforms.models.store import AnswerStore

from cauldron.core.sections.models import ModelRules
from tests.sources.benchmark_files import picture

URL = os.environ.get("CAULDRON_CHAT_URL", "")
NAME = os.environ.get("CAULDRON_CHAT_MODEL", "")
MODEL = ModelRules(name=NAME or "none", max_tokens=8)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not URL or not NAME, reason="CAULDRON_CHAT_URL or _MODEL unset"),
]


def shown(number: int) -> Picture:
    data = picture(number)
    return Picture(hashlib.sha256(data).hexdigest(), "image/png", data)


QUESTIONS = [
    Question("text", (Message("system", ("Be brief.",)), Message("user", ("What is 1?",)))),
    Question("image", (Message("user", (shown(1), "What is this?")),)),
    Question("images", (Message("user", ("One:", shown(2), "two:", shown(3), "Which?")),)),
]


def test_texts_and_images_are_answered_counted_and_kept(tmp_path: Path) -> None:
    endpoint = Endpoint(URL, MODEL, attempts=2)
    outcomes = {q.name: outcome for q, outcome in ask_all(QUESTIONS, endpoint, str(tmp_path))}
    close_callers()
    answers = {name: found for name, found in outcomes.items() if isinstance(found, Answer)}
    assert answers.keys() == outcomes.keys(), outcomes
    assert all(0 < (answer.tokens_out or 0) <= MODEL.max_tokens for answer in answers.values())
    # A picture takes tokens.
    assert (answers["image"].tokens_in or 0) > (answers["text"].tokens_in or 0)
    store = AnswerStore(str(tmp_path))
    assert [store.get(question.key(MODEL)) for question in QUESTIONS] == [
        answers[question.name] for question in QUESTIONS
    ]


def test_equal_questions_have_equal_answers_at_temperature_0(tmp_path: Path) -> None:
    endpoint = Endpoint(URL, MODEL, attempts=2)
    found = [dict(ask_all(QUESTIONS, endpoint, str(tmp_path / name))) for name in "ab"]
    close_callers()
    assert found[0] == found[1]


def test_a_question_that_is_too_long_is_refused_and_another_model_stops_the_job(
    tmp_path: Path,
) -> None:
    long = Question("long", (Message("user", ("word " * 2_000_000,)),))
    ((_, outcome),) = ask_all([long], Endpoint(URL, MODEL, attempts=2), str(tmp_path))
    assert isinstance(outcome, Failure)
    assert outcome.reason == "refused", outcome
    other = Endpoint(URL, MODEL.model_copy(update={"name": "no-such-model"}), attempts=2)
    with pytest.raises(EndpointError, match="answers 404"):
        list(ask_all(QUESTIONS, other, str(tmp_path)))
    close_callers()
