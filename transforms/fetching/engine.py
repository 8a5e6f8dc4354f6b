"""The event loop of a worker process in which everything is fetched.

All bundles of a process share one loop, one pool of connections and one record file, and close them
when the last one ends. So a process has `concurrency` requests in flight, however many threads its
runner gives it.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field

from cauldron.transforms.fetching.answers import Answers
from cauldron.transforms.fetching.fetcher import Fetcher
from cauldron.transforms.fetching.mirrors import serve
from cauldron.transforms.fetching.network import Network
from cauldron.transforms.fetching.partition import Partition, fetch_partition
from cauldron.transforms.fetching.store import StoreWriter
from cauldron.transforms.fetching.tally import Tally

from cauldron.core.sections.fetching import FetchRules

# Partitions that are worked on at a time. One ends with its slowest host, so several overlap. With
# ten million URLs in all that is 220 MB of a process, see `Partition`.
_OPEN = 8
# Partitions that a bundle takes on at a time.
AHEAD = 2 * _OPEN
# Hosts that are worked on at a time, for each request in flight: some are waiting for their turn.
_HOSTS_PER_REQUEST = 4


@dataclass(frozen=True)
class FetchJob:
    """What a worker needs to fetch.

    Attributes:
        store: the folder of the store.
        run: when the launcher started this run, in nanoseconds.
        mirrors: folders by host.
        sources: whose images are wanted.
        progress: the folder for tallies.
    """

    store: str
    run: int
    rules: FetchRules
    mirrors: Mapping[str, str]
    sources: tuple[Answers, ...]
    progress: str

    def unsettled(self, partition: int) -> list[Answers]:
        return [source for source in self.sources if partition in source.unsettled()]


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class Engine:
    """Fetches partitions in a thread of its own. Close it at the end."""

    def __init__(self, job: FetchJob) -> None:
        self._job = job
        self._writer = StoreWriter(job.store, job.run)
        self._tally = Tally(job.progress, secrets.token_hex(8))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fetch", daemon=True)
        self._thread.start()
        self._stack = AsyncExitStack()
        self._call(self._start()).result()

    def _call(self, coroutine: object) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)  # type: ignore[arg-type]

    async def _start(self) -> None:
        ports = await serve(self._job.mirrors, self._stack)
        network = Network(self._job.rules, ports)
        self._stack.push_async_callback(network.close)
        self._fetcher = Fetcher(self._job.rules, network)
        self._open = asyncio.Semaphore(_OPEN)
        self._busy = asyncio.Semaphore(_HOSTS_PER_REQUEST * self._job.rules.concurrency)
        self._uploads = asyncio.Lock()
        self._report = asyncio.create_task(self._reports())

    async def _reports(self) -> None:
        while True:
            await asyncio.sleep(self._tally.seconds)
            await asyncio.to_thread(self._tally.write, self._tally.values())

    def fetch(self, number: int) -> Future[None]:
        """Fetch the images of a partition, and settle its answers."""
        return self._call(self._fetch(number))

    async def _fetch(self, number: int) -> None:
        async with self._open:
            sources = await asyncio.to_thread(self._job.unsettled, number)
            partition = await asyncio.to_thread(Partition, number, self._job.store, sources)
            try:
                await fetch_partition(
                    partition, self._fetcher, self._writer, self._busy, self._uploads, self._tally
                )
            except BaseExceptionGroup as group:
                # Of tasks that were cancelled by the first error; that one is for the user.
                raise _first(group) from None

    def close(self) -> None:
        """Cancel what is in flight, close the files and the connections, and end the thread."""
        self._call(self._close()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._stack.aclose()
        await asyncio.to_thread(self._writer.close)
        await asyncio.to_thread(self._tally.write, self._tally.values())


@dataclass
class _Shared:
    """The engine of this process, and how many bundles use it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    engines: dict[str, tuple[Engine, int]] = field(default_factory=dict)


_SHARED = _Shared()


@contextmanager
def shared_engine(job: FetchJob) -> Iterator[Engine]:
    """The engine of this process for a job; the last one who leaves closes it."""
    name = f"{job.store} {job.run}"
    with _SHARED.lock:
        engine, users = _SHARED.engines.get(name) or (Engine(job), 0)
        _SHARED.engines[name] = engine, users + 1
    try:
        yield engine
    finally:
        with _SHARED.lock:
            engine, users = _SHARED.engines.pop(name)
            if users > 1:
                _SHARED.engines[name] = engine, users - 1
        if users == 1:
            engine.close()
