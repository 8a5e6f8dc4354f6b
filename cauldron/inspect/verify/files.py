"""Check files against their manifests: complete, unchanged, and no others in the folder."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import BinaryIO

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from cauldron.core import storage
from cauldron.core.lock import LOCK
from cauldron.core.manifests import MANIFEST, HashedFile, RowFile

_CHUNK = 1024 * 1024
# Problems of one file that are listed; the rest are counted.
_SHOWN = 5


class HashedReader:
    """Reads a file from start to end and hashes it.

    Attributes:
        position: bytes read so far.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self.position = 0

    def read(self, size: int) -> bytes:
        """Read exactly `size` bytes. Raises ValueError if the file ends earlier."""
        data = self._file.read(size)
        self._sha256.update(data)
        self.position += len(data)
        if len(data) != size:
            raise ValueError(f"the file ends at {self.position}")
        return data

    def finish(self) -> str:
        """Read to the end; returns the SHA-256 of the whole file, hex."""
        while data := self._file.read(_CHUNK):
            self._sha256.update(data)
            self.position += len(data)
        return self._sha256.hexdigest()


def check_file(out: str, folder: str, entry: HashedFile) -> list[str]:
    """Check size, SHA-256 and, for files of rows, the number of rows."""
    path = f"{folder}/{entry.name}"
    problems: list[str] = []
    with reading(path, problems), storage.open_read(storage.join(out, path)) as file:
        reader = HashedReader(file)
        problems += hash_problems(path, entry, reader)
        if isinstance(entry, RowFile):
            file.seek(0)
            rows = _rows(file, entry.name)
            problems += differences(path, [("rows", rows, entry.rows)])
    return problems


def _rows(file: BinaryIO, name: str) -> int:
    if name.endswith(".parquet"):
        return int(pq.ParquetFile(file).metadata.num_rows)
    return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK), b""))


def hash_problems(path: str, entry: HashedFile, reader: HashedReader) -> list[str]:
    sha256 = reader.finish()
    if reader.position != entry.bytes:
        return differences(path, [("bytes", reader.position, entry.bytes)])
    if sha256 != entry.sha256:
        return [f"{path}: SHA-256 {sha256}, {MANIFEST} says {entry.sha256}"]
    return []


@contextlib.contextmanager
def reading(path: str, problems: list[str]) -> Iterator[None]:
    """Turn errors in reading `path` into problems, so that the other checks continue."""
    try:
        yield
    except FileNotFoundError:
        problems.append(f"{path}: missing, {MANIFEST} lists it")
    except (OSError, EOFError, ValueError, pa.ArrowException, duckdb.Error) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        problems.append(f"{path}: cannot be read: {text[:300]}")


def differences(where: str, figures: Iterable[tuple[str, object, object]]) -> list[str]:
    """One line per (what, found, said) for which the files and the manifest differ."""
    return [
        f"{where}: {what} {_figure(found)}, {MANIFEST} says {_figure(said)}"
        for what, found, said in figures
        if found != said
    ]


def _figure(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def first_few(path: str, problems: Iterator[str]) -> list[str]:
    """The first problems of a file, and the number of the others."""
    shown = [f"{path}: {problem}" for problem in islice(problems, _SHOWN)]
    more = sum(1 for _ in problems)
    return [*shown, f"{path}: and {more:,} more of this kind"] if more else shown


def file_problems(path: str, problems: Iterator[str]) -> list[str]:
    """`first_few` problems of a file; an error in reading it is one more."""
    found: list[str] = []
    with reading(path, found):
        found += first_few(path, problems)
    return found


def unlisted_files(out: str, folder: str, listed: set[str]) -> list[str]:
    """Files in a finished folder that its manifest does not list. Some reader may use them."""
    problems = []
    for path in storage.list_files(storage.join(out, folder)):
        name = path.rpartition("/")[2]
        if name.startswith(".tmp-"):
            problems.append(f"{folder}/{name}: a temporary file left behind; remove it")
        elif name not in listed and name != LOCK:
            problems.append(f"{folder}/{name}: no {MANIFEST} lists it; remove it")
    return problems
