"""A partition: what a host is asked for, in one run and in the one that goes on."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

from cauldron.transforms.fetching.answers import Answers
from cauldron.transforms.fetching.entries import read_index, url_key
from cauldron.transforms.fetching.fetcher import Failed, Fetcher
from cauldron.transforms.fetching.lists import list_name, partition_of, write_list
from cauldron.transforms.fetching.network import Network
from cauldron.transforms.fetching.partition import Partition, fetch_partition
from cauldron.transforms.fetching.store import StoreWriter
from cauldron.transforms.fetching.tally import Tally

from cauldron.core.sections.fetching import FetchRules
from tests.doubles.images import ImageServer, answer, raw

RULES = FetchRules(
    give_up_after=5, per_host=2, attempts=1, allowed_hosts=("127.0.0.1",), concurrency=8
)


def listed(folder: Path, urls: list[str]) -> Answers:
    """One piece that wants these URLs, all of one host."""
    (folder / "lists").mkdir()
    write_list(str(folder / "lists" / list_name(0, 1)), urls)
    return Answers(str(folder / "lists"), 1)


def fetch(folder: Path, source: Answers, url: str) -> dict[str, int]:
    """Fetch the partition of a URL; the answers by reason."""
    number, store = partition_of(url), str(folder / "store")

    async def run() -> None:
        network = Network(RULES)
        writer = StoreWriter(store, 2)
        try:
            await fetch_partition(
                Partition(number, store, [source]),
                Fetcher(RULES, network),
                writer,
                asyncio.Semaphore(4),
                asyncio.Lock(),
                Tally(str(folder), secrets.token_hex(4)),
            )
        finally:
            writer.close()
            await network.close()

    asyncio.run(run())
    failed: dict[str, int] = source.summary()["failed"]
    return failed


def test_a_host_that_fails_is_asked_little_more_often_than_the_limit(tmp_path: Path) -> None:
    with ImageServer({f"/{n}": answer("500 Oh") for n in range(60)}) as server:
        urls = [f"http://127.0.0.1:{server.port}/{n}" for n in range(60)]
        failed = fetch(tmp_path, listed(tmp_path, urls), urls[0])
        assert len(server.log) <= RULES.give_up_after + RULES.per_host
    assert failed["host_given_up"] + failed["http_server_error"] == 60


def test_a_run_that_goes_on_gives_up_the_same_hosts(tmp_path: Path) -> None:
    """However many of a host's URLs were given up before: it was not asked for those."""
    with ImageServer() as server:
        urls = [f"http://127.0.0.1:{server.port}/{n}" for n in range(60)]
        source, writer = listed(tmp_path, urls), StoreWriter(str(tmp_path / "store"), 1)
        for place, url in enumerate(urls[:50]):
            reason = "response_timeout" if place < 5 else "host_given_up"
            writer.add(partition_of(url), url_key(url), Failed(reason, "no answer"))
        writer.close()
        failed = fetch(tmp_path, source, urls[0])
        assert failed == {"host_given_up": 55, "response_timeout": 5}
        assert not server.log


def test_what_a_server_says_may_be_any_bytes(tmp_path: Path) -> None:
    pages = {
        "/1": raw(b"HTTP/1.1 404 \xff\xfe" + b"a" * 5_000 + b"\r\nContent-Length: 0\r\n\r\n"),
        "/2": raw(b"HTTP/1.1 200 OK\r\nX-Robots-Tag: \xff, noai\r\n\r\n"),
        "/3": raw(b"HTTP/1.1 302 Found\r\nLocation: http://xn--a/\r\nContent-Length: 0\r\n\r\n"),
        "/4": raw(
            b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n"
            b"Retry-After: Mon, 01 Jan 99999999999999999999 00:00:00 GMT\r\n\r\n"
        ),
    }
    with ImageServer(pages) as server:
        urls = [f"http://127.0.0.1:{server.port}{path}" for path in pages]
        failed = fetch(tmp_path, listed(tmp_path, urls), urls[0])
    assert failed == {
        "bad_redirect": 1, "http_not_found": 1, "http_too_many_requests": 1, "noai": 1
    }  # fmt: skip
    entries = read_index(str(tmp_path / "store"), partition_of(urls[0]))
    assert max(entries["length"]) <= 600
