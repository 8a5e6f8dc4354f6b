"""A double of the hub: serves ``FOLDER/<org>/<name>/…`` over the hub's own protocol.

Dataset info, revisions, the tree with ``Link`` paging, paths-info, auth-check, and resolve with
HEAD, ranges and, for large files, the redirect to another host. Missing, gated and unknown answer
with the hub's status and ``X-Error-Code``. A gated repository can be listed by anybody, as on the
hub; only its files are refused.

    with FakeHub(folder, page_size=2) as hub:
        hub.use(monkeypatch)
        hub.gate("OpenGVLab/ShareGPT-4o", token="hf_accepted")
        hub.fail(503, "/resolve/", times=2)
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import pytest
from huggingface_hub import HfFileSystem, close_session

from cauldron.core.hub.client import Health
from tests.doubles.web import Double, Request, Response

LARGE = (".parquet", ".zip", ".tar", ".gz", ".jsonl", ".json", ".jpg", ".png")


class FakeHub(Double):
    """The hub, over a folder.

    Args:
        folder: holds ``<org>/<name>/…``; files may change while the double runs.
        page_size: entries per page of a tree; the hub's own is 1000.
    """

    def __init__(self, folder: Path, page_size: int = 1000) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.page_size = page_size
        self._gates: dict[str, str] = {}
        self._private: dict[str, str] = {}
        self._revisions: dict[str, dict[str, Path]] = {}

    def use(self, monkeypatch: pytest.MonkeyPatch, token: str | None = None) -> None:
        """Point this process at the double; no other token of the machine counts."""
        monkeypatch.setenv("HF_ENDPOINT", self.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        # Once a day the client asks its default hub for more; this switches it off here and in
        # the processes that a test starts.
        monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nonexistent/token")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        if token is not None:
            monkeypatch.setenv("HF_TOKEN", token)
        health = Health()
        for module in ("calls", "client"):
            monkeypatch.setattr(f"cauldron.core.hub.{module}.HEALTH", health)
        close_session()  # one made before would not know the settings above
        HfFileSystem.clear_instance_cache()

    def gate(self, repo_id: str, token: str) -> None:
        """Refuse the files of a repository to all but `token`."""
        self._gates[repo_id] = token

    def hide(self, repo_id: str, token: str) -> None:
        """Make a repository private: to all but `token` it is not there."""
        self._private[repo_id] = token

    def add_revision(self, repo_id: str, name: str, folder: Path) -> str:
        """Another revision of a repository, with the files in `folder`; returns its commit."""
        self._revisions.setdefault(repo_id, {})[name] = Path(folder)
        return self.commit(repo_id, name)

    def commit(self, repo_id: str, revision: str = "main") -> str:
        """The commit that a revision stands for: it changes with the names and the content."""
        return _commit(self._folders(repo_id)[revision])

    def answer(self, request: Request) -> Response:
        # Revisions and folders come quoted as one part, so parts are unquoted one by one.
        raw = request.path.strip("/").split("/")
        if raw[:1] == ["cdn"]:
            return self._cdn(request)
        if raw[0] != "datasets" and raw[:2] != ["api", "datasets"]:
            return Response(404, b"the double has datasets only")
        repo_id = "/".join(raw[2:4] if raw[0] == "api" else raw[1:3])
        folders = self._folders(repo_id)
        if not folders["main"].is_dir() or not self._visible(request, repo_id):
            status = 404 if request.token else 401
            return _error(status, "RepoNotFound", "Repository not found")
        if raw[0] == "api":
            return self._api(request, repo_id, [unquote(part) for part in raw[4:]])
        revision, path = unquote(raw[4]), unquote("/".join(raw[5:]))
        return self._resolve(request, repo_id, revision, path)

    def _api(self, request: Request, repo_id: str, parts: list[str]) -> Response:
        call = parts[0] if parts else "revision"
        if call == "auth-check":
            return self._gate(request, repo_id) or Response()
        folder = self._folder(repo_id, parts[1] if len(parts) > 1 else "main")
        if folder is None:
            return _error(404, "RevisionNotFound", f"Invalid rev id: {parts[1]}")
        if call == "revision":
            return _json(self._info(repo_id, folder))
        if call == "tree":
            return self._tree(request, folder, "/".join(parts[2:]))
        if call == "paths-info":
            wanted = parse_qs(request.body.decode()).get("paths", [])
            return _json(
                [_entry(folder, folder / path) for path in wanted if _inside(folder, path)]
            )
        raise AssertionError(f"the double does not know {request.path}")

    def _info(self, repo_id: str, folder: Path) -> dict[str, Any]:
        return {
            "id": repo_id,
            "author": repo_id.split("/")[0],
            "sha": _commit(folder),
            "private": repo_id in self._private,
            "gated": "auto" if repo_id in self._gates else False,
            "disabled": False,
            "tags": [],
            "siblings": [{"rfilename": str(path.relative_to(folder))} for path in _files(folder)],
        }

    def _tree(self, request: Request, folder: Path, path: str) -> Response:
        top = folder / path
        if not top.is_dir():
            return _error(404, "EntryNotFound", f"{path} does not exist")
        recursive = request.query.get("recursive", "false").lower() == "true"
        found = sorted(top.rglob("*") if recursive else top.iterdir())
        first = int(request.query.get("cursor", 0))
        page = [_entry(folder, item) for item in found[first : first + self.page_size]]
        headers = {}
        if first + self.page_size < len(found):
            query = f"recursive={str(recursive).lower()}&cursor={first + self.page_size}"
            headers["Link"] = f'<{self.url}{request.path}?{query}>; rel="next"'
        return _json(page, headers)

    def _resolve(self, request: Request, repo_id: str, revision: str, path: str) -> Response:
        folder = self._folder(repo_id, revision)
        if folder is None:
            return _error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        refused = self._gate(request, repo_id)
        if refused is not None:
            return refused
        headers = {"X-Repo-Commit": _commit(folder)}
        if not _inside(folder, path) or not (folder / path).is_file():
            missing = _error(404, "EntryNotFound", "Entry not found")
            missing.headers.update(headers)
            return missing
        entry = _entry(folder, folder / path)
        headers["ETag"] = f'"{entry.get("lfs", entry)["oid"]}"'
        if "lfs" not in entry:
            return Response(200, (folder / path).read_bytes(), headers, ranged=True)
        headers["X-Linked-Size"] = str(entry["size"])
        headers["X-Linked-ETag"] = headers["ETag"]
        target = quote(str(folder / path))
        headers["Location"] = f"http://localhost:{self.port}/cdn/files{target}"
        return Response(302, b"", headers)

    def _cdn(self, request: Request) -> Response:
        if request.token is not None:
            return Response(400, b"a token must not leave the hub")
        path = Path(unquote(request.path).removeprefix("/cdn/files"))
        return Response(200, path.read_bytes(), {"ETag": f'"{_sha256(path)}"'}, ranged=True)

    def _folders(self, repo_id: str) -> dict[str, Path]:
        return {"main": self.folder / repo_id, **self._revisions.get(repo_id, {})}

    def _folder(self, repo_id: str, revision: str) -> Path | None:
        folders = self._folders(repo_id)
        if revision in folders:
            return folders[revision]
        return next((path for path in folders.values() if _commit(path) == revision), None)

    def _visible(self, request: Request, repo_id: str) -> bool:
        return repo_id not in self._private or request.token == self._private[repo_id]

    def _gate(self, request: Request, repo_id: str) -> Response | None:
        if repo_id not in self._gates or request.token == self._gates[repo_id]:
            return None
        return _error(403 if request.token else 401, "GatedRepo", f"Access to {repo_id} is gated")


def _inside(folder: Path, path: str) -> bool:
    return (folder / path).exists() and (folder / path).resolve().is_relative_to(folder.resolve())


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _commit(folder: Path) -> str:
    digest = hashlib.sha1()
    for path in _files(folder):
        digest.update(f"{path.relative_to(folder)}\0{_sha256(path)}\n".encode())
    return digest.hexdigest()


def _entry(folder: Path, path: Path) -> dict[str, Any]:
    relative = str(path.relative_to(folder))
    if path.is_dir():
        oid = hashlib.sha1(relative.encode()).hexdigest()
        return {"type": "directory", "oid": oid, "size": 0, "path": relative}
    size = path.stat().st_size
    oid = hashlib.sha1(f"blob {size}\0".encode() + path.read_bytes()).hexdigest()
    entry: dict[str, Any] = {"type": "file", "oid": oid, "size": size, "path": relative}
    if path.name.endswith(LARGE):
        entry["lfs"] = {"oid": _sha256(path), "size": size, "pointerSize": 134}
    return entry


_DIGESTS: dict[tuple[str, int, int], str] = {}


def _sha256(path: Path) -> str:
    stat = os.stat(path)
    key = (str(path), stat.st_size, stat.st_mtime_ns)
    if key not in _DIGESTS:
        _DIGESTS[key] = hashlib.sha256(path.read_bytes()).hexdigest()
    return _DIGESTS[key]


def _json(value: Any, headers: dict[str, str] | None = None) -> Response:
    content = {"Content-Type": "application/json", **(headers or {})}
    return Response(200, json.dumps(value).encode(), content)


def _error(status: int, code: str, message: str) -> Response:
    headers = {"X-Error-Code": code, "X-Error-Message": message}
    return Response(status, json.dumps({"error": message}).encode(), headers)
