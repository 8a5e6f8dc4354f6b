"""Repositories on the hub: a revision is resolved to a commit once, files are read by range.

`HF_ENDPOINT` and `HF_TOKEN` are read at every call, so that a worker uses its own environment and
no pickle contains a token. `HfApi` is asked whether a repository is missing, gated or refused, and
the user is told in one line. `HfFileSystem` reports a gated repository as missing, and anybody may
list a gated dataset on the hub, so without this check the first file would be refused.

Waiting, retrying and the limits of every request are those of `cauldron.core.hub`. What the hub
sends is checked here: lengths of ranges, and every entry of a listing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, TypeVar, cast

from cauldron.sources.repos.files import HUB, FileInfo, Repo, Root, check_repo_id, is_inside
from cauldron.sources.repos.folders import existing, is_absolute
from cauldron.sources.repos.ranges import RangeReader
from huggingface_hub import HfApi, HfFileSystem, HfFileSystemFile, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder

from cauldron.core.errors import CauldronError, SourceUnavailable, UsageError
from cauldron.core.hub.calls import HubError, Stumble, endpoint, patiently, shown_url

T = TypeVar("T")

DATASET = "dataset"
# A longer listing is taken for one without end.
MOST_FILES = 1_000_000
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


class HubRoot(Root):
    """The hub. One root resolves each revision once, so all sources of a build see one commit."""

    def __init__(self) -> None:
        self.url = HUB
        self._repos: dict[tuple[str, str | None], HubRepo] = {}
        self._restricted: list[str] = []

    def repo(self, repo_id: str, revision: str | None = None) -> Repo:
        check_repo_id(repo_id)
        key = (repo_id, revision)
        if key not in self._repos:
            commit, restricted = _resolve(repo_id, revision)
            self._repos[key] = HubRepo(repo_id, commit)
            if restricted:
                self._restricted.append(repo_id)
        return self._repos[key]

    def repo_at(self, repo_id: str, commit: str | None) -> Repo:
        assert commit is not None, f"{repo_id}: a repository on the hub has a commit"
        return HubRepo(repo_id, commit)

    def restricted(self) -> list[str]:
        return [*self._restricted]

    def extra(self, path: str) -> str | None:
        return existing(path) if is_absolute(path) else None

    def __reduce__(self) -> tuple[type[HubRoot], tuple[()]]:
        return HubRoot, ()


class HubRepo(Repo):
    """A dataset on the hub at a commit. Listings are cached, because a commit does not change."""

    def __init__(self, repo_id: str, commit: str) -> None:
        self.id = repo_id
        self.commit: str = commit
        self._listings: dict[str, list[FileInfo]] = {}
        self._known: dict[str, FileInfo] = {}

    @property
    def url(self) -> str:
        return f"hf://datasets/{self.id}@{self.commit}"

    def list(self, prefix: str = "") -> list[FileInfo]:
        prefix = prefix.strip("/")
        if prefix not in self._listings:
            found = self._tree(prefix)
            self._listings[prefix] = sorted(found, key=lambda file: file.path)
            self._known.update((file.path, file) for file in found)
        return [*self._listings[prefix]]

    def open(self, path: str) -> BinaryIO:
        info = self._info(path)
        if info is None:
            raise FileNotFoundError(f"{self.url} has no file {path!r}")
        ranges = _Ranges(self, info)
        return cast(BinaryIO, RangeReader(f"{self.url}/{path}", info.size, ranges.fetch))

    def exists(self, path: str) -> bool:
        return self._info(path) is not None

    def __reduce__(self) -> tuple[type[HubRepo], tuple[str, str]]:
        return HubRepo, (self.id, self.commit)

    def _info(self, path: str) -> FileInfo | None:
        if path not in self._known and is_inside(path):
            self._known.update((info.path, info) for info in self._paths_info(path))
        return self._known.get(path)

    def _tree(self, prefix: str) -> tuple[FileInfo, ...]:
        def ask() -> tuple[FileInfo, ...]:
            entries = HfApi(endpoint=endpoint()).list_repo_tree(
                self.id, prefix or None, recursive=True, revision=self.commit, repo_type=DATASET
            )
            return _file_infos(entries)

        try:
            return _call_hub(self.id, self.commit, ask)
        except EntryNotFoundError:
            return self._paths_info(prefix)

    def _paths_info(self, path: str) -> tuple[FileInfo, ...]:
        def ask() -> tuple[FileInfo, ...]:
            api = HfApi(endpoint=endpoint())
            return _file_infos(
                api.get_paths_info(self.id, [path], revision=self.commit, repo_type=DATASET)
            )

        return _call_hub(self.id, self.commit, ask)


class _File(HfFileSystemFile):
    """The file system's file with fewer requests: the size is given, so it is not looked up, and
    the address is given, so the folder is not listed."""

    def __init__(self, repo: HubRepo, info: FileInfo) -> None:
        fs = HfFileSystem(endpoint=endpoint())
        self._address = hf_hub_url(
            repo.id, info.path, repo_type=DATASET, revision=repo.commit, endpoint=fs.endpoint
        )
        super().__init__(fs, f"{repo.url}/{info.path}", size=info.size, cache_type="none")

    def url(self) -> str:
        return self._address


class _Ranges:
    """The bytes of one file, through the hub's own file system."""

    def __init__(self, repo: HubRepo, info: FileInfo) -> None:
        self._repo = repo
        self._info = info
        self._file: Any = None

    def fetch(self, start: int, stop: int) -> bytes:
        repo = self._repo
        if self._file is None:
            self._file = _call_hub(repo.id, repo.commit, lambda: _File(repo, self._info))
        return _call_hub(repo.id, repo.commit, lambda: self._fetch(start, stop))

    def _fetch(self, start: int, stop: int) -> bytes:
        self._file.seek(start)
        data = bytes(self._file.read(stop - start))
        if len(data) != stop - start:
            why = f"sends {len(data):,} bytes instead of {stop - start:,}"
            raise Stumble(self._file.url(), why)
        return data


def _resolve(repo_id: str, revision: str | None) -> tuple[str, bool]:
    """The commit of a revision, and whether its files are not for everybody; after a check that
    they may be read."""

    def ask() -> tuple[str, bool]:
        api = HfApi(endpoint=endpoint())
        info = api.dataset_info(repo_id, revision=revision)
        if info.gated:
            api.auth_check(repo_id, repo_type=DATASET)
        if not isinstance(info.sha, str) or not _COMMIT.fullmatch(info.sha):
            raise ValueError(f"the commit is {info.sha!r}")
        return info.sha, bool(info.gated or info.private)

    return _call_hub(repo_id, revision, ask)


def _call_hub(repo_id: str, revision: str | None, call: Callable[[], T]) -> T:
    """Call the hub, patiently. Other failures become one-line errors."""
    try:
        return patiently(call)
    except CauldronError:
        raise
    except Exception as error:
        shown = _user_error(error, repo_id, revision)
        if shown is None:
            raise
        raise shown from error


def _user_error(error: BaseException, repo_id: str, revision: str | None) -> CauldronError | None:
    """The error for the user, or None if `error` should be raised unchanged."""
    where = f"{endpoint()}/datasets/{repo_id}"
    if isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        # HfFileSystem reports other errors as a missing file.
        return _user_error(error.__cause__, repo_id, revision)
    if isinstance(error, GatedRepoError):
        remedy = f"accept the terms on its page {where} and set HF_TOKEN"
        return SourceUnavailable(repo_id, "gated on the hub", remedy)
    if isinstance(error, RevisionNotFoundError):
        remedy = "correct the revision in the recipe, or leave it out for the newest"
        return SourceUnavailable(repo_id, f"has no revision {revision!r}", remedy)
    if isinstance(error, RepositoryNotFoundError):
        remedy = f"look at {where}, and set HF_TOKEN where it is private"
        return SourceUnavailable(repo_id, "not found on the hub", remedy)
    if isinstance(error, HFValidationError):
        return UsageError(f"{repo_id!r} is not a repository on the hub; write <org>/<name>")
    if isinstance(error, EntryNotFoundError):
        return None
    if isinstance(error, HfHubHTTPError):
        why = f"{shown_url(error.response.request.url)} answers {error.response.status_code}"
        return SourceUnavailable(repo_id, why, "check HF_TOKEN and what it may read")
    if isinstance(error, HubError):
        if isinstance(error, Stumble) and error.status in (None, 429):
            return CauldronError(str(error))  # no other repository can be read either
        return SourceUnavailable(repo_id, f"{error.url} {error.why}", error.remedy)
    return None


def _file_infos(entries: Iterable[RepoFile | RepoFolder]) -> tuple[FileInfo, ...]:
    """The files of a listing. Raises ValueError for an entry that no repository can have."""
    found: dict[str, FileInfo] = {}
    for entry in entries:
        if not isinstance(entry, RepoFile):
            continue
        version = entry.lfs.sha256 if entry.lfs else entry.blob_id
        info = FileInfo(entry.path, entry.size, version)
        if not _is_file(info):
            raise ValueError(f"no file is {info.path!r:.200}, of size {info.size!r:.20}")
        if info.path in found:
            raise ValueError(f"{info.path!r} is listed twice")
        found[info.path] = info
        if len(found) > MOST_FILES:
            raise ValueError(f"more than {MOST_FILES:,} files")
    return tuple(found.values())


def _is_file(info: FileInfo) -> bool:
    values = (info.path, info.size, info.version)
    typed = [type(value) for value in values] == [str, int, str]
    return typed and is_inside(info.path) and info.size >= 0 and bool(info.version)
