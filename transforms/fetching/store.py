"""The store of fetched images is written here: what was answered is not asked again.

The layout is in `entries`. A worker process appends to record files of its own, which are closed at
a gigabyte. An image of several URLs of a host is stored once.

On a local disk an answer is written as it comes: first the image, then its entry. So after a kill
every entry has its image, and at most the requests in flight are lost. Object stores cannot append:
there a record file is an object of 64 MiB, or of what came in half a minute, and that much is lost.
"""

from __future__ import annotations

import os
import secrets
import tarfile
import threading
import time
from dataclasses import dataclass, field

import numpy as np
from cauldron.transforms.fetching.entries import ENTRY, Entry, file_path, index_folder
from cauldron.transforms.fetching.fetcher import Failed

from cauldron.core import storage
from cauldron.core.disk import free_bytes
from cauldron.core.errors import CauldronError

_LOCAL_BYTES = 1 << 30
_REMOTE_BYTES = 64 * 1024 * 1024
_REMOTE_SECONDS = 30.0
# A local disk that is fuller than this gets no more images: ingest and mix need room too.
_LEAST_FREE = 1 << 30
_CHECK_BYTES = 64 * 1024 * 1024
_MESSAGE_SIGNS = 500
_BLOCK = tarfile.BLOCKSIZE
_END = b"\0" * (2 * _BLOCK)
_ENDINGS = ((b"\xff\xd8", "jpg"), (b"\x89PNG", "png"), (b"RIFF", "webp"), (b"GIF8", "gif"))


@dataclass
class _Open:
    """A record file that is being written, and the entries that belong to it."""

    name: bytes
    size: int = 0
    handle: int = -1
    data: list[bytes] = field(default_factory=list)
    entries: dict[int, list[bytes]] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)


class StoreWriter:
    """Appends answers. For one process; safe for several threads.

    Args:
        store: its folder.
        run: when the launcher started this run, in nanoseconds.
    """

    def __init__(self, store: str, run: int) -> None:
        self._store, self._run = store, run
        self._local = storage.is_local(store)
        self._lock = threading.Lock()
        self._open: _Open | None = None
        self._indexes: dict[int, int] = {}
        self._unchecked = _CHECK_BYTES
        self._uploads = threading.Lock()
        self._uploading = 0
        # Taken out to be uploaded, and not yet uploaded.
        self._waiting: list[_Open] = []

    @property
    def is_due(self) -> bool:
        """Whether `flush` should be called; never on a local disk, where nothing waits."""
        opened = self._open
        if self._local or opened is None:
            return False
        age = time.monotonic() - opened.since
        return opened.size >= _REMOTE_BYTES or age >= _REMOTE_SECONDS

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be uploaded that nothing should be added."""
        opened = self._open
        return (opened.size if opened else 0) + self._uploading >= 2 * _REMOTE_BYTES

    def add(
        self,
        partition: int,
        key: bytes,
        answer: bytes | Failed,
        digest: bytes = b"",
        same: Entry | None = None,
    ) -> Entry:
        """Store an answer; returns its entry.

        Args:
            key: of the URL.
            digest: SHA-256 of the image, if there is one.
            same: an entry with the same image, which is not stored again.

        Raises:
            CauldronError: the disk is full. What was stored before is kept.
        """
        with self._lock:
            self._check_free(answer)
            if isinstance(answer, Failed):
                reason = answer.reason.encode()
                # It may repeat what a server said: any number of bytes, of any kind.
                body = answer.message[:_MESSAGE_SIGNS].encode(errors="replace")
                place = self._append(_member(f"{key.hex()}.txt", body), len(body))
            else:
                reason = b""
                if same is None:
                    place = self._append(_member(_image_name(digest, answer), answer), len(answer))
                else:
                    place = bytes(same["file"]), int(same["offset"]), int(same["length"])
            entry = np.array([(key, self._run, *place, digest, reason)], ENTRY)
            self._write_entry(partition, entry.tobytes())
            self._roll()
        stored: Entry = entry[0]
        return stored

    def flush(self) -> None:
        """Upload what waits for it, of all partitions. Takes as long as the upload; meanwhile more
        may be added.

        What cannot be uploaded is kept: a partition must not be settled while one of its answers
        is nowhere, whoever tried to upload that one.
        """
        if self._local:
            return
        with self._uploads:
            with self._lock:
                if self._open is not None:
                    self._waiting.append(self._open)
                self._open = None
                self._uploading = sum(item.size for item in self._waiting)
            try:
                while self._waiting:
                    self._upload(self._waiting[0])
                    del self._waiting[0]
            finally:
                self._uploading = sum(item.size for item in self._waiting)

    def close_partition(self, partition: int) -> None:
        """Keep the answers of a partition; no more will come."""
        self.flush()
        with self._lock:
            handle = self._indexes.pop(partition, None)
            if handle is not None:
                os.close(handle)

    def close(self) -> None:
        """Close the record file. A later answer opens another one."""
        self.flush()
        with self._lock:
            self._close()

    def _append(self, member: bytes, length: int) -> tuple[bytes, int, int]:
        """The place of a member's body: file, offset and length."""
        opened = self._open = self._open or self._new()
        offset = opened.size + _BLOCK
        if self._local:
            self._write(opened.handle, member)
        else:
            opened.data.append(member)
        opened.size += len(member)
        return opened.name, offset, length

    def _new(self) -> _Open:
        # By time: of two answers to a URL in one run the later one counts.
        opened = _Open(time.time_ns().to_bytes(8, "big") + secrets.token_bytes(8))
        if self._local:
            path = file_path(self._store, opened.name)
            _, bare = storage.filesystem(path)
            os.makedirs(os.path.dirname(bare), exist_ok=True)
            opened.handle = _create(bare)
        return opened

    def _write_entry(self, partition: int, entry: bytes) -> None:
        if not self._local:
            opened = self._open = self._open or self._new()
            opened.entries.setdefault(partition, []).append(entry)
            return
        if partition not in self._indexes:
            name = f"{time.time_ns():016x}-{secrets.token_hex(8)}.index"
            _, folder = storage.filesystem(index_folder(self._store, partition))
            os.makedirs(folder, exist_ok=True)
            self._indexes[partition] = _create(os.path.join(folder, name))
        self._write(self._indexes[partition], entry)

    def _check_free(self, answer: bytes | Failed) -> None:
        """Looks at the disk now and then. Raises CauldronError."""
        self._unchecked += 0 if isinstance(answer, Failed) else len(answer)
        if self._unchecked >= _CHECK_BYTES:
            self._unchecked = 0
            check_free(self._store)

    def _write(self, handle: int, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(handle, view) :]
        except OSError as error:
            self._abandon()
            raise CauldronError(f"{self._store}: an image cannot be written: {error}") from error

    def _abandon(self) -> None:
        """Go on in new files: the ends of these may be torn."""
        for handle in [*self._indexes.values(), *([self._open.handle] if self._open else [])]:
            os.close(handle)
        self._open, self._indexes = None, {}

    def _roll(self) -> None:
        if self._local and self._open is not None and self._open.size >= _LOCAL_BYTES:
            self._close()

    def _close(self) -> None:
        opened, self._open = self._open, None
        for handle in self._indexes.values():
            os.close(handle)
        self._indexes = {}
        if opened is not None:
            self._write(opened.handle, _END)
            os.close(opened.handle)

    def _upload(self, opened: _Open) -> None:
        # The images first: an entry must have its image.
        path = file_path(self._store, opened.name)
        if opened.data:
            storage.write_bytes(path, b"".join([*opened.data, _END]))
        name = path.rpartition("/")[2].removesuffix(".tar")
        for partition, entries in opened.entries.items():
            folder = index_folder(self._store, partition)
            storage.write_bytes(storage.join(folder, f"{name}.index"), b"".join(entries))


def check_free(store: str) -> None:
    """Raises CauldronError when a local disk has too little room for more images."""
    free = free_bytes(store)
    if free is not None and free < _LEAST_FREE:
        raise CauldronError(
            f"{store}: {free / 1e9:.1f} GB are free, too little for more images; what was fetched "
            "is kept: free some space and run again"
        )


def _image_name(digest: bytes, image: bytes) -> str:
    ending = next((end for start, end in _ENDINGS if image.startswith(start)), "bin")
    return f"{digest.hex()}.{ending}"


# A header with mtime 0 and no owner, so equal images give equal bytes. Only the name, the size and
# the checksum differ from member to member: to write them here takes a tenth of `tobuf`'s time.
_HEADER = tarfile.TarInfo().tobuf(tarfile.USTAR_FORMAT)
_SIZE, _SUM = slice(124, 136), slice(148, 156)
_BASE_SUM = sum(_HEADER) - sum(_HEADER[_SIZE]) - sum(_HEADER[_SUM]) + 8 * ord(" ")


def _member(name: str, body: bytes) -> bytes:
    encoded, size = name.encode(), b"%011o\0" % len(body)
    header = bytearray(_HEADER)
    header[: len(encoded)] = encoded
    header[_SIZE] = size
    header[_SUM] = b"%06o\0 " % (_BASE_SUM + sum(encoded) + sum(size))
    return b"".join((header, body, b"\0" * (-len(body) % _BLOCK)))


def _create(path: str) -> int:
    # Unbuffered: a write is with the system before the next answer is handled.
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
