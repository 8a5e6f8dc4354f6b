"""Published files: a root (the hub, a bucket or a folder) holds repositories, which hold files.

The interfaces are here, `folders.py` and `hub.py` implement them, and `roots.py` picks the one that
a user names.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import BinaryIO

from cauldron.core.errors import UsageError

HUB = "hub"


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file and the version of its content.

    Attributes:
        path: inside its repository, or absolute for files outside any.
        size: bytes.
        version: checksum, etag, blob id, or on a disk `content_version`; another one means another
            content.
    """

    path: str
    size: int
    version: str


class Repo(abc.ABC):
    """One dataset repository at one revision.

    Attributes:
        id: ``<org>/<name>``.
        commit: the commit that the revision resolved to; None if there are no revisions.
    """

    id: str
    commit: str | None

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """Its address, for messages."""

    @abc.abstractmethod
    def list(self, prefix: str = "") -> list[FileInfo]:
        """Every file in the folder `prefix`, recursively, or the file of that name; sorted by path,
        empty if there is none."""

    @abc.abstractmethod
    def open(self, path: str) -> BinaryIO:
        """Open for reading by range. Raises FileNotFoundError."""

    @abc.abstractmethod
    def exists(self, path: str) -> bool:
        """Whether there is a file at `path`."""


class Root(abc.ABC):
    """Where repositories live.

    Attributes:
        url: ``hub``, a URL, or an absolute path.
    """

    url: str

    @abc.abstractmethod
    def repo(self, repo_id: str, revision: str | None = None) -> Repo:
        """Find a repository, and resolve `revision` to a commit if there are revisions.

        Raises:
            cauldron.core.errors.SourceUnavailable: missing, gated, or no such revision.
        """

    @abc.abstractmethod
    def repo_at(self, repo_id: str, commit: str | None) -> Repo:
        """A repository that `repo` found before, maybe on another machine. Sends no request."""

    def restricted(self) -> list[str]:
        """Repositories that `repo` found and not everybody may read: gated or private ones."""
        return []

    @abc.abstractmethod
    def extra(self, path: str) -> str | None:
        """Where a file or folder named in a recipe is, or None if it is not there.

        Absolute paths and URLs are used unchanged. Relative paths are below the root; the hub has
        none. `open_at` and `list_at` of `cauldron.sources.repos.folders` open and list the result.

        Raises:
            cauldron.core.errors.UsageError: a URL of an unknown protocol.
        """


def check_repo_id(repo_id: str) -> None:
    """Raises UsageError unless `repo_id` is ``<org>/<name>``."""
    if not is_inside(repo_id) or repo_id.count("/") != 1:
        raise UsageError(f"{repo_id!r} is not a repository; write <org>/<name>")


def is_inside(path: str) -> bool:
    """Whether a relative POSIX path stays below the folder it is meant for.

    False for empty and absolute paths, ``..``, backslashes, drive letters and NUL. Paths in
    archives and published rows are not trusted.
    """
    if not path or path.startswith("/") or "\\" in path or "\0" in path:
        return False
    parts = path.split("/")
    return ".." not in parts and parts[0][1:2] != ":"
