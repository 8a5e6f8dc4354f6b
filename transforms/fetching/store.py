"""The store of fetched images: what was answered is not asked again.

::

    OUT/fetched/
      images/<time>-<random>.tar          images, <sha256>.<ext>, and why there is none, <key>.txt
      index/<partition>/<the same>.index  one entry of 112 bytes for each URL

A worker process appends to record files of its own, which are closed at a gigabyte. They are tars;
readers find a member by the offset in its entry. An image of several URLs of a host is stored once.

On a local disk an answer is written as it comes: first the image, then its entry. So after a kill
every entry has its image, and at most the requests in flight are lost. Object stores cannot append:
there a record file is an object of 64 MiB, or of what came in half a minute, and that much is lost.

Entries of a partition are read as a whole: 112 bytes of memory each, for 1/256 of all URLs.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tarfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from cauldron.transforms.fetching.fetcher import Failed

from cauldron.core import storage
from cauldron.core.disk import free_bytes
from cauldron.core.errors import CauldronError
from cauldron.core.storage import Range

# Hosts are dealt out to so many partitions. A part of the layout of stores and lists.
PARTITIONS = 256

# key: of the URL. run: when the launcher started the run that asked. file: the record file's name.
# sha256: of the image, zeros if there is none; then the place is that of the message.
ENTRY = np.dtype(
    [
        *(("key", "S16"), ("run", "<i8"), ("file", "S16"), ("offset", "<i8"), ("length", "<i8")),
        *(("sha256", "S32"), ("reason", "S24")),
    ]
)
Entry = np.void
Entries = npt.NDArray[np.void]

_LOCAL_BYTES = 1 << 30
_REMOTE_BYTES = 64 * 1024 * 1024
_REMOTE_SECONDS = 30.0
# A local disk that is fuller than this gets no more images: ingest and mix need room too.
_LEAST_FREE = 1 << 30
_CHECK_BYTES = 64 * 1024 * 1024
_BLOCK = tarfile.BLOCKSIZE
_END = b"\0" * (2 * _BLOCK)
_ENDINGS = ((b"\xff\xd8", "jpg"), (b"\x89PNG", "png"), (b"RIFF", "webp"), (b"GIF8", "gif"))


def fetched_folder(output: str) -> str:
    return storage.join(output, "fetched")


def url_key(url: str) -> bytes:
    """16 bytes that stand for a URL."""
    return hashlib.sha256(url.encode()).digest()[:16]


def file_path(store: str, name: bytes) -> str:
    """The path of a record file by the 16 bytes of its name."""
    raw = name.ljust(16, b"\0")
    return storage.join(store, "images", f"{raw[:8].hex()}-{raw[8:].hex()}.tar")


def _index_folder(store: str, partition: int) -> str:
    return storage.join(store, "index", f"{partition:02x}")


def latest(entries: Entries) -> Entries:
    """Sorted by key; of several answers to a URL the last one.

    Args:
        entries: in the order of their record files' names.
    """
    order = np.lexsort((entries["run"], entries["key"]))
    entries = entries[order]
    last = np.ones(len(entries), bool)
    last[:-1] = entries["key"][1:] != entries["key"][:-1]
    return entries[last]


def read_index(store: str, partition: int) -> Entries:
    """What was answered so far to the URLs of a partition. An entry that was torn is left out."""
    found = [np.empty(0, ENTRY)]
    for path in storage.list_files(_index_folder(store, partition), ".index"):
        data = storage.read_bytes(path)
        found.append(np.frombuffer(data[: len(data) // ENTRY.itemsize * ENTRY.itemsize], ENTRY))
    return latest(np.concatenate(found))


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
            if isinstance(answer, Failed):
                reason = answer.reason.encode()
                body = answer.message.encode()
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
        may be added."""
        if self._local:
            return
        with self._uploads:
            with self._lock:
                opened, self._open = self._open, None
                self._uploading = opened.size if opened else 0
            try:
                if opened is not None:
                    self._upload(opened)
            finally:
                self._uploading = 0

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
            _, folder = storage.filesystem(_index_folder(self._store, partition))
            os.makedirs(folder, exist_ok=True)
            self._indexes[partition] = _create(os.path.join(folder, name))
        self._write(self._indexes[partition], entry)

    def _write(self, handle: int, data: bytes) -> None:
        self._unchecked += len(data)
        if self._unchecked >= _CHECK_BYTES:
            self._unchecked = 0
            check_free(self._store)
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
            folder = _index_folder(self._store, partition)
            storage.write_bytes(storage.join(folder, f"{name}.index"), b"".join(entries))


def check_free(store: str) -> None:
    """Raises CauldronError when a local disk has too little room for more images."""
    free = free_bytes(store)
    if free is not None and free < _LEAST_FREE:
        raise CauldronError(
            f"{store}: {free / 1e9:.1f} GB are free, too little for more images; what was fetched "
            "is kept: free some space and run again"
        )


def read_images(store: str, entries: Iterable[Entry]) -> list[bytes]:
    """The bytes that entries lead to: of images, or of messages.

    Raises:
        CauldronError: the record file is gone or cut.
    """
    ranges = [
        Range(file_path(store, bytes(e["file"])), int(e["offset"]), int(e["length"]))
        for e in entries
    ]
    try:
        return storage.read_ranges(ranges)
    except (FileNotFoundError, EOFError) as error:
        raise CauldronError(
            f"{store}: a fetched image is gone ({error}); fetch again with --refetch all"
        ) from None


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
