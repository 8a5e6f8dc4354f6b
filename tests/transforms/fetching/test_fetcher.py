"""One image after the other, from a server that misbehaves: the right reason for each."""

from __future__ import annotations

import asyncio
import gzip
import io
import socket
import ssl
import time
import zlib
from typing import Any

import pytest
from cauldron.transforms.fetching.fetcher import Failed, Fetcher
from cauldron.transforms.fetching.network import Network
from PIL import Image

from cauldron.core.errors import CauldronError
from cauldron.core.sections.fetching import FetchRules, FetchTimeouts
from tests.doubles.images import (
    Handler,
    ImageServer,
    answer,
    bomb,
    cut,
    dripping,
    endless,
    in_turn,
    photo,
    raw,
    redirect,
    silent,
)

FAST = FetchTimeouts(dns=1, connect=1, response=0.5, stall=0.4, body=1)
INSIDE = {
    "images.test": ["127.0.0.1"],
    "inside.test": ["127.0.0.1"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "metadata.test": ["169.254.169.254"],
    "half.test": ["10.0.0.7", "127.0.0.1"],
}


def rules(**changes: object) -> FetchRules:
    values = {"timeouts": FAST, "attempts": 1, "allowed_hosts": ("images.test",)}
    return FetchRules(**{**values, "max_bytes": 200_000, **changes})


async def lookup(host: str) -> list[str]:
    if host not in INSIDE:
        raise OSError(f"{host} is not known")
    return INSIDE[host]


def fetch_all(
    server: ImageServer, *urls: str, of: FetchRules | None = None
) -> list[bytes | Failed]:
    """The outcomes of URLs that are fetched at the same time; a path is one of the server's."""
    scheme = "https" if server._tls else "http"

    async def run() -> list[bytes | Failed]:
        network = Network(of or rules(), lookup=lookup)
        fetcher = Fetcher(of or rules(), network)
        full = [
            f"{scheme}://images.test:{server.port}{url}"
            if url.startswith("/")
            else url.format(port=server.port)
            for url in urls
        ]
        try:
            return list(await asyncio.gather(*map(fetcher.fetch, full)))
        finally:
            await network.close()

    return asyncio.run(run())


def reason_of(outcome: bytes | Failed) -> str:
    return outcome.reason if isinstance(outcome, Failed) else "none: there is an image"


def bmp(side: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (side, side)).save(buffer, "BMP")
    return buffer.getvalue()


PAGE = b"<!doctype html><html><body>No such image, sorry.</body></html>"
BAD: dict[str, tuple[Handler, str]] = {
    "gone": (answer("404 Not Found"), "http_not_found"),
    "gone for good": (answer("410 Gone"), "http_not_found"),
    "forbidden": (answer("403 Forbidden"), "http_forbidden"),
    "a teapot": (answer("418 I'm a teapot"), "http_client_error"),
    "no content": (answer("204 No Content"), "http_unexpected"),
    "not modified": (answer("304 Not Modified"), "http_unexpected"),
    "busy": (answer("429 Too Many Requests"), "http_too_many_requests"),
    "broken": (answer("500 Internal Server Error"), "http_server_error"),
    "no HTTP": (raw(b"SSH-2.0-OpenSSH_9.9\r\n"), "http_protocol_error"),
    "hangs up": (raw(b""), "http_protocol_error"),
    "silent": (silent(), "response_timeout"),
    "slow drip": (dripping([photo(1)[:20]] + [b"\0"] * 99, 0.1), "body_timeout"),
    "stalls": (dripping([photo(1)[:20], b"\0"], 3), "body_timeout"),
    "endless": (endless(), "body_too_large"),
    "announces too much": (answer("200 OK", photo(1) + b"\0" * 300_000), "body_too_large"),
    "cut": (cut(), "incomplete_body"),
    "gzip bomb": (bomb(300_000_000), "body_too_large"),
    "half a gzip": (
        answer("200 OK", gzip.compress(photo(1))[:-20], "Content-Encoding: gzip"),
        "incomplete_body",
    ),
    "no gzip": (answer("200 OK", photo(1), "Content-Encoding: gzip"), "bad_encoding"),
    "brotli": (answer("200 OK", b"abc", "Content-Encoding: br"), "bad_encoding"),
    "HTML": (answer("200 OK", PAGE, "Content-Type: image/jpeg"), "not_an_image"),
    "empty": (answer("200 OK"), "empty_body"),
    "too many pixels": (answer("200 OK", bmp(1200)), "image_too_large"),
    "noai": (answer("200 OK", photo(1), "X-Robots-Tag: noai"), "noai"),
    "noimageai": (
        answer("200 OK", photo(1), "X-Robots-Tag: noindex, NoImageAI"),
        "noai",
    ),
    "a circle": (redirect("/a circle".replace(" ", "%20")), "too_many_redirects"),
    "to nowhere": (answer("302 Found"), "bad_redirect"),
    "to a file": (redirect("file:///etc/passwd"), "bad_redirect"),
    "to this machine": (redirect("http://127.0.0.1:{port}/1"), "address_refused"),
    "to it in IPv6": (redirect("http://[::1]:{port}/1"), "address_refused"),
    "to it, mapped": (redirect("http://[::ffff:127.0.0.1]:{port}/1"), "address_refused"),
    "to it in octal": (redirect("http://0177.0.0.1:{port}/1"), "address_refused"),
    "to it in hexadecimal": (redirect("http://0x7f.1:{port}/1"), "address_refused"),
    "to it as a number": (redirect("http://2130706433:{port}/1"), "address_refused"),
    "to a web socket": (redirect("ws://images.test:{port}/1"), "bad_redirect"),
    "to a name of it": (redirect("http://inside.test:{port}/1"), "address_refused"),
    "to a mapped name": (redirect("http://mapped.test:{port}/1"), "address_refused"),
    "to the metadata": (redirect("http://169.254.169.254/latest/meta-data"), "address_refused"),
    "to its name": (redirect("http://metadata.test/latest"), "address_refused"),
    "to private ones only": (redirect("http://half.test:{port}/1"), "address_refused"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_a_server_does_wrong_is_a_reason(name):
    handler, reason = BAD[name]
    path = "/" + name.replace(" ", "%20")
    with ImageServer({path: handler}) as server:
        bad, good = fetch_all(server, path, "/7", of=rules(max_pixels=1_000_000))
    assert reason_of(bad) == reason
    assert good == photo(7)


def test_nothing_inside_is_ever_asked():
    """The redirects above end at a server that listens at their very address."""
    inward = {f"/{n}": BAD[name][0] for n, name in enumerate(BAD) if name.startswith("to ")}
    with ImageServer(inward) as server:
        assert all(isinstance(item, Failed) for item in fetch_all(server, *inward))
        assert {line.path for line in server.log} == set(inward)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:{port}/1", "address_refused"),
        ("http://[::1]:{port}/1", "address_refused"),
        ("http://inside.test:{port}/1", "address_refused"),
        ("http://unknown.test/1", "dns_failure"),
        ("http://images.test:1/1", "connect_failure"),
        # What is no address of the web is not asked three times, and is no fault of a host.
        ("ftp://images.test/1", "bad_url"),
        ("ws://images.test:{port}/1", "bad_url"),
        ("data:image/png;base64,AAAA", "bad_url"),
        ("http://images.test:{port}/1\x7f", "bad_url"),
    ],
)
def test_an_address_that_cannot_be_asked_is_a_reason(url, reason):
    with ImageServer() as server:
        (outcome,) = fetch_all(server, url)
        assert reason_of(outcome) == reason
        assert not server.log
        assert isinstance(outcome, Failed)
        assert outcome.is_hosts == (reason in ("dns_failure", "connect_failure"))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://inside.test/1", "inside.test is at 127.0.0.1, not a public address"),
        ("http://unknown.test/1", "unknown.test is not known"),
        ("http://images.test:1/1", "Connect call failed"),
    ],
)
def test_the_message_says_what_happened_and_not_only_that_there_was_no_connection(url, words):
    with ImageServer() as server:
        (outcome,) = fetch_all(server, url)
    assert isinstance(outcome, Failed)
    assert words in outcome.message


def test_a_name_that_moves_inside_after_the_check_leads_nowhere():
    """A second resolution would get the address of this machine."""
    answers = iter([["93.184.216.34"], ["127.0.0.1"], ["127.0.0.1"]])

    async def moving(host: str) -> list[str]:
        return next(answers)

    async def run(port: int) -> bytes | Failed:
        network = Network(rules(timeouts=FAST.model_copy(update={"connect": 0.3})), lookup=moving)
        try:
            return await Fetcher(rules(), network).fetch(f"http://rebinding.test:{port}/1")
        finally:
            await network.close()

    with ImageServer() as server:
        outcome = asyncio.run(run(server.port))
        assert reason_of(outcome) in ("connect_timeout", "connect_failure")
        assert not server.log


def test_an_allowed_host_does_not_open_its_address_to_others():
    with ImageServer({"/1": redirect("http://127.0.0.1:{port}/2")}) as server:
        good, bad = fetch_all(server, "/3", "/1")
        assert good == photo(3)
        assert reason_of(bad) == "address_refused"
        assert fetch_all(server, "/1", of=rules(allowed_hosts=("images.test", "127.0.0.1"))) == [
            photo(2)
        ]


def test_redirects_are_followed_up_to_a_limit():
    pages = {f"/hop/{n}": redirect(f"/hop/{n + 1}", "308 Moved") for n in range(5)}
    with ImageServer(pages) as server:
        assert fetch_all(server, "/hop/0", of=rules(redirects=5)) == [photo(5)]
        (bad,) = fetch_all(server, "/hop/0", of=rules(redirects=4))
        assert reason_of(bad) == "too_many_redirects"


def test_a_certificate_that_nobody_trusts_is_a_reason(certificate):
    with ImageServer(tls=certificate) as server:
        (bad,) = fetch_all(server, "/1")
        assert reason_of(bad) == "tls_failure"
        assert not server.log


def test_compressed_images_are_unpacked():
    plain = zlib.compressobj(wbits=15)
    pages = {
        "/a": answer("200 OK", gzip.compress(photo(1)), "Content-Encoding: gzip"),
        "/b": answer(
            "200 OK", plain.compress(photo(2)) + plain.flush(), "Content-Encoding: deflate"
        ),
    }
    with ImageServer(pages) as server:
        assert fetch_all(server, "/a", "/b") == [photo(1), photo(2)]


@pytest.mark.parametrize(
    ("mark", "is_taken"),
    [
        ("otherbot: noai", True),
        ("cauldron-vlm: noai", False),
        ("otherbot: noindex, noai", True),
        ("unavailable_after: 25 Jun 2010, noai", False),
        ("max-image-preview: large", True),
        ("noindex", True),
    ],
)
def test_robots_are_told_apart(mark, is_taken):
    with ImageServer({"/a": answer("200 OK", photo(1), f"X-Robots-Tag: {mark}")}) as server:
        (outcome,) = fetch_all(server, "/a")
        assert (outcome == photo(1)) is is_taken
        assert fetch_all(server, "/a", of=rules(noai=False)) == [photo(1)]


def test_a_busy_server_is_asked_again_when_it_says():
    busy = answer("429 Too Many Requests", b"", "Retry-After: 1")
    with ImageServer({"/a": in_turn(busy, answer("200 OK", photo(1)))}) as server:
        start = time.monotonic()
        # The other image of the host waits too.
        assert fetch_all(server, "/a", of=rules(attempts=2)) == [photo(1)]
        assert time.monotonic() - start >= 1
        assert server.asked("/a") == 2


def test_a_long_wait_is_cut():
    busy = answer("503 Service Unavailable", b"", "Retry-After: 3600")
    with ImageServer({"/a": in_turn(busy, answer("200 OK", photo(1)))}) as server:
        start = time.monotonic()
        assert fetch_all(server, "/a", of=rules(attempts=2, longest_wait=0.2)) == [photo(1)]
        assert time.monotonic() - start < 5


def test_a_busy_host_that_others_redirect_to_is_left_alone_as_well():
    pages = {
        "/a": redirect("http://other.test:{port}/1"),
        "/b": redirect("http://other.test:{port}/2"),
        "/1": answer("429 Too Many Requests", b"", "Retry-After: 1"),
    }
    allowed = rules(allowed_hosts=("images.test", "other.test"))

    async def at_home(host: str) -> list[str]:
        return ["127.0.0.1"]

    async def run(port: int) -> tuple[bytes | Failed, float]:
        network = Network(allowed, lookup=at_home)
        fetcher = Fetcher(allowed, network)
        try:
            await fetcher.fetch(f"http://images.test:{port}/a")
            start = time.monotonic()
            second = await fetcher.fetch(f"http://images.test:{port}/b")
            return second, time.monotonic() - start
        finally:
            await network.close()

    with ImageServer(pages) as server:
        outcome, seconds = asyncio.run(run(server.port))
    assert outcome == photo(2)
    assert seconds > 0.8


def test_names_that_are_looked_up_for_long_do_not_keep_others_from_being_looked_up(monkeypatch):
    look = socket.getaddrinfo

    def slow_when_dead(host: Any, *rest: Any, **more: Any) -> Any:
        if str(host).startswith("dead"):
            time.sleep(1.5)
            raise socket.gaierror(socket.EAI_AGAIN, "no server answers")
        return look("127.0.0.1" if host == "images.test" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow_when_dead)
    of = rules(timeouts=FAST.model_copy(update={"dns": 0.5, "response": 30}), concurrency=200)

    async def run(port: int) -> bytes | Failed:
        network = Network(of)
        fetcher = Fetcher(of, network)
        dead = [asyncio.create_task(fetcher.fetch(f"http://dead{n}.test/1")) for n in range(100)]
        try:
            await asyncio.sleep(0.2)
            live = await fetcher.fetch(f"http://images.test:{port}/1")
            assert {reason_of(item) for item in await asyncio.gather(*dead)} == {"dns_failure"}
            return live
        finally:
            await network.close()

    with ImageServer() as server:
        assert asyncio.run(run(server.port)) == photo(1)


def test_what_is_the_images_fault_is_not_asked_again():
    with ImageServer({"/a": answer("404 Not Found")}) as server:
        fetch_all(server, "/a", of=rules(attempts=5))
        assert server.asked("/a") == 1


def test_a_host_gets_so_many_requests_at_a_time():
    with ImageServer(delay=0.05) as server:
        outcomes = fetch_all(server, *(f"/{n}" for n in range(20)), of=rules(per_host=3))
        assert outcomes == [photo(n) for n in range(20)]
        assert server.most == 3


def test_requests_to_a_host_begin_one_after_the_other():
    with ImageServer() as server:
        start = time.monotonic()
        fetch_all(server, *(f"/{n}" for n in range(6)), of=rules(delay=0.1))
        assert 0.5 <= time.monotonic() - start < 3


def test_a_host_that_only_fails_is_given_up_and_one_that_works_is_not():
    with ImageServer({f"/bad/{n}": answer("500 Oh") for n in range(40)}) as server:
        urls = [f"/bad/{n}" for n in range(40)]
        outcomes = fetch_all(server, *urls, of=rules(give_up_after=5, per_host=1, concurrency=1))
        reasons = [item.reason for item in outcomes if isinstance(item, Failed)]
        assert len(reasons) == 40
        # Those that were waiting for their turn still ask; test_partition.py bounds them.
        assert set(reasons) <= {"http_server_error", "host_given_up"}


def test_the_agent_is_the_recipes():
    with ImageServer() as server:
        fetch_all(server, "/1", of=rules(user_agent="our-robot/1.0 (+https://example.com)"))
        assert server.log[0].agent == "our-robot/1.0 (+https://example.com)"
        assert server.log[0].host == f"images.test:{server.port}"


def test_an_url_is_sent_as_it_is_published():
    path = "/5%2Fa?sig=a%2Bb+c%3D&x=(1)"
    with ImageServer() as server:
        fetch_all(server, path)
        assert server.log[0].path == path


def test_a_proxy_of_the_environment_is_used_and_asks_names_itself(monkeypatch):
    with ImageServer() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "images.test")
        outcome, inside, direct = fetch_all(proxy, "http://far.test/9", "http://10.0.0.1/9", "/8")
        assert [outcome, direct] == [photo(9), photo(8)]
        assert reason_of(inside) == "address_refused"
        assert {line.path for line in proxy.log} == {"http://far.test/9", "/8"}


@pytest.mark.parametrize(
    "host", ["0x7f.1", "2130706433", "[fec0::1]", "localhost", "metadata.google.internal", "router"]
)
def test_a_proxy_is_not_asked_for_what_is_inside_its_network(monkeypatch, host):
    with ImageServer() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        (outcome,) = fetch_all(proxy, f"http://{host}/9")
        assert reason_of(outcome) == "address_refused"
        assert not proxy.log
        allowed = host.strip("[]")
        (outcome,) = fetch_all(proxy, f"http://{host}/9", of=rules(allowed_hosts=(allowed,)))
        assert isinstance(outcome, bytes)
        assert len(proxy.log) == 1


def test_an_exception_from_the_proxy_is_known_with_a_password_in_the_url(monkeypatch):
    with ImageServer() as server:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("no_proxy", "images.test")
        assert fetch_all(server, "http://user:word@images.test:{port}/1") == [photo(1)]


def test_a_proxy_of_another_kind_is_said_once_and_not_for_every_image(monkeypatch):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1080")
    with ImageServer() as server, pytest.raises(CauldronError, match=r"all_proxy .*socks5://"):
        fetch_all(server, "/1")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> ssl.SSLContext:
    """A certificate that signs itself."""
    import subprocess

    folder = tmp_path_factory.mktemp("tls")
    key, file = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=images.test", "-keyout", str(key), "-out", str(file)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return context
