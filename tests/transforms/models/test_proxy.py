"""The proxy of the environment, between a model's server and those who ask it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cauldron.transforms.models import calls
from cauldron.transforms.models.ask import ask_all, close_callers
from cauldron.transforms.models.calls import EndpointError
from cauldron.transforms.models.endpoint import Endpoint, proxy_for

from tests.doubles.chat import ChatServer, Reply
from tests.transforms.models.conftest import MODEL, questions

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_FIRST_WAIT", 0.01)
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("url", "skipped", "expected"),
    [
        ("http://model.test/v1", "", "http://proxy:1"),
        ("https://model.test/v1", "", "http://proxy:2"),
        ("https://model.test/v1", "other.test", "http://proxy:2"),
        ("https://model.test/v1", "model.test", None),
        ("https://a.model.test:8443/v1", ".model.test", None),
        ("https://model.test/v1", "*", None),
        # A proxy cannot reach this machine under these names.
        ("http://localhost:8000", "", None),
        ("http://127.0.0.2:8000", "", None),
        ("http://[::1]:8000", "", None),
    ],
)
def test_the_proxy_is_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, url: str, skipped: str, expected: str | None
) -> None:
    assert proxy_for(url) is None
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:2")
    monkeypatch.setenv("NO_PROXY", skipped)
    assert proxy_for(url) == expected


def test_questions_go_through_the_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with ChatServer(lambda number, body: Reply("yes")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        endpoint = Endpoint("http://model.test:8000", MODEL)
        (found,) = ask_all(questions(1), endpoint, str(tmp_path))
        close_callers()
    assert found[1].text == "yes"
    assert proxy.paths == ["http://model.test:8000/v1/chat/completions"]


def test_a_proxy_that_refuses_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Other methods than POST, here CONNECT, are not known to the double: it answers 501."""
    with ChatServer(lambda number, body: Reply("yes")) as proxy:
        address = proxy.url.replace("http://", "http://me:secret@")
        monkeypatch.setenv("HTTPS_PROXY", address)
        endpoint = Endpoint("https://model.test", MODEL, attempts=1)
        with pytest.raises(EndpointError, match="the proxy of the environment answers 501") as told:
            list(ask_all(questions(1), endpoint, str(tmp_path)))
        close_callers()
    assert "secret" not in str(told.value)
