"""The images of one partition: which are stored, which are asked for, and their answers settled."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from cauldron.transforms.fetching.answers import Answers
from cauldron.transforms.fetching.entries import ENTRY, Entries, Entry, read_index, url_key
from cauldron.transforms.fetching.fetcher import Failed, Fetcher
from cauldron.transforms.fetching.lists import read_partition
from cauldron.transforms.fetching.network import parse, plain_host
from cauldron.transforms.fetching.store import StoreWriter
from cauldron.transforms.fetching.tally import CUT_OFF, Tally

from cauldron.core.errors import CauldronError

# Failures that are the host's fault, when they are read from the store.
_HOSTS_FAULT = frozenset(
    b"http_too_many_requests http_server_error http_protocol_error dns_failure connect_failure "
    b"connect_timeout tls_failure response_timeout body_timeout".split()
)


class Partition:
    """The URLs of a partition, over all sources that are being fetched.

    Memory: about 700 bytes for each URL, measured with URLs of 75 characters.
    """

    def __init__(self, number: int, store: str, sources: Sequence[Answers]) -> None:
        self.number = number
        self._sources = sources
        self._lists = {
            source.folder: [
                [url_key(url) for url in urls]
                for urls in read_partition(source.folder, source.pieces, number)
            ]
            for source in sources
        }
        self.entries: dict[bytes, Entry] = {}
        self._images: dict[bytes, Entry] = {}
        self._known(read_index(store, number))

    def _known(self, found: Entries) -> None:
        """Take over what stands for every source that wants it."""
        wanted: dict[bytes, list[Answers]] = {}
        for source in self._sources:
            for keys in self._lists[source.folder]:
                for key in keys:
                    wanted.setdefault(key, []).append(source)
        stands = {source.folder: source.stands(found) for source in self._sources}
        for at, entry in enumerate(found):
            digest = bytes(entry["sha256"])
            if digest:
                self._images.setdefault(digest, entry)
            key = bytes(entry["key"]).ljust(16, b"\0")
            sources = wanted.get(key)
            if sources and all(stands[source.folder][at] for source in sources):
                self.entries[key] = entry

    def plan(self) -> tuple[dict[str, list[str]], dict[str, tuple[int, int]], int]:
        """What is left to do.

        Returns:
            the URLs without an answer, by host; of the same hosts what was stored before, as
            (answers, failures of the host), without the URLs that were given up, which the host
            was not asked for; and how often any URL is wanted.
        """
        hosts: dict[str, list[str]] = {}
        stored: dict[str, list[int]] = {}
        seen: set[bytes] = set()
        wanted = 0
        for url in self._urls():
            wanted += 1
            key = url_key(url)
            if key in seen:
                continue
            seen.add(key)
            host, entry = _host_of(url), self.entries.get(key)
            if entry is None:
                hosts.setdefault(host, []).append(url)
            elif bytes(entry["reason"]) != b"host_given_up":
                counts = stored.setdefault(host, [0, 0])
                counts[0] += 1
                counts[1] += bytes(entry["reason"]) in _HOSTS_FAULT
        return hosts, {name: (n, m) for name, (n, m) in stored.items() if name in hosts}, wanted

    def _urls(self) -> Iterator[str]:
        for source in self._sources:
            for urls in read_partition(source.folder, source.pieces, self.number):
                yield from urls

    def keep(self, url: str, outcome: bytes | Failed, writer: StoreWriter) -> None:
        """Store the answer to a URL."""
        key, same, digest = url_key(url), None, b""
        if not isinstance(outcome, Failed):
            digest = hashlib.sha256(outcome).digest()
            same = self._images.get(digest.rstrip(b"\0"))
        entry = writer.add(self.number, key, outcome, digest, same)
        self.entries[key] = entry
        if digest:
            self._images.setdefault(digest.rstrip(b"\0"), entry)

    def settle(self) -> None:
        """Write the answers of every source."""
        for source in self._sources:
            keys = [key for keys in self._lists[source.folder] for key in keys]
            if keys:
                entries = np.empty(len(keys), ENTRY)
                for at, key in enumerate(keys):
                    entries[at] = self.entries[key]
                source.settle(self.number, entries)


def _host_of(url: str) -> str:
    try:
        return plain_host(parse(url).host or "")
    except ValueError:
        return ""


async def fetch_partition(
    partition: Partition,
    fetcher: Fetcher,
    writer: StoreWriter,
    busy: asyncio.Semaphore,
    uploads: asyncio.Lock,
    tally: Tally,
) -> None:
    """Ask for what is missing in a partition, keep it, and settle the answers.

    Args:
        busy: bounds the hosts that are worked on at a time, over all partitions of this process.
        uploads: held by whoever uploads answers to an object store.

    Raises:
        CauldronError: an answer cannot be stored, or nothing can be reached.
    """
    todo, stored, wanted = await asyncio.to_thread(partition.plan)
    # Held here: a host that nobody holds is forgotten.
    hosts = {name: fetcher.hosts.of(name) for name in todo}
    for name, (answers, failures) in stored.items():
        # A run that goes on gives up the same hosts.
        hosts[name].remember(answers, failures)
    tally.known(wanted - sum(map(len, todo.values())))

    async def ask(urls: Iterator[str]) -> None:
        for url in urls:
            outcome = await fetcher.fetch(url)
            partition.keep(url, outcome, writer)
            tally.add(outcome)
            if tally.is_cut_off:
                raise CauldronError(
                    f"no host of {CUT_OFF:,} URLs can be reached: is there a network, or a proxy "
                    "to name in http_proxy? Then run again with --refetch failed"
                )
            if writer.is_due and (writer.is_full or not uploads.locked()):
                async with uploads:
                    if writer.is_due:  # nobody has, meanwhile
                        await asyncio.to_thread(writer.flush)

    async def ask_host(urls: list[str]) -> None:
        left = iter(urls)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(len(urls), fetcher.rules.per_host)):
                    group.create_task(ask(left))
        finally:
            busy.release()

    async with asyncio.TaskGroup() as group:
        for urls in todo.values():
            await busy.acquire()
            group.create_task(ask_host(urls))
    await asyncio.to_thread(writer.close_partition, partition.number)
    await asyncio.to_thread(partition.settle)
