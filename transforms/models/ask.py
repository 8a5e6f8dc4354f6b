"""Ask a model many questions at once, from inside a Beam bundle.

Each worker process has one caller for an endpoint: a thread with an event loop, through which all
its bundles ask. It bounds the requests in flight, and a question that is in flight already is not
asked a second time.

At most once: an answer is stored when it arrives, and stored answers are not asked for. Two
processes that ask the same question at the same moment would both pay, so `AskModel` gives every
key to one worker. Where `ask_all` is called directly the asker must see to that. After a kill, the
questions that were in flight are asked again, at most `concurrency` in each process.
"""

from __future__ import annotations

import asyncio
import atexit
import queue
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import aiohttp
import apache_beam as beam
from cauldron.transforms.models import packs
from cauldron.transforms.models.budget import Budget, Limits
from cauldron.transforms.models.calls import Calls
from cauldron.transforms.models.endpoint import Endpoint
from cauldron.transforms.models.questions import Answer, Failure, Question
from cauldron.transforms.models.store import AnswerStore

from cauldron.core import storage
from cauldron.core.sections.models import ModelRules

Outcome = Answer | Failure
_Arrived = queue.SimpleQueue[tuple[Question, Future[Outcome]]]


def ask_all(
    questions: Iterable[Question], endpoint: Endpoint, answers: str, limits: Limits | None = None
) -> Iterator[tuple[Question, Outcome]]:
    """Every question with its answer, as they arrive: in no fixed order.

    Questions are taken from the iterable as there is room for them, so it may be long.

    Args:
        answers: the folder of the store, see `store.answers_folder`.
        limits: of the whole run. When they are reached, the rest comes back as `not_asked`.

    Raises:
        EndpointError: the endpoint is down or misconfigured. Answers so far are kept.
    """
    return _caller(endpoint, answers, limits or Limits(run="")).ask_all(questions)


class _Caller:
    """Asks the questions of this process. Lives as long as the process."""

    def __init__(self, endpoint: Endpoint, answers: str, limits: Limits) -> None:
        self._endpoint, self._answers = endpoint, answers
        api_key = endpoint.read_key()
        self._store = AnswerStore(answers)
        self._budget = Budget(limits, answers)
        self._in_flight: dict[str, asyncio.Task[Outcome]] = {}
        self._slots = asyncio.Semaphore(endpoint.concurrency)
        self._loop = asyncio.new_event_loop()
        # Pictures are read in these threads, from a bucket with some 50 ms for each.
        self._loop.set_default_executor(ThreadPoolExecutor(min(64, endpoint.concurrency)))
        threading.Thread(target=self._loop.run_forever, name="questions", daemon=True).start()
        self._calls = asyncio.run_coroutine_threadsafe(self._open(api_key), self._loop).result()

    async def _open(self, api_key: str | None) -> Calls:
        connector = aiohttp.TCPConnector(limit=self._endpoint.concurrency)
        session = aiohttp.ClientSession(connector=connector)
        if not storage.is_local(self._answers):
            self._keeping = asyncio.create_task(self._keep())
        return Calls(self._endpoint, api_key, session, self._budget)

    async def _keep(self) -> None:
        """Write what came since the last write, also while the next answer is long in coming."""
        while True:
            await asyncio.sleep(packs.REMOTE_SECONDS)
            await asyncio.to_thread(self._store.flush)

    def ask_all(self, questions: Iterable[Question]) -> Iterator[tuple[Question, Outcome]]:
        self._store.refresh(force=False)
        self._calls.circuit.broken = None  # a retried bundle tries again
        try:
            yield from self._ask_all(questions)
        finally:
            self._store.flush()

    def _ask_all(self, questions: Iterable[Question]) -> Iterator[tuple[Question, Outcome]]:
        arrived: _Arrived = queue.SimpleQueue()
        waiting = 0
        # As many again as can be in flight, so that a slot that gets free is taken at once.
        room = 2 * self._endpoint.concurrency
        for question in questions:
            key = question.key(self._endpoint.model)
            stored = self._store.get(key)
            if stored is not None:
                yield question, stored
                continue
            future = asyncio.run_coroutine_threadsafe(self._ask_once(key, question), self._loop)
            future.add_done_callback(partial(_arrive, arrived, question))
            waiting += 1
            while waiting >= room or not arrived.empty():
                asked, done = arrived.get()
                waiting -= 1
                yield asked, done.result()
        for _ in range(waiting):
            asked, done = arrived.get()
            yield asked, done.result()

    def close(self) -> None:
        """Give up what is in flight, close the connections and end the thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._store.flush()

    async def _close(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._calls.close()

    async def _ask_once(self, key: str, question: Question) -> Outcome:
        task = self._in_flight.get(key)
        if task is None:
            task = asyncio.ensure_future(self._ask(key, question))
            self._in_flight[key] = task
            task.add_done_callback(lambda _: self._in_flight.pop(key))
        return await task

    async def _ask(self, key: str, question: Question) -> Outcome:
        async with self._slots:
            # Another bundle of this process may have asked it since.
            stored = self._store.get(key)
            if stored is not None:
                return stored
            model = self._endpoint.model
            if question.has_pictures:
                body = await asyncio.to_thread(question.body, model)
            else:
                body = question.body(model)
            outcome = await self._calls.ask(body, self._budget.most(question, model))
            return outcome if isinstance(outcome, Failure) else self._store.put(key, outcome)


def _arrive(arrived: _Arrived, question: Question, done: Future[Outcome]) -> None:
    arrived.put((question, done))


@dataclass
class _Callers:
    """The callers of this process. Bundles run in several threads."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    found: dict[tuple[str, str, str], _Caller] = field(default_factory=dict)


_CALLERS = _Callers()


@atexit.register
def close_callers() -> None:
    """End all callers of this process. A later question opens a new one."""
    with _CALLERS.lock:
        while _CALLERS.found:
            _CALLERS.found.popitem()[1].close()


def _caller(endpoint: Endpoint, answers: str, limits: Limits) -> _Caller:
    name = (repr(endpoint), answers, repr(limits))
    with _CALLERS.lock:
        if name not in _CALLERS.found:
            _CALLERS.found[name] = _Caller(endpoint, answers, limits)
        return _CALLERS.found[name]


class AskModel(beam.PTransform):
    """`Question` in, (name, `Answer` or `Failure`) out. Every key belongs to one worker.

    Questions cross a shuffle, so their pictures must be places, not bytes.
    """

    def __init__(
        self, endpoint: Endpoint, answers: str, limits: Limits, partitions: int = 32
    ) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._answers = answers
        self._limits = limits
        self._partitions = partitions

    def expand(
        self, questions: beam.PCollection[Question]
    ) -> beam.PCollection[tuple[str, Outcome]]:
        return (
            questions
            | "By key" >> beam.Map(_partition, self._endpoint.model, self._partitions)
            | "Group" >> beam.GroupByKey()
            | "Ask" >> beam.FlatMap(_ask_group, self._endpoint, self._answers, self._limits)
        )


def _partition(question: Question, model: ModelRules, partitions: int) -> tuple[int, Question]:
    return int(question.key(model)[:8], 16) % partitions, question


def _ask_group(
    group: tuple[int, Iterable[Question]], endpoint: Endpoint, answers: str, limits: Limits
) -> Iterator[tuple[str, Outcome]]:
    for question, outcome in ask_all(group[1], endpoint, answers, limits):
        yield question.name, outcome
