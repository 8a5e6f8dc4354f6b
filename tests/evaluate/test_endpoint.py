"""An engine behind an endpoint: what it sends, and what an evaluation does when it gets no answer.

Attempts, waits and the circuit are tested in `tests/transforms/models`.
"""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cauldron.transforms.models import calls
from cauldron.transforms.models.endpoint import Endpoint
from cauldron.transforms.models.store import AnswerStore

from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.generation import Decoding, Question, Unanswered
from cauldron.core.sections.models import ModelRules
from cauldron.evaluate.endpoint import EndpointEngine
from cauldron.evaluate.engines import choose
from tests.doubles.chat import ChatServer, Reply, text_of
from tests.sources.benchmark_files import picture
from tests.training.launch import wait_for

DECODING = Decoding(1456, 16, ("Question", "User"))
ONE = [Question(("What?",))]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_FIRST_WAIT", 0.01)


@contextmanager
def opened(url: str, folder: Path, **settings: Any) -> Iterator[EndpointEngine]:
    values = {"concurrency": 4, "attempts": 3} | settings
    engine = EndpointEngine(Endpoint(url, ModelRules(name="a-model"), **values), str(folder))
    try:
        yield engine
    finally:
        engine.close()


def test_a_question_goes_out_as_parts_and_the_answer_is_cut_at_stop_words(tmp_path: Path) -> None:
    question = Question(("<image 1>:", picture(1), "What?"))
    with (
        ChatServer(lambda number, body: Reply(" Answer: B\nQuestion: and")) as server,
        opened(server.url, tmp_path) as engine,
    ):
        assert engine.generate([question], DECODING) == ["Answer: B"]
    request = server.asked[0]
    assert (request["model"], request["temperature"], request["max_tokens"]) == ("a-model", 0, 16)
    assert request["stop"] == ["Question", "User"]
    assert "seed" not in request
    first, image, last = request["messages"][0]["content"]
    assert (first["text"], last["text"]) == ("<image 1>:", "What?")
    kind, _, data = image["image_url"]["url"].partition(";base64,")
    assert kind == "data:image/png"
    assert base64.b64decode(data) == picture(1)
    assert server.paths == ["/v1/chat/completions"]


def test_answers_come_in_the_order_of_questions_however_many_are_asked_at_once(
    tmp_path: Path,
) -> None:
    def rule(number: int, body: dict[str, Any]) -> Reply:
        text = text_of(body)
        time.sleep(0.02 if text == "0" else 0)
        return Reply(f"said {text}")

    questions = [Question((str(number),)) for number in range(9)]
    with ChatServer(rule) as server, opened(server.url, tmp_path) as engine:
        found = engine.generate(questions, DECODING)
    assert found == [f"said {number}" for number in range(9)]


def test_a_question_with_other_settings_is_another_question(tmp_path: Path) -> None:
    with (
        ChatServer(lambda number, body: Reply(str(number))) as server,
        opened(server.url, tmp_path) as engine,
    ):
        longer = Decoding(1456, 32, DECODING.stop_words)
        found = [engine.generate(ONE, decoding) for decoding in (DECODING, longer, DECODING)]
    assert found == [["0"], ["1"], ["0"]]


def test_the_key_is_that_of_the_variable_unless_another_place_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = ("http://h", None, 8, "m")
    monkeypatch.delenv("CAULDRON_API_KEY", raising=False)
    assert choose(*address).endpoint().read_key() is None
    monkeypatch.setenv("CAULDRON_API_KEY", "one")
    monkeypatch.setenv("OTHER_KEY", "two")
    assert choose(*address).endpoint().read_key() == "one"
    assert choose(*address, "OTHER_KEY").endpoint().read_key() == "two"


@pytest.mark.parametrize("url", ["http://user:secret@host", "http://", "https:///v1"])
def test_an_address_that_is_none_or_holds_a_key_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        choose(url, None, 8, "m").endpoint()
    assert "secret" not in str(refused.value)


def test_a_question_that_the_server_refuses_stays_unanswered(tmp_path: Path) -> None:
    def rule(number: int, body: dict[str, Any]) -> Reply:
        return Reply(status=400, body=b"too\nlong") if text_of(body) == "long" else Reply("B")

    with ChatServer(rule) as server, opened(server.url, tmp_path) as engine:
        found = engine.generate([Question(("long",)), *ONE], DECODING)
    assert found == [Unanswered("status 400: too long"), "B"]


@pytest.mark.parametrize("status", [500, 504])
def test_a_question_that_always_fails_has_no_answer_and_is_not_kept(
    tmp_path: Path, status: int
) -> None:
    """The next run asks it again, and only it, even if nothing else is asked."""
    broken = True

    def rule(number: int, body: dict[str, Any]) -> Reply:
        if broken and text_of(body) == "3":
            return Reply(status=status, body=b"no")
        return Reply(text_of(body))

    questions = [Question((str(number),)) for number in range(9)]
    expected: list[str | Unanswered] = [str(number) for number in range(9)]
    failed = Unanswered(f"status {status}: no", "endpoint_error")
    with ChatServer(rule) as server:
        for _ in range(2):
            with opened(server.url, tmp_path, concurrency=1) as engine:
                found = engine.generate(questions, DECODING)
            assert found == [*expected[:3], failed, *expected[4:]]
            assert len(AnswerStore(str(tmp_path))) == 8
        assert len(server.asked) == 8 + 2 * 3
        broken = False
        with opened(server.url, tmp_path) as engine:
            assert engine.generate(questions, DECODING) == expected
        assert len(server.asked) == 8 + 2 * 3 + 1


@pytest.mark.parametrize(("status", "most"), [(503, 2), (500, 32)])
def test_a_server_that_fails_on_all_is_not_asked_for_long(
    tmp_path: Path, status: int, most: int
) -> None:
    questions = [Question((str(number),)) for number in range(50)]
    with (
        ChatServer(lambda number, body: Reply(status=status, body=b"no")) as server,
        opened(server.url, tmp_path, attempts=1, concurrency=1) as engine,
        pytest.raises(CauldronError, match=rf"does not answer: status {status}: no"),
    ):
        engine.generate(questions, DECODING)
    assert len(server.asked) == most


@pytest.mark.parametrize("status", [302, 401, 403, 404])
def test_what_every_question_would_meet_ends_the_evaluation(tmp_path: Path, status: int) -> None:
    with (
        ChatServer(lambda number, body: Reply(status=status, body=b"no")) as server,
        opened(server.url, tmp_path) as engine,
        pytest.raises(CauldronError, match=rf"answers {status}: .*check address, model and key"),
    ):
        engine.generate(ONE, DECODING)
    assert len(server.asked) == 1


def test_a_server_that_is_down_ends_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with (
        opened(url, tmp_path) as engine,
        pytest.raises(CauldronError, match="does not answer") as told,
    ):
        engine.generate(ONE, DECODING)
    assert "\n" not in str(told.value)


def test_when_one_question_ends_the_evaluation_the_others_do_not_wait(tmp_path: Path) -> None:
    """One is refused for good while three wait for a minute, as the server asked."""

    def rule(number: int, body: dict[str, Any]) -> Reply:
        if text_of(body) == "last":
            wait_for(lambda: len(server.asked) == 4)
            time.sleep(0.2)
            return Reply(status=401)
        return Reply(status=429, headers={"Retry-After": "60"})

    questions = [Question((name,)) for name in ("last", "a", "b", "c")]
    with ChatServer(rule) as server:
        start = time.monotonic()
        with (
            opened(server.url, tmp_path) as engine,
            pytest.raises(CauldronError, match="answers 401"),
        ):
            engine.generate(questions, DECODING)
    assert time.monotonic() - start < 30
