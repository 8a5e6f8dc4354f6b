"""Finds the benchmark that a user names with ``--against NAME=PATH``.

PATH may be a parquet, TSV or image file, a folder, ``gs://…``, or a dataset repository,
``org/name[@revision][:configuration]``. If it exists on this machine it is a path. Otherwise it is
a repository under the build's root, which may be the hub; ``hf://datasets/org/name`` is always on
the hub.

A folder is not trusted: nothing is read through a link that leads out of it. The hub's own cache is
the exception, because its snapshots are links into ``blobs`` beside them.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from cauldron.sources.files import HUB, FileInfo, Repo, Root
from cauldron.sources.folders import FolderRepo, existing
from cauldron.sources.roots import open_root

from cauldron.core import storage
from cauldron.core.errors import SourceUnavailable, UsageError

_HUB_ID = re.compile(
    r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?(?::(?P<config>[\w. -]+))?"
)
_HUB_URL = "hf://datasets/"
# Nothing is fetched from the web: an address may be private, or its content may change.
_PROTOCOLS = ("gs", "gcs", "s3", "file")
_CACHE_SNAPSHOT = re.compile(r"(?P<repo>.*/datasets--[^/]+)/snapshots/.+")
_FOLDERS_NAMED = 40


@dataclass(frozen=True)
class Place:
    """A benchmark's files.

    Attributes:
        repo: opens and lists them.
        only: the one file to read, "" for all.
        config: the one configuration to read, "" for all.
        revision: as the user wrote it.
    """

    repo: Repo
    only: str = ""
    config: str = ""
    revision: str | None = None

    def files(self) -> list[FileInfo]:
        """The files to read, sorted by path. Raises UsageError."""
        there = self.repo.list(self.only)
        if not self.config:
            return there
        found = [file for file in there if self.config in _names(file.path)]
        if not found:
            folders = sorted({file.path.split("/")[0] for file in there if "/" in file.path})
            known = ", ".join(folders[:_FOLDERS_NAMED]) or "it has no folders"
            what = f"{self.repo.id} has no configuration {self.config!r}"
            raise UsageError(f"{what}; there are: {known}")
        return found


def _names(path: str) -> tuple[str, ...]:
    """Names of a file's configuration: the folders above it and its own stem."""
    pure = PurePosixPath(path)
    return (*pure.parts[:-1], pure.stem)


class FolderPlace(FolderRepo):
    """Any folder, on disk or in a bucket.

    Args:
        url: of the folder.
        name: for messages and manifests; None: `url`.
        only: a file that is read even if it is a link, because the user named it.
    """

    def __init__(self, url: str, name: str | None = None, only: str = "") -> None:
        self.id = name or url
        self.commit = None
        self._url = url
        self._own = _own_paths(url, only)

    def list(self, prefix: str = "") -> list[FileInfo]:
        """As in `Repo.list`. Raises UsageError for a file behind a link that leads outside."""
        files = super().list(prefix)
        for file in files:
            if not self._is_own(file.path):
                path = storage.join(self._url, file.path)
                raise UsageError(f"{path} is a link that leads out of its folder; copy the file")
        return files

    def open(self, path: str) -> BinaryIO:
        if not self._is_own(path):
            raise FileNotFoundError(f"{path!r} is not a path inside {self.id}")
        return super().open(path)

    def _is_own(self, path: str) -> bool:
        if not self._own:
            return True  # a bucket has no links
        folder = storage.filesystem(self._url)[1]
        real = os.path.realpath(os.path.join(folder, path))
        return any(real == own or real.startswith(f"{own}/") for own in self._own)


def _own_paths(url: str, only: str) -> tuple[str, ...]:
    """The real paths that may contain the files of a folder; none for a bucket."""
    if not storage.is_local(url):
        return ()
    folder = storage.filesystem(url)[1].rstrip("/")
    snapshot = _CACHE_SNAPSHOT.fullmatch(os.path.abspath(folder))
    own = [folder, *([f"{snapshot['repo']}/blobs"] if snapshot else [])]
    if only:
        own.append(os.path.join(folder, only))
    return tuple(os.path.realpath(path or "/").rstrip("/") for path in own)


def find_place(path: str, root: Root) -> Place:
    """Find the file, folder or repository at `path`.

    Raises:
        UsageError: it is neither there nor the name of a repository.
        SourceUnavailable: the repository is missing or gated.
    """
    if path.startswith(_HUB_URL):
        return _repository(path.removeprefix(_HUB_URL), open_root(None))
    protocol, separator, _ = path.partition("://")
    if separator and (protocol not in _PROTOCOLS or "::" in path):
        raise UsageError(f"{protocol}:// is not read; download the files first")
    expanded = os.path.expanduser(path)
    location = path if separator else os.path.abspath(expanded)
    if existing(location) is not None:
        return _folder_or_file(location.rstrip("/") or "/")
    if separator or os.path.isabs(expanded):
        raise UsageError(f"there is nothing at {path}")
    return _repository(path, root)


def _folder_or_file(location: str) -> Place:
    fs, bare = storage.filesystem(location)
    if fs.isdir(bare):
        return Place(FolderPlace(location))
    folder, _, name = location.rpartition("/")
    return Place(FolderPlace(folder or "/", location, name), only=name)


def _repository(name: str, root: Root) -> Place:
    match = _HUB_ID.fullmatch(name)
    if match is None:
        raise UsageError(
            f"there is no file or folder {name}, and it is no repository: "
            "org/name, org/name@revision or org/name:configuration"
        )
    try:
        repo = root.repo(match["repo"], match["revision"])
    except SourceUnavailable as error:
        if root.url == HUB:
            raise
        remedy = f"put the files there, or write {_HUB_URL}{name} to read them from the hub"
        raise SourceUnavailable(match["repo"], error.why, remedy) from error
    if isinstance(repo, FolderRepo):
        repo = FolderPlace(repo.url, repo.id)
    return Place(repo, config=match["config"] or "", revision=match["revision"])
