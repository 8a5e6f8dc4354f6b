"""Worker processes, and one that does the same work in this process.

A worker answers tasks in the order they were submitted, so the trainer decides what is prefetched.
No worker keeps the order of the data. Workers come from a fork server: forking a process that holds
CUDA and threads is not safe, and spawning each one would import torch again (1 to 3 s).

Workers ignore SIGINT and SIGTERM, which often reach a whole process group: the trainer writes its
checkpoint first and then stops them. They end by themselves when the trainer is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import signal
import sys
import threading
import traceback
from collections import deque
from dataclasses import dataclass
from multiprocessing import connection, util
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess as Process
from typing import Any, Protocol

import pyarrow as pa
import torch
from cauldron.training.data.builder import (
    BuilderSettings,
    BuildTask,
    BuiltPack,
    MeasuredWindow,
    MeasureTask,
    PackBuilder,
    local_memory,
)
from cauldron.training.data.shared_memory import SlotReader, SlotUse, SlotWriter
from cauldron.training.data.tiles import keep_decoder_memory
from torch import Tensor

from cauldron.core.errors import CauldronError

Ticket = int
_GRACE_SECONDS = 5.0


class Workers(Protocol):
    """Measure windows and build packs. `count`: number of workers, at least 1."""

    count: int

    def submit(self, worker: int, task: MeasureTask | BuildTask) -> Ticket: ...

    def measured(self, ticket: Ticket) -> MeasuredWindow: ...

    def built(self, ticket: Ticket) -> tuple[BuiltPack, Tensor]:
        """A pack's tokens, and its tiles, shape (tiles, side, side, 3)."""

    def close(self) -> None: ...


class InlineWorker:
    """Does a task in this process, when its result is asked for."""

    count = 1

    def __init__(self, settings: BuilderSettings) -> None:
        self._builder = PackBuilder(settings)
        self._allocate = local_memory(settings.rules.layout.tile)
        self._tasks: dict[Ticket, MeasureTask | BuildTask] = {}
        self._tickets = 0

    def submit(self, worker: int, task: MeasureTask | BuildTask) -> Ticket:
        self._tickets += 1
        self._tasks[self._tickets] = task
        return self._tickets

    def measured(self, ticket: Ticket) -> MeasuredWindow:
        task = self._tasks.pop(ticket)
        assert isinstance(task, MeasureTask)
        return self._builder.measure(task)

    def built(self, ticket: Ticket) -> tuple[BuiltPack, Tensor]:
        task = self._tasks.pop(ticket)
        assert isinstance(task, BuildTask)
        self._builder.prefetch(task)
        kept: list[Tensor] = []

        def allocate(tiles: int) -> Tensor:
            kept.append(self._allocate(tiles))
            return kept[-1]

        built = self._builder.build(task, allocate)
        return built, kept[0][: built.tiles]

    def close(self) -> None:
        self._builder.close()


@dataclass(frozen=True)
class _Answer:
    """What a worker sends back. `error`: for the user; `failure`: traceback of a bug."""

    ticket: Ticket
    value: MeasuredWindow | BuiltPack | None = None
    slot: SlotUse | None = None
    error: CauldronError | None = None
    failure: str | None = None


class WorkerProcesses:
    """Worker processes, each with a pipe of its own.

    Args:
        slot_bytes: memory for the tiles of the largest possible pack.
    """

    def __init__(self, count: int, settings: BuilderSettings, slot_bytes: int) -> None:
        self.count = count
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        self._tickets = 0
        self._owner: dict[Ticket, int] = {}
        self._pipes: list[Connection] = []
        processes: list[Process] = []
        for number in range(count):
            ours, theirs = context.Pipe()
            arguments = (theirs, settings, slot_bytes)
            process = context.Process(target=_work, args=arguments, name=f"loader-{number}")
            process.daemon = True
            process.start()
            theirs.close()
            self._pipes.append(ours)
            processes.append(process)
        side = settings.rules.layout.tile
        self._slots = [SlotReader(side, slot_bytes) for _ in range(count)]
        self._inbox = _Inbox(self._pipes, processes, self._slots)
        # Not weakref.finalize: this one runs before multiprocessing joins its children.
        self._stop = util.Finalize(
            self, _stop, args=(self._inbox, self._pipes, processes), exitpriority=10
        )

    def submit(self, worker: int, task: MeasureTask | BuildTask) -> Ticket:
        self._tickets += 1
        self._owner[self._tickets] = worker
        with contextlib.suppress(OSError):  # a dead worker is reported by `measured` and `built`
            self._pipes[worker].send((self._tickets, self._slots[worker].take_freed(), task))
        return self._tickets

    def measured(self, ticket: Ticket) -> MeasuredWindow:
        self._owner.pop(ticket)
        value = self._inbox.wait(ticket).value
        assert isinstance(value, MeasuredWindow)
        return value

    def built(self, ticket: Ticket) -> tuple[BuiltPack, Tensor]:
        worker = self._owner.pop(ticket)
        answer = self._inbox.wait(ticket)
        assert isinstance(answer.value, BuiltPack)
        assert answer.slot is not None
        return answer.value, self._slots[worker].tiles(answer.slot, answer.value.tiles)

    def close(self) -> None:
        self._stop()


class _Inbox:
    """A thread that receives answers at once, so that no worker blocks on sending.

    It holds no reference to `WorkerProcesses`, which could then never be garbage-collected.
    """

    def __init__(
        self, pipes: list[Connection], processes: list[Process], slots: list[SlotReader]
    ) -> None:
        self.closing = False
        self._processes = processes
        self._slots = slots
        self._answers: dict[Ticket, _Answer] = {}
        self._death: str | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(
            target=self._listen, args=(list(pipes),), name="loader", daemon=True
        )
        self._thread.start()

    def wait(self, ticket: Ticket) -> _Answer:
        """The answer to a task. Raises CauldronError when a worker died or the task failed."""
        with self._changed:
            self._changed.wait_for(lambda: ticket in self._answers or self._death)
            if ticket not in self._answers:
                raise CauldronError(self._death or "")
            answer = self._answers.pop(ticket)
        if answer.error is not None:
            raise answer.error
        if answer.failure is not None:
            raise RuntimeError(f"a loader worker failed:\n{answer.failure}")
        return answer

    def join(self) -> None:
        self._thread.join()

    def _listen(self, pipes: list[Connection]) -> None:
        waiting = {pipe: number for number, pipe in enumerate(pipes)}
        while waiting:
            for pipe in connection.wait(list(waiting)):
                assert isinstance(pipe, Connection)
                number = waiting[pipe]
                try:
                    answer: _Answer = pipe.recv()
                    if answer.slot is not None:
                        self._slots[number].receive(pipe, answer.slot)
                except (EOFError, OSError):
                    del waiting[pipe]
                    self._ended(number)
                    continue
                with self._changed:
                    self._answers[answer.ticket] = answer
                    self._changed.notify_all()

    def _ended(self, number: int) -> None:
        if self.closing:
            return
        process = self._processes[number]
        process.join(_GRACE_SECONDS)
        with self._changed:
            self._death = (
                f"loader worker {number} died (exit code {process.exitcode}), most often because "
                "memory ran out: lower workers or window, or set workers to 0 to see the error"
            )
            self._changed.notify_all()


def _stop(inbox: _Inbox, pipes: list[Connection], processes: list[Process]) -> None:
    inbox.closing = True
    for pipe in pipes:
        with contextlib.suppress(OSError):  # it has ended already
            pipe.send(None)
    for process in processes:
        process.join(_GRACE_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
    inbox.join()
    for pipe in pipes:
        pipe.close()


def _work(pipe: Connection, settings: BuilderSettings, slot_bytes: int) -> None:
    """Run a worker process until the pipe closes or None is received."""
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    _keep_freed_memory()
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    builder = PackBuilder(settings)
    slots = SlotWriter(settings.rules.layout.tile, slot_bytes)
    queue: deque[tuple[Ticket, MeasureTask | BuildTask]] = deque()
    with contextlib.suppress(EOFError, OSError):  # the trainer has ended
        while True:
            while not queue or pipe.poll():
                message = pipe.recv()
                if message is None:
                    builder.close()
                    return
                ticket, freed, task = message
                slots.free(freed)
                queue.append((ticket, task))
                if isinstance(task, BuildTask):
                    builder.prefetch(task)
            answer = _answer(builder, slots, *queue.popleft())
            pipe.send(answer)
            if answer.slot is not None:
                slots.send(pipe, answer.slot)


def _answer(
    builder: PackBuilder, slots: SlotWriter, ticket: Ticket, task: MeasureTask | BuildTask
) -> _Answer:
    try:
        if isinstance(task, MeasureTask):
            return _Answer(ticket, builder.measure(task))
        built = builder.build(task, slots.allocate)
        return _Answer(ticket, built, slots.hand_over())
    except CauldronError as error:
        return _Answer(ticket, error=error)
    except Exception:
        return _Answer(ticket, failure=traceback.format_exc())


def _keep_freed_memory() -> None:
    """Keep freed memory in this process: new pages for each image are expensive."""
    keep_decoder_memory()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library has no mallopt
            libc: Any = ctypes.CDLL(None)
            trim_threshold, mmap_threshold = -1, -3
            libc.mallopt(mmap_threshold, 64 << 20)
            libc.mallopt(trim_threshold, 256 << 20)
