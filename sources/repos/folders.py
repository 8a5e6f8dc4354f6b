"""Repositories in a folder, on disk or on anything that fsspec opens (``gs://``).

The folder is laid out like the hub: ``ROOT/<org>/<name>/…``. Files open for reading by range, so
that reading a parquet footer or one member of a zip does not fetch the whole file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from cauldron.sources.repos.files import FileInfo, Repo, Root, check_repo_id, is_inside
from cauldron.sources.repos.ranges import RangeReader, ShortReadError, retry
from cauldron.sources.repos.versions import content_version
from fsspec.implementations.local import LocalFileSystem

from cauldron.core import storage
from cauldron.core.errors import SourceUnavailable, first_line

# Threads that read the ends of files.
_READERS = 16


class FolderRoot(Root):
    """Repositories in a folder, on disk or on anything that fsspec opens (``gs://``)."""

    def __init__(self, url: str) -> None:
        self.url = _explicit(url)

    def repo(self, repo_id: str, revision: str | None = None) -> Repo:
        """As in `Root.repo`; a folder has one revision, so `revision` is ignored."""
        repo = FolderRepo(self.url, repo_id)
        remedy = f"put the files there as published, or read {repo_id} from the hub"
        try:
            if not is_folder(self.url):
                raise SourceUnavailable(repo_id, f"the root {self.url} does not exist", remedy)
            if not is_folder(repo.url):
                raise SourceUnavailable(repo_id, f"there is no folder {repo.url}", remedy)
        except OSError as error:
            why = f"cannot look into {self.url} ({first_line(error)})"
            raise SourceUnavailable(repo_id, why, "check the credentials and rights") from error
        return repo

    def repo_at(self, repo_id: str, commit: str | None) -> Repo:
        return FolderRepo(self.url, repo_id)

    def extra(self, path: str) -> str | None:
        return existing(path if is_absolute(path) else storage.join(self.url, path))


class FolderRepo(Repo):
    """``ROOT/<org>/<name>`` in a folder or bucket; there are no revisions, so no commit."""

    def __init__(self, root_url: str, repo_id: str) -> None:
        check_repo_id(repo_id)
        self.id = repo_id
        self.commit = None
        self._url = storage.join(root_url, repo_id)

    @property
    def url(self) -> str:
        return self._url

    def list(self, prefix: str = "") -> list[FileInfo]:
        prefix = prefix.strip("/")
        if prefix and not is_inside(prefix):
            return []
        return _walk(self._url, prefix)

    def open(self, path: str) -> BinaryIO:
        # Paths may come from published rows; none may lead outside the repository.
        if not is_inside(path):
            raise FileNotFoundError(f"{path!r} is not a path inside {self.id}")
        return open_at(storage.join(self._url, path))

    def exists(self, path: str) -> bool:
        fs, bare = storage.filesystem(storage.join(self._url, path))
        return is_inside(path) and bool(fs.isfile(bare))


class Folder(FolderRepo):
    """Any folder or bucket, in no particular layout, that a recipe names by path or address."""

    def __init__(self, url: str) -> None:
        self.id = self._url = _explicit(url)
        self.commit = None


def open_at(location: str) -> BinaryIO:
    """Open a path or URL for reading by range. Raises FileNotFoundError."""
    fs, bare = storage.filesystem(location)
    if isinstance(fs, LocalFileSystem):
        return storage.open_read(location)
    size = int(fs.info(bare)["size"])

    def fetch(start: int, stop: int) -> bytes:
        data = bytes(fs.cat_file(bare, start=start, end=stop))
        if len(data) != stop - start:
            raise ShortReadError(f"{location}: {len(data)} bytes instead of {stop - start}")
        return data

    def fetch_again(start: int, stop: int) -> bytes:
        # The file system retries failed requests but accepts an answer of the wrong length.
        return retry(lambda: fetch(start, stop), _delay, attempts=3)

    return cast(BinaryIO, RangeReader(location, size, fetch_again))


def list_at(location: str) -> list[FileInfo]:
    """Every file below a folder, recursively, with paths relative to it, sorted."""
    return _walk(location, "")


def existing(location: str) -> str | None:
    """The location, or None if nothing is there. Raises UsageError for an unknown protocol."""
    return location if storage.exists(location) else None


def is_folder(url: str) -> bool:
    """Whether there is a folder at a path or URL. Raises OSError if the storage refuses to say."""
    fs, bare = storage.filesystem(url)
    try:
        return bool(fs.info(bare)["type"] == "directory")  # fs.isdir hides a refusal
    except FileNotFoundError:
        return False


def is_absolute(path: str) -> bool:
    return "://" in path or os.path.isabs(os.path.expanduser(path))


def info_at(location: str) -> FileInfo:
    """Size and version of a file, or of all files of a folder as one. Raises FileNotFoundError."""
    fs, bare = storage.filesystem(location)
    entry = fs.info(bare)
    if entry["type"] != "directory":
        return FileInfo(location, int(entry["size"]), _version(entry))
    files = _walk(location, "")
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.path}\0{file.size}\0{file.version}\n".encode())
    version = f"{len(files)}-{digest.hexdigest()[:32]}"
    return FileInfo(location, sum(file.size for file in files), version)


def _walk(base: str, prefix: str) -> list[FileInfo]:
    fs, bare = storage.filesystem(base)
    if isinstance(fs, LocalFileSystem):
        found = _walk_local(bare, prefix)
    else:
        top = f"{bare}/{prefix}" if prefix else bare
        entries = fs.find(top, detail=True)
        found = [
            FileInfo(name[len(bare) :].lstrip("/"), int(entry["size"]), _version(entry))
            for name, entry in entries.items()
            if entry["type"] == "file"
        ]
    return sorted((file for file in found if not _hidden(file.path)), key=lambda file: file.path)


def _walk_local(base: str, prefix: str) -> list[FileInfo]:
    top = os.path.join(base, prefix) if prefix else base
    if os.path.isfile(top):
        return [_local_info(top, base)]
    found: list[str] = []
    seen: set[str] = set()
    # Users keep datasets behind links; a link that leads back up is followed once.
    for folder, folders, names in os.walk(top, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = [os.path.join(folder, name) for name in names]
        found += [path for path in paths if os.path.isfile(path)]
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(lambda path: _local_info(path, base), found))


def _local_info(path: str, base: str) -> FileInfo:
    relative = PurePosixPath(os.path.relpath(path, base)).as_posix()
    return FileInfo(relative, os.stat(path).st_size, content_version(path))


def _hidden(path: str) -> bool:
    """Whether a file is in a folder of git or a download tool (``.git``, ``.cache``)."""
    return any(part.startswith(".") for part in path.split("/")[:-1])


def _version(entry: dict[str, Any]) -> str:
    """The version in an fsspec entry: a checksum, else an etag, else of the content on a disk,
    else a time."""
    for key in ("md5Hash", "crc32c", "etag", "ETag"):
        if entry.get(key):
            return str(entry[key]).strip('"')
    if "ino" in entry:
        return content_version(entry["name"])
    times: Iterable[str] = ("mtime", "updated", "LastModified", "created")
    stamp = next((str(entry[key]) for key in times if entry.get(key)), "")
    return f"{entry['size']}-{stamp}"


def _explicit(url: str) -> str:
    if "://" in url:
        return url.rstrip("/")
    return os.path.abspath(os.path.expanduser(url))


def _delay(error: Exception, attempt: int) -> float | None:
    return float(attempt) if isinstance(error, ShortReadError) else None
