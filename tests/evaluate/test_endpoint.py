"""An engine behind an endpoint, and every way in which the endpoint may fail."""

from __future__ import annotations

import base64
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.generation import Decoding, Question, Unanswered
from cauldron.evaluate.endpoint import EndpointEngine, Patience
from tests.doubles.chat import ChatServer, Reply, text_of
from tests.sources.benchmark_files import picture
from tests.training.launch import wait_for

DECODING = Decoding(1456, 16, ("Question", "User"))
PATIENCE = Patience(attempts=3, timeout=5, first_wait=2.0, longest_wait=30.0)
ONE = [Question(("What?",))]


class Waits(list[float]):
    """The seconds that would have been slept."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def engine(url: str, waits: Waits | None = None, concurrency: int = 4) -> EndpointEngine:
    sleep = Waits() if waits is None else waits
    return EndpointEngine(url, "a-model", concurrency, PATIENCE, sleep)


def test_a_question_goes_out_as_parts_and_the_answer_is_cut_at_stop_words() -> None:
    with ChatServer(lambda number, body: Reply(" Answer: B\nQuestion: and")) as server:
        question = Question(("<image 1>:", picture(1), "What?"))
        assert engine(server.url).generate([question], DECODING) == ["Answer: B"]
    request = server.asked[0]
    assert (request["model"], request["temperature"], request["max_tokens"]) == ("a-model", 0, 16)
    assert request["stop"] == ["Question", "User"]
    first, image, last = request["messages"][0]["content"]
    assert (first["text"], last["text"]) == ("<image 1>:", "What?")
    kind, _, data = image["image_url"]["url"].partition(";base64,")
    assert kind == "data:image/png"
    assert base64.b64decode(data) == picture(1)
    assert server.paths == ["/v1/chat/completions"]


def test_answers_come_in_the_order_of_questions_however_many_are_asked_at_once() -> None:
    def rule(number: int, body: dict[str, Any]) -> Reply:
        text = text_of(body)
        time.sleep(0.02 if text == "0" else 0)
        return Reply(f"said {text}")

    with ChatServer(rule) as server:
        questions = [Question((str(number),)) for number in range(9)]
        found = engine(server.url).generate(questions, DECODING)
    assert found == [f"said {number}" for number in range(9)]


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAULDRON_API_KEY", "secret")
    with ChatServer(lambda number, body: Reply("x")) as server:
        engine(f"{server.url}/v1/").generate(ONE, DECODING)
    assert server.keys == ["Bearer secret"]
    assert server.paths == ["/v1/chat/completions"]


@pytest.mark.parametrize(
    "failure",
    [
        Reply(status=408),
        Reply(status=429),
        Reply(status=500),
        Reply(status=503),
        Reply(body=b'{"choices": [{"mess'),
        Reply(body=b"[]"),
        Reply(body=b'{"choices": []}'),
    ],
    ids=lambda reply: f"{reply.status} {reply.body!r}",
)
def test_what_may_pass_is_tried_again(failure: Reply) -> None:
    waits = Waits()
    with ChatServer(lambda number, body: failure if number < 2 else Reply("B")) as server:
        assert engine(server.url, waits).generate(ONE, DECODING) == ["B"]
    assert len(server.asked) == 3
    assert 1 <= waits[0] <= 2 <= waits[1] <= 4  # doubled, less a random part


@pytest.mark.parametrize(("said", "low", "high"), [("7", 7, 7), ("999", 30, 30), ("soon", 1, 2)])
def test_retry_after_is_honoured_within_a_bound(said: str, low: float, high: float) -> None:
    busy = Reply(status=429, headers={"Retry-After": said})
    waits = Waits()
    with ChatServer(lambda number, body: Reply("B") if number else busy) as server:
        engine(server.url, waits).generate(ONE, DECODING)
    assert low <= waits[0] <= high


def test_retry_after_may_be_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    busy = Reply(status=503, headers={"Retry-After": date})
    waits = Waits()
    with ChatServer(lambda number, body: Reply("B") if number else busy) as server:
        engine(server.url, waits).generate(ONE, DECODING)
    assert 15 <= waits[0] <= 20


def test_a_server_that_stays_busy_ends_in_one_line() -> None:
    with (
        ChatServer(lambda number, body: Reply(status=503)) as server,
        pytest.raises(CauldronError, match=r"does not answer after 3 attempts \(status 503\)"),
    ):
        engine(server.url).generate(ONE, DECODING)
    assert len(server.asked) == 3


def test_a_server_that_is_down_ends_in_one_line() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(CauldronError, match="does not answer after 3 attempts"):
        engine(url).generate(ONE, DECODING)


def test_a_question_that_the_server_refuses_stays_unanswered() -> None:
    def rule(number: int, body: dict[str, Any]) -> Reply:
        return Reply(status=400, body=b"too\nlong") if text_of(body) == "long" else Reply("B")

    with ChatServer(rule) as server:
        found = engine(server.url).generate([Question(("long",)), *ONE], DECODING)
    assert found == [Unanswered("status 400: too long"), "B"]


@pytest.mark.parametrize("status", [302, 401, 403, 404])
def test_what_every_question_would_meet_ends_the_evaluation(status: int) -> None:
    with (
        ChatServer(lambda number, body: Reply(status=status, body=b"no")) as server,
        pytest.raises(CauldronError, match=rf"answers {status} \(no\); check the address"),
    ):
        engine(server.url).generate(ONE, DECODING)
    assert len(server.asked) == 1


@pytest.mark.parametrize("url", ["http://user:secret@host", "http://", "https:///v1"])
def test_an_address_that_is_none_or_holds_a_key_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        engine(url)
    assert "secret" not in str(refused.value)


def test_when_one_question_ends_the_evaluation_the_others_do_not_wait() -> None:
    """One is refused for good while three wait for a minute, as the server asked."""

    def rule(number: int, body: dict[str, Any]) -> Reply:
        if text_of(body) == "last":
            wait_for(lambda: len(server.asked) == 4)
            time.sleep(0.2)
            return Reply(status=401)
        return Reply(status=429, headers={"Retry-After": "60"})

    questions = [Question((name,)) for name in ("last", "a", "b", "c")]
    patience = Patience(attempts=3, longest_wait=60.0)
    with ChatServer(rule) as server:
        patient = EndpointEngine(server.url, "m", 4, patience)
        start = time.monotonic()
        with pytest.raises(CauldronError, match="answers 401"):
            patient.generate(questions, DECODING)
        patient.close()
    assert time.monotonic() - start < 30
