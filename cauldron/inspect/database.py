"""DuckDB over the files of an output folder. It cannot write a file or see any other.

All files are read through an fsspec file system that knows a fixed set of names and opens them
for reading only, in local folders and in ``gs://``. Checking the SQL would not be enough:
``WITH a AS (COPY … TO 'listed file') SELECT …`` counts as a SELECT in DuckDB 2.0, and
`allowed_paths` would let it overwrite that file.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.stores.ranges import COALESCE_GAP

SCHEME = "cauldron"

# DuckDB prefetches up to 1 MB, across small gaps between columns. On a disk this only reads images
# that nobody needs. From a bucket it saves requests, but the gap must be smaller than any image.
_READ_LOCAL = "SET disable_parquet_prefetching = true"
_READ_REMOTE = f"SET parquet_prefetch_column_gap = {COALESCE_GAP}"

# Set after the files are named; the second makes the settings final.
_LOCKED = ("SET enable_external_access = false", "SET lock_configuration = true")
_CONFIG: dict[str, Any] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    # Otherwise DuckDB looks up unknown table names among the caller's Python variables.
    "python_enable_replacements": False,
}


class ListedFiles(AbstractFileSystem):  # type: ignore[misc]
    """A read-only file system of the named files of one folder, ``cauldron://<relative path>``.

    Args:
        out: local folder or URL.
        names: paths relative to `out`.

    Attributes:
        is_local: `out` is a local folder.

    Raises:
        CauldronError: a local file is a link to a place outside the folder.
    """

    protocol = SCHEME
    cachable = False

    def __init__(self, out: str, names: Iterable[str]) -> None:
        super().__init__(skip_instance_cache=True)
        self._fs, root = storage.filesystem(out)
        self.is_local = isinstance(self._fs, LocalFileSystem)
        self._paths = {name: f"{root.rstrip('/')}/{name}" for name in names}
        if self.is_local:
            _refuse_links_outside(root, self._paths.values())

    def _path(self, name: str) -> str:
        name = self._strip_protocol(name).lstrip("/")
        if name not in self._paths:
            raise FileNotFoundError(f"{name} is not part of this output")
        return self._paths[name]

    def _open(self, path: str, mode: str = "rb", **_: Any) -> io.RawIOBase:
        if mode != "rb":
            raise PermissionError(f"{path}: an output folder is only read here")
        real = self._path(path)
        return _LocalRanges(real) if self.is_local else _RemoteRanges(self._fs, real)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        size = self._fs.info(self._path(path))["size"]
        return {"name": self._strip_protocol(path), "size": size, "type": "file"}

    def glob(self, path: str, **_: Any) -> list[str]:
        """The file itself: ``*`` and ``[`` have no special meaning here."""
        name = self._strip_protocol(path).lstrip("/")
        return [name] if name in self._paths else []

    def modified(self, path: str) -> datetime:
        """A constant, because listed files never change."""
        return datetime.fromtimestamp(0, UTC)


class _Ranges(io.RawIOBase):
    """A file that is read by range from several threads at once.

    DuckDB's threads share the file, and seek and read in two calls. So each thread has a position
    of its own.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self._positions: dict[int, int] = {}

    def fetch(self, start: int, end: int) -> bytes:
        raise NotImplementedError

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self.size}[whence]
        self._positions[threading.get_ident()] = base + offset
        return base + offset

    def tell(self) -> int:
        return self._positions.get(threading.get_ident(), 0)

    def read(self, size: int = -1) -> bytes:
        start = self.tell()
        end = self.size if size < 0 else min(start + size, self.size)
        data = self.fetch(start, end) if end > start else b""
        self._positions[threading.get_ident()] = start + len(data)
        return data

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


class _LocalRanges(_Ranges):
    _handle = -1  # `close` runs even if the file could not be opened

    def __init__(self, path: str) -> None:
        self._handle = os.open(path, os.O_RDONLY)
        super().__init__(os.fstat(self._handle).st_size)

    def fetch(self, start: int, end: int) -> bytes:
        return os.pread(self._handle, end - start, start)

    def close(self) -> None:
        if not self.closed and self._handle >= 0:
            os.close(self._handle)
        super().close()


class _RemoteRanges(_Ranges):
    """Fetches exactly the wanted bytes. The read-ahead of fsspec would fetch images too."""

    def __init__(self, fs: AbstractFileSystem, path: str) -> None:
        super().__init__(int(fs.info(path)["size"]))
        self._fs, self._path = fs, path

    def fetch(self, start: int, end: int) -> bytes:
        return bytes(self._fs.cat_file(self._path, start=start, end=end))


def _refuse_links_outside(root: str, paths: Iterable[str]) -> None:
    inside = os.path.realpath(root) + os.sep
    for path in paths:
        if not os.path.realpath(path).startswith(inside):
            raise CauldronError(f"{path} is a link to outside {root}: put the file itself there")


@contextlib.contextmanager
def open_database(
    out: str, names: Sequence[str], memory: int | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory DuckDB that can read the named files of `out`, no other file and no network.

    Args:
        names: paths relative to `out`.
        memory: bytes that DuckDB may hold; None: its default, 80 % of the machine's.

    Yields:
        A connection; its results must not be used after the block. Data that does not fit in
        memory is spilled to a folder that is removed at the end.
    """
    files = ListedFiles(out, names)
    with (
        tempfile.TemporaryDirectory(prefix="cauldron-query-") as spill,
        # The file system stays registered: DuckDB's threads may still have files of an abandoned
        # result open, and the process would crash without it.
        contextlib.closing(duckdb.connect(":memory:", config=_CONFIG)) as connection,
    ):
        connection.register_filesystem(files)
        connection.execute(f"SET temp_directory = {quoted(spill)}")
        if memory is not None:
            connection.execute(f"SET memory_limit = '{memory}B'")
        connection.execute(f"SET allowed_paths = {path_list(names)}")
        for statement in (_READ_LOCAL if files.is_local else _READ_REMOTE, *_LOCKED):
            connection.execute(statement)
        yield connection


def one_row(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[object] = ()
) -> tuple[Any, ...]:
    """The only row of a result."""
    # All rows are fetched: DuckDB takes no new query while a result is open.
    rows = connection.execute(sql, list(parameters)).fetchall()
    assert len(rows) == 1, sql
    return tuple(rows[0])


def quoted(text: str) -> str:
    """The text as a SQL string."""
    return "'" + text.replace("'", "''") + "'"


def path_list(names: Iterable[str]) -> str:
    """A SQL list of the files' paths."""
    return "[" + ", ".join(quoted(f"{SCHEME}://{name}") for name in names) + "]"


def scan(names: Iterable[str], **options: bool) -> str:
    """A SQL expression that reads parquet files."""
    settings = "".join(f", {key} = {str(value).lower()}" for key, value in options.items())
    return f"read_parquet({path_list(names)}, hive_partitioning = false{settings})"
