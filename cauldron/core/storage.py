"""All file access: local folders and ``gs://`` buckets through fsspec.

Writes are atomic. On a local disk a file is written under a temporary name and renamed. An object
store shows an object only after its upload is complete, so the final name is written directly.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import IO, Any, BinaryIO, cast

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from cauldron.core.errors import CauldronError, UsageError, first_line
from cauldron.core.stores import gcs, objects
from cauldron.core.stores.hashing import HashingWriter

_TEMPORARY = ".tmp-"


def filesystem(path: str) -> tuple[AbstractFileSystem, str]:
    """The file system of `path`, and the path in that file system's form.

    Raises:
        UsageError: no installed package opens addresses of this kind.
        CauldronError: a bucket without credentials, or without a network.
    """
    protocol = fsspec.utils.get_protocol(path)
    extra = gcs.options(protocol) if protocol in gcs.PROTOCOLS else {}
    try:
        # A cached listing would hide files that another worker has written since.
        fs, bare = fsspec.core.url_to_fs(path, use_listings_cache=False, **extra)
    except (ImportError, ValueError) as error:
        why = f"cannot open {path}: {first_line(error)}"
        remedy = "with pip, or " if isinstance(error, ImportError) else ""
        raise UsageError(f"{why}; {remedy}give a folder or a gs:// address") from error
    if protocol in gcs.PROTOCOLS:
        gcs.check(fs, bare.partition("/")[0], extra.get("token") == "anon")
    return fs, bare


def is_local(path: str) -> bool:
    # By its form alone: opening a bucket looks for credentials, for up to 15 s without a network.
    return fsspec.utils.get_protocol(path) in ("file", "local")


def join(base: str, *parts: str) -> str:
    """Join path parts with ``/``, for local paths and URLs."""
    return "/".join([base.rstrip("/"), *(part.strip("/") for part in parts)])


def open_read(path: str) -> BinaryIO:
    """Open a seekable file for reading. Raises FileNotFoundError."""
    fs, bare = filesystem(path)
    return cast(BinaryIO, fs.open(bare, "rb"))


def exists(path: str) -> bool:
    fs, bare = filesystem(path)
    return bool(fs.exists(bare))


def list_files(folder: str, suffix: str = "") -> list[str]:
    """Full paths of the files directly in `folder`, sorted; empty if the folder does not exist."""
    return [join(folder, name) for name in _names(folder, "file") if name.endswith(suffix)]


def list_folders(folder: str) -> list[str]:
    """Names (not paths) of the folders directly in `folder`, sorted."""
    return _names(folder, "directory")


def _names(folder: str, kind: str) -> list[str]:
    # Names alone where that can be had: all that a store says of a file is 2 kB, and folders of
    # markers may have 100,000.
    if objects.is_object(folder):
        return sorted(objects.names(folder, folders=kind == "directory"))
    fs, bare = filesystem(folder)
    if isinstance(fs, LocalFileSystem):
        return sorted(_local_names(bare, kind))
    fs.invalidate_cache()
    entries = fs.ls(bare, detail=True) if fs.isdir(bare) else []
    return sorted(PurePosixPath(e["name"]).name for e in entries if e["type"] == kind)


def _local_names(folder: str, kind: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir() if kind == "directory" else entry.is_file():
                    yield entry.name
    except (FileNotFoundError, NotADirectoryError):
        return


def remove(path: str) -> None:
    """Remove a file or a whole folder, if it exists."""
    if objects.is_object(path):
        objects.delete_all(path)
        return
    fs, bare = filesystem(path)
    with contextlib.suppress(FileNotFoundError):
        fs.rm(bare, recursive=True)


def remove_files(paths: Sequence[str]) -> None:
    """Remove those files that exist, all in the same store; on ``gs://`` 100 in a request."""
    if not paths:
        return
    if objects.is_object(paths[0]):
        objects.delete_objects(paths)
        return
    for path in paths:
        fs, bare = filesystem(path)
        with contextlib.suppress(FileNotFoundError):
            fs.rm_file(bare)


def create(path: str, data: bytes) -> bool:
    """Write a small file unless there is one; returns whether it was written.

    On a local disk, on ``gs://`` and on ``s3://`` exactly one of several callers at once succeeds.

    Raises:
        CauldronError: a store other than a disk refuses to write.
    """
    fs, bare = filesystem(path)
    try:
        if objects.is_object(path):
            objects.write(path, data, None)
        elif isinstance(fs, LocalFileSystem):
            os.makedirs(os.path.dirname(bare), exist_ok=True)
            _create_local(bare, data)
        else:
            _create_remote(fs, bare, data)
    except (FileExistsError, objects.Changed):
        return False
    return True


def _create_remote(fs: AbstractFileSystem, path: str, data: bytes) -> None:
    """Raises FileExistsError, CauldronError."""
    try:
        fs.pipe_file(path, data, mode="create")
    except OSError as error:
        # s3fs says "invalid argument" when S3 refuses to overwrite.
        fs.invalidate_cache()
        if fs.exists(path):
            raise FileExistsError(path) from error
        place = fs.unstrip_protocol(path)
        remedy = "is the bucket there, and may you write to it?"
        raise CauldronError(f"cannot write {place}: {first_line(error)}; {remedy}") from error


def _create_local(path: str, data: bytes) -> None:
    """Written beside and linked, so that nobody sees it empty. Raises FileExistsError."""
    handle, written = tempfile.mkstemp(prefix=_TEMPORARY, dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.link(written, path)
    finally:
        os.unlink(written)


def modified(path: str) -> float:
    """When a file last changed, in seconds since the epoch. Raises FileNotFoundError."""
    fs, bare = filesystem(path)
    fs.invalidate_cache()
    return float(fs.modified(bare).timestamp())


def remove_temporaries(folder: str) -> None:
    """Remove temporary files of killed writers in `folder`. Nobody may be writing there.

    An object store has none, so the folder is not listed there, which takes a request for each
    1,000 files.
    """
    if not is_local(folder):
        return
    for path in list_files(folder):
        if PurePosixPath(path).name.startswith(_TEMPORARY):
            remove(path)


def read_bytes(path: str) -> bytes:
    """A whole file. Raises FileNotFoundError."""
    if objects.is_object(path):
        return objects.read(path)[0]
    with open_read(path) as file:
        return file.read()


def read_json(path: str) -> Any:
    return json.loads(read_bytes(path))


def write_json(path: str, value: Any) -> None:
    """Write JSON atomically, as `json_bytes`."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """With sorted keys: equal values give equal bytes.

    Args:
        default: turns an object inside that JSON does not know into one that it does.
    """
    encoder = json.JSONEncoder(indent=1, sort_keys=True, ensure_ascii=False, default=default)
    # Piece by piece: `dumps` holds a string for every line, ten times the bytes of a long manifest.
    text = io.BytesIO()
    for piece in encoder.iterencode(value):
        text.write(piece.encode())
    text.write(b"\n")
    return text.getvalue()


def write_bytes(path: str, data: bytes) -> None:
    with atomic_write(path) as file:
        file.write(data)


@contextlib.contextmanager
def atomic_write(path: str) -> Iterator[HashingWriter]:
    """Write a file atomically. On an exception nothing is left behind."""
    fs, bare = filesystem(path)
    opened = _local_atomic(bare) if isinstance(fs, LocalFileSystem) else _remote_atomic(fs, bare)
    checksum = objects.Checksum() if objects.is_object(path) else None
    with opened as file:
        writer = HashingWriter(file, checksum)
        try:
            yield writer
        except BaseException:
            writer.abandon()
            raise
    if checksum is not None:
        checksum.check(path)


@contextlib.contextmanager
def _remote_atomic(fs: AbstractFileSystem, path: str) -> Iterator[IO[bytes]]:
    file = fs.open(path, "wb")
    try:
        yield file
    except BaseException:
        # Closing would publish a partial file; discarding ends the upload.
        with contextlib.suppress(Exception):
            file.discard()
        file.closed = True
        raise
    file.close()


@contextlib.contextmanager
def _local_atomic(path: str) -> Iterator[IO[bytes]]:
    folder = os.path.dirname(path) or "."
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(
        prefix=_TEMPORARY, suffix=os.path.basename(path), dir=folder
    )
    try:
        # mkstemp creates files that only this user can read; set the usual permissions.
        umask = os.umask(0)
        os.umask(umask)
        os.fchmod(handle, 0o666 & ~umask)
        with os.fdopen(handle, "wb", buffering=1 << 20) as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
