"""What the store of fetched images holds: its layout, and how it is read.

::

    OUT/fetched/
      images/<time>-<random>.tar                images, <sha256>.<ext>, or why none, <key>.txt
      index/<partition>/<time>-<random>.index   an entry of 112 bytes for each URL

Readers find a member of a tar by the offset in its entry. Entries of a partition are read as a
whole: 112 bytes of memory each, for 1/256 of all URLs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.stores.ranges import Range, read_ranges

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


def fetched_folder(output: str) -> str:
    return storage.join(output, "fetched")


def url_key(url: str) -> bytes:
    """16 bytes that stand for a URL."""
    return hashlib.sha256(url.encode()).digest()[:16]


def file_path(store: str, name: bytes) -> str:
    """The path of a record file by the 16 bytes of its name."""
    raw = name.ljust(16, b"\0")
    return storage.join(store, "images", f"{raw[:8].hex()}-{raw[8:].hex()}.tar")


def index_folder(store: str, partition: int) -> str:
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
    """What was answered so far to the URLs of a partition.

    An entry that was torn is left out, and one whose record file is gone.
    """
    found = [np.empty(0, ENTRY)]
    for path in storage.list_files(index_folder(store, partition), ".index"):
        data = storage.read_bytes(path)
        found.append(np.frombuffer(data[: len(data) // ENTRY.itemsize * ENTRY.itemsize], ENTRY))
    entries = np.concatenate(found)
    # Listed after the entries were read: a record file is there before its entries.
    names = [bytes.fromhex(name.replace("-", "")) for name in _record_files(store)]
    return latest(entries[np.isin(entries["file"], np.array(names, "S16"))])


def _record_files(store: str) -> list[str]:
    paths = storage.list_files(storage.join(store, "images"), ".tar")
    return [path.rpartition("/")[2].removesuffix(".tar") for path in paths]


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
        return read_ranges(ranges)
    except (FileNotFoundError, EOFError) as error:
        raise CauldronError(
            f"{store}: a fetched image is gone ({error}); fetch again with --refetch all"
        ) from None
