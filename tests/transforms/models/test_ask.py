"""Asking: what is asked, how often, and what a failing endpoint does to it."""

from __future__ import annotations

import logging
import socket
import time
import uuid
from contextlib import ExitStack
from email.utils import formatdate
from pathlib import Path

import apache_beam as beam
import pytest
from cauldron.transforms.models import ask, calls, packs
from cauldron.transforms.models.ask import AskModel, ask_all, close_callers
from cauldron.transforms.models.budget import Budget, Limits, Price
from cauldron.transforms.models.calls import EndpointError
from cauldron.transforms.models.endpoint import Endpoint, parse_retry_after
from cauldron.transforms.models.questions import Answer, Failure, Message, Picture, Question
from cauldron.transforms.models.store import AnswerStore

from cauldron.core.errors import CauldronError, UsageError
from cauldron.sample.model_server import Behaviour, ModelServer
from tests.transforms.models.conftest import MODEL, questions


def texts(outcomes) -> dict[str, str]:
    return {question.name: outcome.text for question, outcome in outcomes}


def expected(count: int, of: int | None = None) -> dict[str, str]:
    return {str(number): f"say {number % (of or count)}" for number in range(count)}


def test_every_question_comes_back_with_its_answer(server, endpoint, tmp_path):
    assert texts(ask_all(questions(100), endpoint(), str(tmp_path))) == expected(100)


def test_nothing_is_asked_twice(server, endpoint, tmp_path):
    server.behaviour.delay = 0.05
    for _ in range(2):
        assert texts(ask_all(questions(90, 30), endpoint(), str(tmp_path))) == expected(90, 30)
    close_callers()
    list(ask_all(questions(90, 30), endpoint(), str(tmp_path)))
    assert len(server.asked) == 30


def test_an_answer_is_kept_before_it_is_returned(server, endpoint, tmp_path):
    for question, _ in ask_all(questions(20), endpoint(concurrency=1), str(tmp_path)):
        assert AnswerStore(str(tmp_path)).get(question.key(MODEL))


def test_on_an_object_store_an_answer_is_kept_while_the_next_is_long_in_coming(
    server, endpoint, monkeypatch
):
    monkeypatch.setattr(packs, "REMOTE_SECONDS", 0.2)
    answers = f"memory://{uuid.uuid4().hex}"
    asking = ask_all(questions(2), endpoint(concurrency=1), answers)
    question, _ = next(asking)
    server.behaviour.delay = 30.0
    end = time.monotonic() + 10
    while AnswerStore(answers).get(question.key(MODEL)) is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    close_callers()


def test_no_more_requests_are_in_flight_than_allowed(server, endpoint, tmp_path):
    server.behaviour.delay = 0.02
    list(ask_all(questions(60), endpoint(concurrency=7), str(tmp_path)))
    ends = sorted((line.started + line.seconds, -1) for line in server.asked)
    events = sorted([*ends, *((line.started, 1) for line in server.asked)])
    level = peak = 0
    for _, step in events:
        level += step
        peak = max(peak, level)
    assert 3 <= peak <= 7


def test_a_long_iterable_is_not_read_ahead(server, endpoint, tmp_path):
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield Question("", (Message("user", (f"say {taken}",)),))

    asking = ask_all(endless(), endpoint(concurrency=4), str(tmp_path))
    for _ in range(10):
        next(asking)
    asking.close()
    assert taken <= 10 + 8


@pytest.mark.parametrize("fault", ["429", "500", "503", "cut", "malformed"])
def test_a_fault_that_passes_costs_no_answer(server, endpoint, tmp_path, fault):
    server.behaviour.faults = {fault: 0.3}
    assert texts(ask_all(questions(60), endpoint(), str(tmp_path))) == expected(60)
    assert set(server.answered.values()) == {1}
    assert any(line.label == fault for line in server.asked)


def test_a_slow_answer_is_given_up_and_asked_for_again(server, endpoint, tmp_path):
    server.behaviour = Behaviour(faults={"slow": 0.2}, slow=5.0, faulty_attempts=1)
    start = time.monotonic()
    assert texts(ask_all(questions(40), endpoint(timeout=0.3), str(tmp_path))) == expected(40)
    assert time.monotonic() - start < 4


@pytest.mark.parametrize(("fault", "reason"), [("500", "endpoint_error"), ("cut", "broken_answer")])
def test_a_question_that_always_fails_is_no_reason_to_stop(
    server, endpoint, tmp_path, fault, reason
):
    server.behaviour = Behaviour(faults={fault: 0.1}, faulty_attempts=1000)
    got = dict(ask_all(questions(60), endpoint(attempts=2), str(tmp_path)))
    failed = [outcome.reason for outcome in got.values() if isinstance(outcome, Failure)]
    assert set(failed) == {reason}
    assert len(failed) == len({q.question for q in server.asked if q.label})
    # It is asked again by the next run, which may find the endpoint mended.
    server.behaviour = Behaviour()
    assert texts(ask_all(questions(60), endpoint(attempts=2), str(tmp_path))) == expected(60)


def test_a_refused_question_is_not_asked_again_and_not_kept(server, endpoint, tmp_path):
    server.behaviour = Behaviour(faults={"400": 0.2}, faulty_attempts=1000)
    got = dict(ask_all(questions(40), endpoint(), str(tmp_path)))
    refused = [outcome for outcome in got.values() if isinstance(outcome, Failure)]
    assert {outcome.reason for outcome in refused} == {"refused"}
    assert "injected 400" in refused[0].message
    assert len(server.asked) == 40
    assert len(AnswerStore(str(tmp_path))) == 40 - len(refused)


def test_an_endpoint_that_is_not_there_stops_the_job_with_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(calls, "_FIRST_WAIT", 0.01)
    with ModelServer() as gone:
        url = gone.url
    with pytest.raises(EndpointError, match="does not answer") as stopped:
        list(ask_all(questions(5), Endpoint(url, MODEL, attempts=3), str(tmp_path)))
    assert "run this again" in str(stopped.value)
    assert "\n" not in str(stopped.value)


def test_an_endpoint_that_goes_down_stops_the_job_and_keeps_what_was_answered(
    server, endpoint, tmp_path
):
    def going_down():
        for number, question in enumerate(questions(200)):
            if number == 50:
                server.behaviour = Behaviour(faults={"503": 1.0}, faulty_attempts=1000)
            yield question

    with pytest.raises(EndpointError, match="status 503"):
        list(ask_all(going_down(), endpoint(attempts=2, concurrency=4), str(tmp_path)))
    close_callers()
    assert len(AnswerStore(str(tmp_path))) == len(server.answered) >= 40
    server.behaviour = Behaviour()
    assert texts(ask_all(questions(200), endpoint(), str(tmp_path))) == expected(200)
    assert set(server.answered.values()) == {1}


def test_a_refused_key_stops_the_job_and_is_not_repeated(server, endpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("MODEL_KEY", "injected")  # which the server's message repeats
    server.behaviour = Behaviour(faults={"401": 1.0}, faulty_attempts=1000)
    with pytest.raises(EndpointError, match="answers 401") as stopped:
        list(ask_all(questions(5), endpoint(key_from="MODEL_KEY"), str(tmp_path)))
    assert "injected" not in str(stopped.value)
    assert "***" in str(stopped.value)


def test_an_endpoint_that_refuses_everything_stops_the_job(server, endpoint, tmp_path):
    server.behaviour = Behaviour(faults={"400": 1.0}, faulty_attempts=1000)
    with pytest.raises(EndpointError, match="refuses every question"):
        list(ask_all(questions(200), endpoint(), str(tmp_path)))


def test_the_key_is_sent_and_stands_in_no_file_and_no_log(
    server, endpoint, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("MODEL_KEY", "sk-very-secret")
    caplog.set_level(logging.DEBUG)
    server.behaviour.faults = {"500": 0.5}
    list(ask_all(questions(10), endpoint(key_from="MODEL_KEY"), str(tmp_path)))
    assert {line.key for line in server.asked} == {"sk-very-secret"}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not any(b"sk-very-secret" in path.read_bytes() for path in files)
    assert "sk-very-secret" not in caplog.text


def test_retry_after_is_obeyed_up_to_a_bound(server, endpoint, tmp_path):
    server.behaviour = Behaviour(faults={"429": 1.0}, retry_after="1", faulty_attempts=1)
    start = time.monotonic()
    list(ask_all(questions(1), endpoint(), str(tmp_path / "a")))
    assert time.monotonic() - start >= 1
    server.behaviour = Behaviour(faults={"429": 1.0}, retry_after="3600", faulty_attempts=3)
    start = time.monotonic()
    list(ask_all(questions(1), endpoint(longest_wait=0.05), str(tmp_path / "b")))
    assert time.monotonic() - start < 5


def test_retry_after_is_seconds_or_a_date():
    assert parse_retry_after("17") == 17
    assert 25 < parse_retry_after(formatdate(time.time() + 30, usegmt=True)) <= 30
    assert parse_retry_after(formatdate(time.time() - 30, usegmt=True)) == 0
    assert parse_retry_after("soon") == parse_retry_after(None) == 0


@pytest.mark.parametrize(
    "value",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2027 00:00:00 +9999999999999",
        "Mon, 01 Jan 0001 00:00:00 -0000",
        "Mon, 99 Foo",
        "nan",
    ],
)
def test_a_retry_after_that_means_nothing_is_none(value):
    """A server of images that sends one must not end the build."""
    assert parse_retry_after(value) == 0


def test_a_forbidden_question_among_answered_ones_is_refused(server, endpoint, tmp_path):
    list(ask_all(questions(1), endpoint(), str(tmp_path)))
    server.behaviour = Behaviour(faults={"403": 0.2}, faulty_attempts=1000)
    got = dict(ask_all(questions(60), endpoint(), str(tmp_path)))
    assert {o.reason for o in got.values() if isinstance(o, Failure)} == {"refused"}
    # A key that no longer counts is told from that.
    server.behaviour = Behaviour(faults={"403": 1.0}, faulty_attempts=1000)
    with pytest.raises(EndpointError, match="answers 403"):
        list(ask_all(questions(500)[100:], endpoint(), str(tmp_path)))


def test_a_forbidden_key_stops_the_job(server, endpoint, tmp_path):
    server.behaviour = Behaviour(faults={"403": 1.0}, faulty_attempts=1000)
    with pytest.raises(EndpointError, match="answers 403"):
        list(ask_all(questions(5), endpoint(), str(tmp_path)))


def test_an_address_from_which_nothing_comes_back_is_down_and_costs_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(calls, "_CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(calls, "_FIRST_WAIT", 0.01)
    with ExitStack() as stack:
        # Its queue of connections is full, so the system answers no more.
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        stack.callback(close_callers)
        start = time.monotonic()
        with pytest.raises(EndpointError, match="does not answer"):
            list(ask_all(questions(1), Endpoint(url, MODEL, attempts=2), str(tmp_path)))
        assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("parts", "extra", "least"),
    [
        # A long text beside a picture, and a limit that goes by another name.
        (("x" * 100_000, Picture("0" * 64, "image/png", b"png")), {}, 50_000 + 4_096 + 2_000),
        (("x",), {"max_tokens": None, "max_completion_tokens": 9_000}, 9_000),
    ],
)
def test_what_a_question_may_cost_counts_all_of_it(tmp_path, parts, extra, least):
    budget = Budget(Limits(max_cost=1, price=Price(1e6, 1e6)), str(tmp_path))
    question = Question("", (Message("user", parts),))
    assert least <= budget.most(question, MODEL.model_copy(update={"extra": extra})) < 2 * least


@pytest.mark.parametrize("limit", [0, 1, 7, 100])
def test_a_limit_of_requests_ends_cleanly_and_the_next_run_goes_on(
    server, endpoint, tmp_path, limit
):
    got = dict(ask_all(questions(150), endpoint(), str(tmp_path), Limits(max_requests=limit)))
    answered = [outcome for outcome in got.values() if isinstance(outcome, Answer)]
    assert len(answered) == len(server.asked) == limit
    assert {o.reason for o in got.values() if isinstance(o, Failure)} == {"not_asked"}
    assert texts(ask_all(questions(150), endpoint(), str(tmp_path), Limits())) == expected(150)
    assert len(server.asked) == 150


def test_repeated_attempts_count_as_requests(server, endpoint, tmp_path):
    server.behaviour.faults = {"500": 1.0}
    list(ask_all(questions(50), endpoint(), str(tmp_path), Limits(max_requests=20)))
    assert len(server.asked) == 20


def test_a_limit_of_cost_is_not_exceeded(server, endpoint, tmp_path):
    # The server counts two tokens in and two out for each: 22 dollars a million requests.
    price = Price(tokens_in=1, tokens_out=10)
    limits = Limits(max_cost=22e-6 * 100 + 1.5, price=price)
    got = dict(ask_all(questions(300), endpoint(), str(tmp_path), limits))
    assert all(isinstance(outcome, Answer) for outcome in got.values())
    few = Limits(max_cost=64 * 0.021, price=price)  # a lease is one request at its upper estimate
    many = [Question(str(n), (Message("user", (f"tell {n}",)),)) for n in range(100_000, 100_300)]
    server.asked.clear()
    got = dict(ask_all(many[:300], endpoint(), str(tmp_path), few))
    cost = sum(price.of(2, 2) for outcome in got.values() if isinstance(outcome, Answer))
    assert 0 < cost <= 64 * 0.021


def test_a_limit_of_cost_needs_a_price():
    with pytest.raises(UsageError, match="--price"):
        Limits(max_cost=1.0)


def test_all_workers_of_a_run_share_its_limit(server, endpoint, tmp_path):
    limits = Limits(max_requests=64)
    for number in range(4):  # four processes, as it were
        close_callers()
        list(
            ask_all(
                questions(100)[number * 25 : number * 25 + 25], endpoint(), str(tmp_path), limits
            )
        )
    assert len(server.asked) <= 64


def test_without_a_key_in_the_environment_nothing_is_asked(server, endpoint, tmp_path, monkeypatch):
    monkeypatch.delenv("MODEL_KEY", raising=False)
    with pytest.raises(CauldronError, match="MODEL_KEY"):
        list(ask_all(questions(1), endpoint(key_from="MODEL_KEY"), str(tmp_path)))
    assert server.asked == []


def run(pipeline_questions, endpoint: Endpoint, folder: Path, processes: int) -> list[str]:
    """`AskModel` on Beam's local runner with worker processes; lines of its results, sorted."""
    from apache_beam.options.pipeline_options import PipelineOptions

    options = PipelineOptions(
        runner="FnApiRunner",
        direct_num_workers=processes,
        direct_running_mode="multi_processing" if processes > 1 else "in_memory",
    )
    with beam.Pipeline(options=options) as pipeline:
        _ = (
            pipeline
            | beam.Create(pipeline_questions)
            | AskModel(endpoint, str(folder / "answers"), Limits(), partitions=4)
            | beam.MapTuple(lambda name, outcome: f"{name}\t{outcome.text}")
            | beam.io.WriteToText(str(folder / "out"))
        )
    lines: list[str] = []
    for path in folder.glob("out*"):
        lines += path.read_text().splitlines()
    return sorted(lines)


def test_every_name_gets_the_answer_to_its_question(server, endpoint, tmp_path):
    got = run(questions(60, 20), endpoint(), tmp_path, processes=1)
    assert got == sorted(f"{name}\t{text}" for name, text in expected(60, 20).items())
    assert len(server.asked) == 20


@pytest.mark.slow
def test_two_worker_processes_never_ask_the_same_question(server, endpoint, tmp_path):
    server.behaviour.delay = 0.05
    got = run(questions(120, 30), endpoint(), tmp_path, processes=2)
    assert got == sorted(f"{name}\t{text}" for name, text in expected(120, 30).items())
    assert len(server.asked) == 30


def test_bundles_of_one_process_share_the_question_in_flight(server, endpoint, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    server.behaviour.delay = 0.1

    def bundle(_: int) -> dict[str, str]:
        return texts(ask_all(questions(10), endpoint(), str(tmp_path)))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(bundle, range(4))) == [expected(10)] * 4
    assert len(server.asked) == 10
    assert len(ask._CALLERS.found) == 1
