"""Shared memory that brings tiles from a worker to the trainer without a copy.

A pack of 10,240 tokens has up to 24 MB of tiles. A worker writes them into a *slot*, a piece of
anonymous shared memory whose file descriptor is sent over the pipe once. When the trainer has
released the tensor, the slot is used again. New memory for each pack would cost about as much as
scaling the images: the system zeroes each page, 17 ms for 24 MB against 0.2 ms for writing to
existing pages.

Nothing is in ``/dev/shm``, which containers limit to 64 MB by default, and nothing is left behind
when a process dies.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from collections import deque
from dataclasses import dataclass
from multiprocessing import reduction
from multiprocessing.connection import Connection

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class SlotUse:
    """The slot that holds a pack's tiles. `new`: its descriptor follows this message."""

    slot: int
    new: bool


class SlotWriter:
    """A worker's slots. Args: size: bytes of each slot; only what is used takes memory."""

    def __init__(self, side: int, size: int) -> None:
        self._side = side
        self._size = size
        self._memory: list[mmap.mmap] = []
        self._files: list[int] = []
        self._free: list[int] = []
        self._taken: int | None = None

    def allocate(self, tiles: int) -> Tensor:
        """Memory for a pack's tiles, shape (tiles, side, side, 3), valid until the next call."""
        if self._taken is None:
            self._taken = self._free.pop() if self._free else self._new()
        size = tiles * self._side * self._side * 3
        array = np.frombuffer(self._memory[self._taken], np.uint8, size)
        return torch.from_numpy(array).view(tiles, self._side, self._side, 3)

    def hand_over(self) -> SlotUse:
        """Pass the slot of the last `allocate` to the trainer, which returns it through `free`."""
        assert self._taken is not None
        slot, self._taken = self._taken, None
        return SlotUse(slot, new=self._files[slot] >= 0)

    def send(self, connection: Connection, use: SlotUse) -> None:
        """Send the descriptor of a new slot. To be called right after sending `use`."""
        if use.new:
            reduction.send_handle(connection, self._files[use.slot], os.getppid())
            os.close(self._files[use.slot])
            self._files[use.slot] = -1

    def free(self, slots: list[int]) -> None:
        """These slots may be used again."""
        self._free += slots

    def _new(self) -> int:
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("cauldron-tiles")
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, self._size)
        self._files.append(descriptor)
        self._memory.append(mmap.mmap(descriptor, self._size))
        return len(self._memory) - 1


class SlotReader:
    """The trainer's view of one worker's slots.

    Attributes:
        freed: slots whose tensors are gone, to be returned. A finaliser fills it, in any thread,
            and therefore only appends.
    """

    def __init__(self, side: int, size: int) -> None:
        self.freed: deque[int] = deque()
        self._side = side
        self._size = size
        self._memory: dict[int, mmap.mmap] = {}

    def receive(self, connection: Connection, use: SlotUse) -> None:
        """Map a new slot. To be called right after receiving `use`."""
        if use.new:
            descriptor = reduction.recv_handle(connection)
            self._memory[use.slot] = mmap.mmap(descriptor, self._size)
            os.close(descriptor)

    def tiles(self, use: SlotUse, tiles: int) -> Tensor:
        """The tiles in a slot, shape (tiles, side, side, 3). Releasing them frees the slot."""
        size = tiles * self._side * self._side * 3
        array = np.frombuffer(self._memory[use.slot], np.uint8, size)
        weakref.finalize(array, self.freed.append, use.slot).atexit = False
        return torch.from_numpy(array).view(tiles, self._side, self._side, 3)

    def take_freed(self) -> list[int]:
        """Slots freed since the last call."""
        return [self.freed.popleft() for _ in range(len(self.freed))]
