"""Questions: their keys, their requests, and what is an answer."""

from __future__ import annotations

import base64
import hashlib
import json
import pickle

import pytest
from cauldron.transforms.models.endpoint import Endpoint
from cauldron.transforms.models.questions import Answer, Message, Picture, Question, parse_answer

from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.sections.models import ModelRules
from cauldron.core.stores.ranges import Range
from tests.doubles.secrets import FakeSecrets

MODEL = ModelRules(name="m")
PNG = b"not really a PNG"


def picture(place: bytes | Range = PNG) -> Picture:
    return Picture(hashlib.sha256(PNG).hexdigest(), "image/png", place)


def ask(text: str, *pictures: Picture, name: str = "") -> Question:
    return Question(name, (Message("user", (*pictures, text)),))


def test_equal_questions_have_one_key_whatever_they_are_for():
    assert ask("a", name="x").key(MODEL) == ask("a", name="y").key(MODEL)


@pytest.mark.parametrize(
    "other",
    [{"name": "n"}, {"revision": "2"}, {"seed": 1}, {"max_tokens": 9}, {"extra": {"top_p": 0.5}}],
)
def test_everything_that_may_change_the_answer_changes_the_key(other):
    assert ask("a").key(MODEL) != ask("a").key(ModelRules(**({"name": "m"} | other)))


def test_role_text_and_pictures_change_the_key():
    other = Question("", (Message("system", ("a",)),))
    keys = {q.key(MODEL) for q in (ask("a"), ask("b"), ask("a", picture()), other)}
    assert len(keys) == 4


def test_a_picture_has_the_same_key_by_its_bytes_and_by_its_place(tmp_path):
    path = tmp_path / "pack"
    path.write_bytes(b"xx" + PNG)
    there = ask("a", picture(Range(str(path), 2, len(PNG))))
    assert there.key(MODEL) == ask("a", picture()).key(MODEL)
    assert there.body(MODEL) == ask("a", picture()).body(MODEL)


def test_a_picture_is_sent_as_a_data_url_before_the_text():
    content = json.loads(ask("a", picture()).body(MODEL))["messages"][0]["content"]
    kind, _, data = content[0]["image_url"]["url"].partition(",")
    assert (kind, base64.b64decode(data)) == ("data:image/png;base64", PNG)
    assert content[1] == {"type": "text", "text": "a"}


def test_texts_and_pictures_are_sent_in_their_order():
    message = Message("user", ("a", picture(), "b", picture(), "c"))
    kinds = [part["type"] for part in message.to_json()["content"]]
    assert kinds == ["text", "image_url", "text", "image_url", "text"]
    swapped = Message("user", (picture(), "a", "b", picture(), "c"))
    digest = Message("user", ("a", picture().sha256, "b", picture().sha256, "c"))
    assert len({Question("", (said,)).key(MODEL) for said in (message, swapped, digest)}) == 3


def test_a_request_holds_the_parameters_and_does_not_stream():
    body = json.loads(ask("a").body(ModelRules(name="m", seed=7, extra={"top_p": 0.5})))
    assert (body["model"], body["seed"], body["top_p"]) == ("m", 7, 0.5)
    assert body["stream"] is False
    assert body["messages"] == [{"role": "user", "content": "a"}]


def test_extra_fields_replace_and_remove():
    model = ModelRules(name="m", extra={"max_tokens": None, "max_completion_tokens": 9})
    body = json.loads(ask("a").body(model))
    assert "max_tokens" not in body
    assert body["max_completion_tokens"] == 9
    for field in ("model", "messages", "stream", "n"):
        with pytest.raises(ValueError, match=f"{field} cannot be set here"):
            ModelRules(name="m", extra={field: 1})


def completion(**message: object) -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": "length"}]}).encode()


def test_an_answer_without_usage_has_no_token_counts():
    assert parse_answer(completion(content="a")) == Answer("a", "length", None, None)


def test_a_null_answer_is_an_empty_one():
    assert parse_answer(completion(content=None)).text == ""


def test_an_answer_that_is_cut_within_an_emoji_can_be_written_to_files():
    whole, half = parse_answer(completion(content="a\U0001f600")), completion(content="a\ud83d")
    assert whole.text == "a\U0001f600"
    assert parse_answer(half).text == "a\ufffd"


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"{}", b'{"choices": []}', b"\xff", b"[" * 100_000),
        *(completion(content=7), completion()),
    ],
)
def test_anything_else_is_not_an_answer(body):
    with pytest.raises(ValueError, match="not a chat completion"):
        parse_answer(body)


@pytest.mark.parametrize(
    ("url", "called"),
    [
        ("http://h:8000", "http://h:8000/v1/chat/completions"),
        ("http://h:8000/v1/", "http://h:8000/v1/chat/completions"),
        ("https://h/api/openai", "https://h/api/openai/chat/completions"),
        ("https://h/v1/chat/completions", "https://h/v1/chat/completions"),
        ("https://h/d/name?api-version=1", "https://h/d/name/chat/completions?api-version=1"),
        ("https://h/chat/completions?v=1", "https://h/chat/completions?v=1"),
    ],
)
def test_the_address_of_a_server_or_of_its_api_will_do(url, called):
    assert Endpoint(url, MODEL).chat_url == called


def test_an_address_with_a_password_is_refused_without_repeating_it():
    with pytest.raises(UsageError) as refused:
        Endpoint("https://me:hunter2@host/v1", MODEL)
    assert "hunter2" not in str(refused.value)


def test_an_endpoint_holds_no_key(monkeypatch):
    monkeypatch.setenv("MODEL_KEY", "sk-1234")
    endpoint = Endpoint("http://h", MODEL, key_from="MODEL_KEY")
    assert endpoint.read_key() == "sk-1234"
    assert b"sk-1234" not in pickle.dumps(endpoint)
    assert "sk-1234" not in repr(endpoint)


def test_a_missing_key_is_named(monkeypatch):
    monkeypatch.delenv("MODEL_KEY", raising=False)
    with pytest.raises(CauldronError, match="set the environment variable MODEL_KEY"):
        Endpoint("http://h", MODEL, key_from="MODEL_KEY").read_key()


def test_a_key_comes_from_secret_manager(monkeypatch):
    name = "projects/p/secrets/s/versions/1"
    with FakeSecrets({name: "sk-5678\n"}) as secrets:
        secrets.use(monkeypatch)
        assert Endpoint("http://h", MODEL, key_from=name).read_key() == "sk-5678"
