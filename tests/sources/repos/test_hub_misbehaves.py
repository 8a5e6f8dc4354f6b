"""A hub that misbehaves: every case ends in one line that names the address, within two minutes."""

from __future__ import annotations

import json
import logging
import pickle
import socket
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cauldron.sources.repos.roots import open_root
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils import http_backoff
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from cauldron.core.errors import CauldronError, SourceUnavailable, UsageError
from cauldron.core.hub import calls as hub_calls
from cauldron.core.hub import client as hub_client
from cauldron.core.hub.calls import FIRST_CONTACT
from cauldron.core.hub.client import DEFAULT_PATIENCE, PATIENCE
from cauldron.core.hub.errors import Stumble
from cauldron.core.tokenizer import open_tokenizer
from tests.doubles.hub import FakeHub
from tests.doubles.web import Request, Response

REPO = "org/name"
PAGE = {"Content-Type": "application/json"}


class BadHub(FakeHub):
    """Answers requests whose path contains `at` with what the test says, a function of it."""

    at = "/nowhere/"

    def say(self, _: Request) -> Response:
        raise NotImplementedError

    def answer(self, request: Request) -> Response:
        return self.say(request) if self.at in request.path else super().answer(request)


class Clock:
    """Waiting takes no time but moves the clock."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    def monotonic(self) -> float:
        return time.monotonic() + sum(self.waited)

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BadHub]:
    folder = tmp_path / "hub" / REPO
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("about")
    (folder / "data.parquet").write_bytes(bytes(100_000))
    with BadHub(tmp_path / "hub") as double:
        double.use(monkeypatch, token="hf_secret")
        yield double


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    both = types.SimpleNamespace(monotonic=made.monotonic, sleep=made.sleep)
    for module in (hub_calls, hub_client):
        monkeypatch.setattr(module, "time", both)
    return made


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two settings of the time limits, small."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.15)
    monkeypatch.setenv(PATIENCE, "0.3")


def line(url: str, path: str | None = None) -> str:
    """The error of opening a repository, listing it, or reading one of its files."""

    def use() -> None:
        repo = open_root(None).repo(REPO)
        if path is None:
            repo.list()
        else:
            repo.open(path).read(10_000)

    with pytest.raises(CauldronError) as caught:
        use()
    message = str(caught.value)
    assert "\n" not in message
    assert url in message
    assert "hf_secret" not in message
    return message


def listing(*entries: Any, link: str | None = None) -> Response:
    headers = PAGE if link is None else PAGE | {"Link": f'<{link}>; rel="next"'}
    return Response(200, json.dumps(entries).encode(), headers)


def entry(**changes: Any) -> dict[str, Any]:
    return {"type": "file", "path": "a", "size": 1, "oid": "0" * 40} | changes


def test_a_next_link_that_repeats(hub: BadHub) -> None:
    hub.at = "/tree/"
    hub.say = lambda request: listing(link=f"{hub.url}{request.path}?cursor=1")  # type: ignore[method-assign]
    assert "back to an earlier one" in line(f"{hub.url}/api/datasets/{REPO}/tree/")
    assert len(hub.asked("/tree/")) == 2


@pytest.mark.parametrize("cut", ["MOST_PAGES", "DEFAULT_PATIENCE"])
def test_pages_without_end(hub: BadHub, monkeypatch: pytest.MonkeyPatch, cut: str) -> None:
    def page(request: Request) -> Response:
        number = int(request.query.get("cursor", 0)) + 1
        return listing(entry(path=f"{number}"), link=f"{hub.url}{request.path}?cursor={number}")

    monkeypatch.setattr(hub_client, cut, 20 if cut == "MOST_PAGES" else 0.2)
    hub.at, hub.say = "/tree/", page  # type: ignore[method-assign]
    message = line(f"{hub.url}/api/datasets/{REPO}/tree/")
    assert "a list without end" in message
    assert PATIENCE in message


def test_a_file_that_is_listed_twice(hub: BadHub) -> None:
    hub.at = "/tree/"
    hub.say = lambda _: listing(entry(), entry())  # type: ignore[method-assign]
    assert "'a' is listed twice" in line(f"{hub.url}/api/datasets/{REPO}/tree/")


@pytest.mark.parametrize("asks", [100_000, 10**30, 200])
def test_a_longer_wait_than_allowed_is_not_begun(hub: BadHub, clock: Clock, asks: int) -> None:
    hub.fail(429, times=99, retry_after=asks)
    message = line(f"{hub.url}/api/datasets/{REPO}")
    assert "answers 429 and asks to wait" in message
    assert PATIENCE in message
    assert not clock.waited


def test_a_wait_is_said_before_it_begins(
    hub: BadHub, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    hub.fail(503, times=1, retry_after=60)
    assert open_root(None).repo(REPO).commit
    assert clock.waited == [60.0]
    (said,) = (entry.getMessage() for entry in caplog.records)
    assert said.endswith("answers 503: waiting 60 s, as the hub asks, 1 of 5")
    assert hub.url in said


def test_a_used_up_quota_is_waited_for_once(hub: BadHub, clock: Clock) -> None:
    window = {"RateLimit": '"api";r=0;t=290', "RateLimit-Policy": '"api";q=500;w=300'}
    hub.fail(429, headers=window)
    assert open_root(None).repo(REPO).commit
    assert clock.waited == [290.0]
    hub.fail(429, times=99, headers=window)
    assert "asks to wait 290 s" in line(hub.url)
    assert clock.waited == [290.0, 290.0]


def test_all_repositories_share_the_patience_of_one(hub: BadHub, clock: Clock) -> None:
    hub.fail(503, times=999)
    for _ in range(20):
        assert "answers 503" in line(f"{hub.url}/api/datasets/{REPO}")
    assert sum(clock.waited) <= DEFAULT_PATIENCE


def test_an_answer_of_the_hub_restores_patience(hub: BadHub, clock: Clock) -> None:
    for _ in range(9):
        hub.fail(503, times=5)
        assert open_root(None).repo(REPO).commit
    assert sum(clock.waited) == 9 * 31


def test_patience_that_is_no_number(hub: BadHub, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("long", "-1", "inf"):
        monkeypatch.setenv(PATIENCE, text)
        with pytest.raises(UsageError, match=f"{PATIENCE}={text}"):
            open_root(None).repo(REPO)


@pytest.mark.parametrize("path", ["/api/", "/resolve/"])
def test_redirects_in_a_circle(hub: BadHub, path: str) -> None:
    def onward(request: Request) -> Response:
        return Response(302, b"", {"Location": f"{hub.url}{request.path}"})

    hub.at, hub.say = path, onward  # type: ignore[method-assign]
    assert "redirects in a circle" in line(hub.url, "README.md")


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher:x", "http://x:port/"]
)
@pytest.mark.parametrize("path", ["/api/", "/resolve/"])
def test_redirects_to_an_address_of_another_kind(hub: BadHub, path: str, target: str) -> None:
    hub.at = path
    hub.say = lambda _: Response(302, b"", {"Location": target})  # type: ignore[method-assign]
    assert f"redirects to {target!r}" in line(hub.url, "README.md")


@pytest.mark.parametrize(
    "body", [b"<html>log in</html>", b"", b"\xff\xfe", b'{"sha": "c', b"[" * 9]
)
@pytest.mark.parametrize("path", ["/api/datasets/org/name", "/tree/", "/paths-info/"])
def test_no_json(hub: BadHub, path: str, body: bytes) -> None:
    hub.at = path
    hub.say = lambda _: Response(200, body, {"Content-Type": "text/html"})  # type: ignore[method-assign]
    wanted = "README.md" if path == "/paths-info/" else None
    assert "is not the hub's answer" in line(f"{hub.url}/api/datasets/{REPO}", wanted)


@pytest.mark.parametrize(
    "value",
    [None, 3, [], "text", {}, {"id": REPO, "sha": None}, {"id": REPO, "sha": 5}, {"sha": "../x"}],
)
def test_a_repository_that_is_malformed(hub: BadHub, value: Any) -> None:
    hub.at = "/api/datasets/org/name"
    hub.say = lambda _: Response(200, json.dumps(value).encode(), PAGE)  # type: ignore[method-assign]
    assert "is not the hub's answer" in line(f"{hub.url}/api/datasets/{REPO}")


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "text",
        {"type": "file", "path": "a"},
        {"type": "file", "size": 1, "oid": "0"},
        entry(path="../a"),
        entry(path="/etc/passwd"),
        entry(path="a/../../b"),
        entry(path="C:\\a"),
        entry(path=["a"]),
        entry(path=None),
        entry(size="1"),
        entry(size=-1),
        entry(size=True),
        entry(size=1.5),
        entry(oid=None),
        entry(lfs=[]),
        entry(lfs={"size": 1, "oid": 5, "pointerSize": 1}),
    ],
)
def test_an_entry_that_is_malformed(hub: BadHub, value: Any) -> None:
    hub.at = "/tree/"
    hub.say = lambda _: listing(value)  # type: ignore[method-assign]
    assert "is not the hub's answer" in line(f"{hub.url}/api/datasets/{REPO}/tree/")


@pytest.mark.parametrize("fault", ["cut", "shorten"])
def test_a_body_that_is_always_cut(hub: BadHub, clock: Clock, fault: str) -> None:
    getattr(hub, fault)("/cdn/", times=99)
    assert "check the network" in line("data.parquet", "data.parquet")
    assert sum(clock.waited) <= DEFAULT_PATIENCE


def test_a_listing_that_is_cut_is_asked_for_again(hub: BadHub, clock: Clock) -> None:
    hub.cut("/tree/", times=2)
    assert len(open_root(None).repo(REPO).list()) == 2


def test_a_whole_file_where_a_range_was_asked_for_is_not_read_to_its_end(
    hub: BadHub, clock: Clock
) -> None:
    hub.ignore_range("/cdn/", times=99)
    repo = open_root(None).repo(REPO)
    file = repo.open("data.parquet")
    file.seek(50_000)
    with pytest.raises(CauldronError, match=r"more than the 65,536 bytes asked for"):
        file.read(10)


class RawServer:
    """Accepts connections and sends a few bytes at a time, or none, for as long as it is asked."""

    def __init__(self, first: bytes, drip: bytes) -> None:
        self._first, self._drip = first, drip
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._closed = threading.Event()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.recv(65536)
            connection.sendall(self._first)
            while not self._closed.wait(0.02):
                try:
                    connection.sendall(self._drip)
                except OSError:
                    return

    def close(self) -> None:
        self._closed.set()
        self._socket.close()


HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("first", "drip", "why"),
    [
        (b"", b"", "does not answer (ReadTimeout)"),
        (HEADERS + b"Content-Length: 100000\r\n\r\n", b" ", "sends less than 1000 bytes a second"),
        (HEADERS + b"\r\n", b" ", "sends less than 1000 bytes a second"),
        (HEADERS + b"Content-Length: 100000\r\n\r\n", b"", "does not answer (ReadTimeout)"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", b"", "does not answer (RemoteProtocolError"),
    ],
)
def test_a_server_that_never_finishes(
    hub: BadHub,
    hurried: None,
    monkeypatch: pytest.MonkeyPatch,
    first: bytes,
    drip: bytes,
    why: str,
) -> None:
    server = RawServer(first, drip)
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    try:
        assert why in line(server.url)
    finally:
        server.close()


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://no-such-host.invalid"])
def test_no_network_is_given_up_soon_and_is_no_fault_of_one_repository(
    hub: BadHub, clock: Clock, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(CauldronError, match="HF_ENDPOINT") as caught:
        open_root(None).repo(REPO)
    assert not isinstance(caught.value, SourceUnavailable)
    assert str(caught.value).startswith(f"{address}/api/datasets/{REPO} does not answer")
    assert sum(clock.waited) <= FIRST_CONTACT


def test_a_network_that_was_there_is_waited_for(
    hub: BadHub, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = open_root(None)
    root.repo(REPO)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CauldronError, match="does not answer"):
        open_root(None).repo(REPO)
    assert sum(clock.waited) == 31


def test_other_users_of_the_library_give_up_soon_and_use_their_cache(
    hub: BadHub, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("time.sleep", clock.sleep)
    hub_calls.use_client()
    for _ in range(3):
        with pytest.raises(OfflineModeIsEnabled, match=r"^http://127\.0\.0\.1:9/a does not answer"):
            http_backoff("GET", "http://127.0.0.1:9/a")
    assert sum(clock.waited) <= FIRST_CONTACT
    with pytest.raises(LocalEntryNotFoundError):
        hf_hub_download(REPO, "a", endpoint="http://127.0.0.1:9", cache_dir=tmp_path / "cache")


def test_a_next_link_to_another_host_does_not_get_the_token(hub: BadHub, tmp_path: Path) -> None:
    with BadHub(tmp_path / "hub") as other:
        other.at = "/tree/"
        other.say = lambda _: listing(entry())  # type: ignore[method-assign]
        hub.at = "/tree/"
        hub.say = lambda _: listing(link=f"{other.url}/tree/2")  # type: ignore[method-assign]
        assert [file.path for file in open_root(None).repo(REPO).list()] == ["a"]
        assert {request.token for request in hub.asked("/tree/")} == {"hf_secret"}
        assert {request.token for request in other.log} == {None}


def test_a_redirect_to_another_host_does_not_get_the_token(hub: BadHub, tmp_path: Path) -> None:
    with BadHub(tmp_path / "hub") as other:
        hub.at = "/api/"
        hub.say = lambda request: Response(302, b"", {"Location": f"{other.url}{request.path}"})  # type: ignore[method-assign]
        assert open_root(None).repo(REPO).commit
        assert {request.token for request in other.log} == {None}


def test_signed_addresses_and_tokens_are_not_logged(
    hub: BadHub, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hub.at = "/resolve/"
    hub.say = lambda _: Response(302, b"", {"Location": f"{hub.url}/gone?sig=hush"})  # type: ignore[method-assign]
    hub.fail(503, "/gone", times=99)
    assert "hush" not in line(hub.url, "README.md")
    ours = [entry.getMessage() for entry in caplog.records if entry.name.startswith("cauldron")]
    assert ours
    assert not any("hush" in text or "hf_secret" in text for text in ours)


@pytest.mark.parametrize("fault", ["html", "circle", "long wait", "drip", "down"])
def test_a_tokenizer_from_such_a_hub(
    hub: BadHub,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    fault: str,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    hub.at = ""
    answers = {
        "html": Response(200, b"<html>", {"ETag": '"x"', "X-Repo-Commit": "0" * 40}),
        "circle": Response(302, b"", {"Location": "/org/name/resolve/main/tokenizer.json"}),
        "long wait": Response(429, b"", {"Retry-After": "100000"}),
        "down": Response(503, b""),
    }
    server = RawServer(b"", b"")
    if fault == "drip":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.1)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT", 0.1)
        monkeypatch.setenv("HF_ENDPOINT", server.url)
    else:
        hub.say = lambda _: answers[fault]  # type: ignore[method-assign]
    with pytest.raises(UsageError, match="tokenizer org/name") as caught:
        open_tokenizer(REPO)
    server.close()
    message = str(caught.value)
    assert "\n" not in message
    assert fault == "html" or f"/{REPO}/resolve/main/tokenizer.json" in message
    assert sum(clock.waited) <= DEFAULT_PATIENCE


def test_a_tokenizer_that_was_fetched_before_needs_no_hub(
    hub: BadHub, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    content = Tokenizer(WordLevel({"a": 0}, unk_token="a")).to_str().encode()
    hub.at = ""
    hub.say = lambda _: Response(200, content, {"ETag": '"x"', "X-Repo-Commit": "0" * 40})  # type: ignore[method-assign]
    assert open_tokenizer(REPO).get_vocab_size() == 1
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert open_tokenizer(REPO).get_vocab_size() == 1


def test_errors_cross_to_the_parent_of_a_worker() -> None:
    error = Stumble("http://hub/x", "answers 503", "run again", 503)
    assert str(pickle.loads(pickle.dumps(error))) == "http://hub/x answers 503; run again"
