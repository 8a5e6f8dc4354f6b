"""Small files that several processes change: each is replaced only from the version that was read.

How far that holds:

- ``gs://``: the store itself refuses a write or delete from another generation.
- A local disk: creating is atomic. Replacing compares the content first, so a change between the
  comparison and the rename is lost.
- Any other store: like a disk; whether creating is atomic is up to its fsspec package (s3fs is).
"""

from __future__ import annotations

import hashlib
import os

from cauldron.core import storage
from cauldron.core.stores import objects
from cauldron.core.stores.objects import Changed

__all__ = ["ANY", "Changed", "create", "read", "remove", "replace", "touch", "version"]

# A version that stands for every one, and for none.
ANY = "*"


def read(path: str) -> tuple[bytes, str]:
    """Content and version. Raises FileNotFoundError."""
    if objects.is_object(path):
        return objects.read(path)
    data = storage.read_bytes(path)
    return data, _digest(data)


def version(path: str) -> str | None:
    """None if there is no file."""
    if objects.is_object(path):
        return objects.generation(path)
    try:
        return _digest(storage.read_bytes(path))
    except FileNotFoundError:
        return None


def create(path: str, data: bytes) -> str | None:
    """Write a file unless there is one. Returns its version, None if it was not written."""
    if not objects.is_object(path):
        return _digest(data) if storage.create(path, data) else None
    try:
        return objects.write(path, data, None)
    except Changed:
        return None


def replace(path: str, data: bytes, known: str | None) -> str:
    """Write a file whose version is `known`, or that is not there (None). Returns its new version.

    Raises:
        Changed: it has another version, and another content than `data`.
    """
    if known == ANY:
        known = version(path)
    if not objects.is_object(path):
        if version(path) != known:
            raise Changed(path)
        storage.write_bytes(path, data)
        return _digest(data)
    try:
        return objects.write(path, data, known)
    except Changed:
        # A request may be done and its answer lost; it is then sent again.
        found, mine = read(path)
        if found != data:
            raise
        return mine


def touch(path: str, data: bytes, known: str) -> None:
    """Set the time of last change of a file with this content and version to now.

    Raises:
        Changed: it has another version; never on a local disk, where nothing is written.
    """
    if storage.is_local(path):
        os.utime(storage.filesystem(path)[1])
    else:
        replace(path, data, known)


def remove(path: str, known: str) -> None:
    """Delete a file that has this version, if it is there.

    Raises:
        Changed: it has another one.
    """
    if objects.is_object(path):
        objects.delete(path, known)
    elif (found := version(path)) is not None:
        if found != known:
            raise Changed(path)
        storage.remove(path)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
