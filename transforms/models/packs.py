"""Packs: files of answers that only grow, each with an index.

A pack is lines of JSON. Its index is one record of 32 bytes for each line, written after the line.
One process writes a pack, anybody may read it at any time. What a killed process leaves behind is
readable: a torn line or record at the end is ignored, and a line without its record is found by
reading the pack from where the index ends.

On a local disk an answer is written when it arrives, and survives the process (not the machine, as
nothing is flushed to the platter). Object stores cannot append: there the whole pack is written
again every few seconds, and is kept small for that.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import threading
import time
import zlib

import numpy as np
import numpy.typing as npt
from cauldron.transforms.models.questions import Answer

from cauldron.core import storage

ENTRY = np.dtype([("key", "S16"), ("offset", "<i8"), ("length", "<i4"), ("crc", "<u4")])

# A local pack is closed at this size; one on an object store, which is rewritten as a whole, here.
_LOCAL_BYTES = 256 * 1024 * 1024
_REMOTE_BYTES = 4 * 1024 * 1024
REMOTE_SECONDS = 2.0

Entries = npt.NDArray[np.void]


def to_line(key: str, answer: Answer) -> bytes:
    values = [key, answer.text, answer.finish, answer.tokens_in, answer.tokens_out]
    return json.dumps(values).encode() + b"\n"


def from_line(line: bytes) -> tuple[str, Answer]:
    """Raises ValueError: this is not a whole line of a pack."""
    if not line.endswith(b"\n"):
        raise ValueError("a torn line")
    try:
        key, text, finish, tokens_in, tokens_out = json.loads(line)
        bytes.fromhex(key)
    except (TypeError, ValueError) as error:
        raise ValueError(f"not a line of a pack: {error}") from None
    return key, Answer(text, finish, tokens_in, tokens_out)


def entry(key: str, offset: int, line: bytes) -> bytes:
    values = (bytes.fromhex(key), offset, len(line), zlib.crc32(line))
    return np.array([values], ENTRY).tobytes()


def read_entries(pack: str, index: str) -> Entries:
    """The entries of a pack, also of lines at its end that are not in the index.

    Entries of the index that reach beyond the pack are left out.
    """
    data = b""
    with contextlib.suppress(FileNotFoundError):  # killed before the first record
        data = storage.read_bytes(index)
    found = np.frombuffer(data[: len(data) // ENTRY.itemsize * ENTRY.itemsize], ENTRY)
    end = int(found[-1]["offset"] + found[-1]["length"]) if len(found) else 0
    with storage.open_read(pack) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(min(end, size))
        tail = file.read()
    found = found[found["offset"] + found["length"] <= size]
    return np.concatenate([found, np.frombuffer(_tail_entries(tail, end), ENTRY)])


def _tail_entries(tail: bytes, offset: int) -> bytes:
    entries = []
    for line in tail.splitlines(keepends=True):
        with contextlib.suppress(ValueError):  # torn
            entries.append(entry(from_line(line)[0], offset, line))
        offset += len(line)
    return b"".join(entries)


class PackWriter:
    """Writes the answers of this process into packs of its own. Safe for several threads."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._local = storage.is_local(folder)
        self._lock = threading.Lock()
        self._files: tuple[int, int] | None = None
        self._pack = bytearray()
        self._index = bytearray()
        self._size = 0
        self._name = ""
        self._written = time.monotonic()
        # The pack here has more than the one in the object store.
        self._is_ahead = False

    def add(self, key: str, answer: Answer) -> None:
        line = to_line(key, answer)
        with self._lock:
            if not self._name:
                # By time: of two answers to one question, the older one counts for every reader.
                self._name = f"{time.time_ns():016x}-{secrets.token_hex(4)}"
            record = entry(key, self._size, line)
            if self._local:
                self._append(line, record)
            else:
                self._pack += line
                self._index += record
                self._is_ahead = True
            self._size += len(line)
            self._roll()

    def flush(self) -> None:
        """Write what is not yet kept."""
        with self._lock:
            self._write_remote()

    def _append(self, line: bytes, record: bytes) -> None:
        if self._files is None:
            _, folder = storage.filesystem(self._folder)
            os.makedirs(folder, exist_ok=True)
            path = os.path.join(folder, self._name)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            # Unbuffered: a write is with the system before the next answer is handled.
            self._files = (
                os.open(path + ".pack", flags, 0o666),
                os.open(path + ".index", flags, 0o666),
            )
        try:
            for file, data in zip(self._files, (line, record), strict=True):
                if os.write(file, data) != len(data):
                    raise OSError(errno.ENOSPC, "no space left for answers", self._folder)
        except OSError:
            self._close()  # its end is torn; the next answer goes into another pack
            raise

    def _roll(self) -> None:
        if not self._local and time.monotonic() - self._written > REMOTE_SECONDS:
            self._write_remote()
        if self._size < (_LOCAL_BYTES if self._local else _REMOTE_BYTES):
            return
        self._write_remote()
        self._close()

    def _close(self) -> None:
        for file in self._files or ():
            os.close(file)
        self._files, self._name, self._size = None, "", 0
        self._pack, self._index = bytearray(), bytearray()

    def _write_remote(self) -> None:
        self._written = time.monotonic()
        if self._is_ahead:
            path = storage.join(self._folder, self._name)
            storage.write_bytes(path + ".pack", bytes(self._pack))
            storage.write_bytes(path + ".index", bytes(self._index))
            self._is_ahead = False


def list_packs(folder: str) -> dict[str, tuple[int, int]]:
    """Sizes of the packs and indexes of a folder, by path without suffix, oldest first."""
    fs, bare = storage.filesystem(folder)
    fs.invalidate_cache()
    entries = fs.ls(bare, detail=True) if fs.isdir(bare) else []
    sizes = {item["name"].rpartition("/")[2]: item["size"] for item in entries}
    packs = sorted(name for name in sizes if name.endswith(".pack"))
    return {
        storage.join(folder, name.removesuffix(".pack")): (
            sizes[name],
            sizes.get(name.removesuffix(".pack") + ".index", 0),
        )
        for name in packs
    }
