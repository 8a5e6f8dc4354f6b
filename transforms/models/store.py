"""The store of answers: what was answered is never asked again.

``OUT/answers/<time>-<random>.pack`` and ``.index``, see `cauldron.transforms.models.packs`. All
models share the folder; the key of a question tells them apart. Memory: 40 bytes for each stored
answer, the texts stay on disk.
"""

from __future__ import annotations

import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from cauldron.transforms.models.packs import (
    ENTRY,
    Entries,
    PackWriter,
    from_line,
    list_packs,
    read_entries,
)
from cauldron.transforms.models.questions import Answer

from cauldron.core import storage
from cauldron.core.stores.ranges import Range, read_ranges

_FOUND = np.dtype([*((name, ENTRY[name]) for name in ENTRY.names or ()), ("pack", "<i4")])


def answers_folder(out: str) -> str:
    return storage.join(out, "answers")


def count_kept(folder: str) -> int:
    """Answers on disk, counted by the sizes of the indexes."""
    return sum(index for _, index in list_packs(folder).values()) // ENTRY.itemsize


class AnswerStore:
    """Answers by the key of their question. Safe for several threads and many processes.

    What other processes store is seen after `refresh`.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._writer = PackWriter(folder)
        self._lock = threading.Lock()
        self._own: dict[str, Answer] = {}
        self._packs: dict[str, tuple[tuple[int, int], Entries]] = {}
        self._paths: list[str] = []
        self._found = np.empty(0, _FOUND)
        self._due = 0.0
        self.refresh()

    def __len__(self) -> int:
        """Answers that are known to this process."""
        with self._lock:
            return len(self._found) + len(self._own)

    def refresh(self, force: bool = True) -> None:
        """Read the indexes of packs that are new or have grown.

        Args:
            force: without it, nothing is done while that would take more than a tenth of the time.
        """
        with self._lock:
            start = time.monotonic()
            if force or start >= self._due:
                self._refresh()
                self._due = start + 10 * (time.monotonic() - start)

    def _refresh(self) -> None:
        sizes = list_packs(self._folder)
        changed = [
            path
            for path, size in sizes.items()
            if path not in self._packs or self._packs[path][0] != size
        ]
        if not changed and len(sizes) == len(self._packs):
            return
        with ThreadPoolExecutor(16) as pool:
            read = pool.map(lambda path: read_entries(path + ".pack", path + ".index"), changed)
            for path, entries in zip(changed, read, strict=True):
                self._packs[path] = (sizes[path], entries)
        self._packs = {path: self._packs[path] for path in sizes}
        self._merge()

    def _merge(self) -> None:
        self._paths = list(self._packs)
        merged = np.empty(sum(len(entries) for _, entries in self._packs.values()), _FOUND)
        start = 0
        for number, (_, entries) in enumerate(self._packs.values()):
            part = merged[start : start + len(entries)]
            for name in ENTRY.names or ():
                part[name] = entries[name]
            part["pack"] = number
            start += len(entries)
        # Stable: of several answers to a question the one in the oldest pack is first.
        merged = merged[np.argsort(merged["key"], kind="stable")]
        first = np.ones(len(merged), bool)
        first[1:] = merged["key"][1:] != merged["key"][:-1]
        self._found = merged[first]
        # Now found on disk. What is not (a pack on an object store, not yet written) stays.
        held = list(self._own)
        found = np.isin(np.array([bytes.fromhex(key) for key in held], "S16"), self._found["key"])
        for key, on_disk in zip(held, found, strict=True):
            if on_disk:
                del self._own[key]

    def get(self, key: str) -> Answer | None:
        with self._lock:
            answer = self._own.get(key)
            place = None if answer else self._place(key)
        return answer or (self._read(*place) if place else None)

    def _place(self, key: str) -> tuple[Range, int] | None:
        wanted = np.array(bytes.fromhex(key), "S16")
        at = int(np.searchsorted(self._found["key"], wanted))
        if at == len(self._found) or self._found["key"][at] != wanted:
            return None
        row = self._found[at]
        path = self._paths[int(row["pack"])] + ".pack"
        return Range(path, int(row["offset"]), int(row["length"])), int(row["crc"])

    def _read(self, place: Range, crc: int) -> Answer | None:
        """None: the disk lost what the index says; the question is asked again."""
        try:
            line = read_ranges([place])[0]
        except (EOFError, FileNotFoundError):
            return None
        return from_line(line)[1] if zlib.crc32(line) == crc else None

    def put(self, key: str, answer: Answer) -> Answer:
        """Keep an answer. Returns the one that counts: an earlier one, if there is one."""
        known = self.get(key)
        if known is not None:
            return known
        self._writer.add(key, answer)
        with self._lock:
            return self._own.setdefault(key, answer)

    def flush(self) -> None:
        self._writer.flush()
