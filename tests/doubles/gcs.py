"""A double of Google Cloud Storage: the part of its JSON API that gcsfs and its own client use.

Buckets, listing with prefix, delimiter and pages, metadata, ranged reads, the three kinds of
upload, delete one by one and in batches, copy, rewrite and move. Buckets come to be when they are
written to, unless the double was given their names.

    with FakeGcs(["bucket"], page_size=2) as store:
        store.use(monkeypatch)
        store.put("bucket", "a/b.txt", b"hello")
        store.fail(503, "/download/", times=2)
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import fsspec
import google_crc32c
import pytest

from tests.doubles.web import Double, Request, Response

UPLOADED_PARTLY = 308
CANCELLED = 499  # what the store answers to a cancelled upload


@dataclass(frozen=True)
class Object:
    data: bytes
    generation: int
    content_type: str
    metadata: dict[str, str]


@dataclass
class Session:
    """A resumable upload that is under way; nobody sees it before its last byte."""

    bucket: str
    name: str
    about: dict[str, Any]
    condition: str | None
    data: bytearray


class FakeGcs(Double):
    """An object store in memory.

    Args:
        buckets: names of the buckets that are there.
        page_size: entries per page of a listing; the store's own is 1000.
    """

    def __init__(self, buckets: Iterable[str] = ("bucket",), page_size: int = 1000) -> None:
        super().__init__()
        self.page_size = page_size
        self._buckets: dict[str, dict[str, Object]] = {name: {} for name in buckets}
        self._sessions: dict[str, Session] = {}
        self._count = itertools.count(1)
        self._state = threading.RLock()
        self._spoiled: list[str] = []
        self._lags: dict[str, int] = {}
        self._left_out: dict[int, int] = {}  # by generation, how often

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Point this process, and those it starts, at the double; without credentials."""
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", self.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        for protocol in ("gs", "gcs"):
            monkeypatch.setenv(f"FSSPEC_{protocol.upper()}_TOKEN", "anon")
            monkeypatch.setitem(fsspec.config.conf, protocol, {"token": "anon"})
        # gcsfs asks for a bucket's kind over gRPC, which no emulator speaks: a minute per bucket.
        monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        extended = sys.modules.get("gcsfs.extended_gcsfs")
        if extended is not None:

            async def flat(*_: object) -> Any:
                return extended.BucketType.NON_HIERARCHICAL

            monkeypatch.setattr(extended.ExtendedGcsFileSystem, "_get_bucket_type", flat)
        fsspec.get_filesystem_class("gs").clear_instance_cache()

    def put(self, bucket: str, name: str, data: bytes) -> None:
        """Put an object there behind the back of every client."""
        self._store(bucket, name, data, {})

    def spoil(self, name: str, times: int = 1) -> None:
        """Of the next `times` transfers of an object with `name` in its name, change a byte: of
        what is sent, or of what is kept."""
        self._spoiled += [name] * times

    def lag(self, name: str, listings: int) -> None:
        """Leave each object with `name` in its name out of the first `listings` listings in which
        it belongs."""
        self._lags[name] = listings

    def _lagging(self, bucket: str, name: str) -> bool:
        most = max((n for part, n in self._lags.items() if part in name), default=0)
        generation = self._buckets[bucket][name].generation
        times = self._left_out.get(generation, 0)
        self._left_out[generation] = times + 1
        return times < most

    def objects(self, bucket: str) -> dict[str, bytes]:
        """What a reader sees: whole objects by name."""
        with self._state:
            return {name: item.data for name, item in sorted(self._buckets[bucket].items())}

    @property
    def unfinished(self) -> int:
        """Uploads that were begun and neither finished nor cancelled."""
        return len(self._sessions)

    def answer(self, request: Request) -> Response:
        raw = request.path.strip("/").split("/")
        with self._state:
            if raw[0] == "batch":
                return self._batch(request)
            head = raw.index("v1") + 1
            bucket = unquote(raw[head + 1]) if len(raw) > head + 1 else ""
            if bucket not in self._buckets:
                return _error(404, f"no bucket {bucket!r}")
            rest = [unquote(part) for part in raw[head + 3 :]]
            if raw[0] == "upload":
                return self._upload(request, bucket)
            if len(raw) == head + 2:
                return _json({"kind": "storage#bucket", "name": bucket, "id": bucket})
            if not rest:
                return self._list(request, bucket)
            return self._object(request, bucket, rest)

    def _object(self, request: Request, bucket: str, rest: list[str]) -> Response:
        name, *command = rest
        item = self._buckets[bucket].get(name)
        if item is None:
            return _error(404, f"no object {bucket}/{name}")
        if command:
            return self._copy(request, bucket, name, command)
        if request.method == "DELETE":
            if not _matches(item, request.query.get("ifGenerationMatch")):
                return _error(412, "the object has another generation")
            del self._buckets[bucket][name]
            return Response(204)
        about = self._about(bucket, name)
        if request.query.get("alt") != "media":
            return _json(about)
        headers = {
            "Content-Type": item.content_type,
            "ETag": about["etag"],
            "X-Goog-Hash": f"crc32c={about['crc32c']},md5={about['md5Hash']}",
            "X-Goog-Generation": about["generation"],
            "X-Goog-Stored-Content-Length": about["size"],
        }
        return Response(200, self._transferred(name, item.data), headers, ranged=True)

    def _transferred(self, name: str, data: bytes) -> bytes:
        spoiled = next((part for part in self._spoiled if part in name), None)
        if spoiled is None or not data:
            return data
        self._spoiled.remove(spoiled)
        return bytes([data[0] ^ 1]) + data[1:]

    def _copy(self, request: Request, bucket: str, name: str, command: list[str]) -> Response:
        item = self._buckets[bucket][name]
        target = (bucket, command[2]) if command[0] == "moveTo" else (command[2], command[4])
        if target[0] not in self._buckets:
            return _error(404, f"no bucket {target[0]!r}")
        about = self._store(*target, item.data, {"contentType": item.content_type})
        if command[0] == "moveTo":
            del self._buckets[bucket][name]
        if command[0] != "rewriteTo":
            return _json(about)
        sizes = {"objectSize": about["size"], "totalBytesRewritten": about["size"]}
        return _json({"kind": "storage#rewriteResponse", "done": True, "resource": about, **sizes})

    def _list(self, request: Request, bucket: str) -> Response:
        prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
        found: dict[str, bool] = {}  # name or folder, whether it is a folder
        for name in sorted(self._buckets[bucket]):
            if not name.startswith(prefix) or name < request.query.get("startOffset", ""):
                continue
            if self._lagging(bucket, name):
                continue
            rest = name[len(prefix) :]
            cut = rest.find(delimiter) if delimiter else -1
            found[name if cut < 0 else prefix + rest[: cut + len(delimiter)]] = cut >= 0
        first = int(request.query.get("pageToken", 0))
        size = min(self.page_size, int(request.query.get("maxResults", self.page_size)))
        page = list(found.items())[first : first + size]
        answer: dict[str, Any] = {
            "kind": "storage#objects",
            "prefixes": [name for name, folder in page if folder],
            "items": [self._about(bucket, name) for name, folder in page if not folder],
        }
        if first + size < len(found):
            answer["nextPageToken"] = str(first + size)
        return _json({key: value for key, value in answer.items() if value})

    def _upload(self, request: Request, bucket: str) -> Response:
        if "upload_id" in request.query:
            return self._resume(request)
        condition = request.query.get("ifGenerationMatch")
        kind = request.query["uploadType"]
        if kind == "resumable":
            about = json.loads(request.body or b"{}")
            about.setdefault("contentType", request.headers.get("x-upload-content-type"))
            name = request.query.get("name") or about["name"]
            key = f"session{next(self._count)}"
            self._sessions[key] = Session(bucket, name, about, condition, bytearray())
            where = f"{self.url}{request.path}?uploadType=resumable&upload_id={key}"
            return Response(200, headers={"Location": where})
        if kind == "multipart":
            about, data = _parts(request)
        else:
            about = {"contentType": request.headers.get("content-type")}
            data = request.body
        return self._publish(
            bucket, request.query.get("name") or about["name"], data, about, condition
        )

    def _resume(self, request: Request) -> Response:
        key = request.query["upload_id"]
        session = self._sessions.get(key)
        if session is None:
            return _error(410, "the upload is over")
        if request.method == "DELETE":
            del self._sessions[key]
            return Response(CANCELLED)
        span, _, total = request.headers.get("content-range", "bytes */*")[6:].partition("/")
        if span != "*":
            start = int(span.split("-")[0])
            if start > len(session.data):
                return _error(400, "a part of the upload is missing")
            session.data[start:] = request.body  # a repeated part replaces itself
        elif request.body:
            session.data[:] = request.body
        if total not in ("", "*") and len(session.data) == int(total):
            del self._sessions[key]
            return self._publish(
                session.bucket, session.name, bytes(session.data), session.about, session.condition
            )
        headers = {"Range": f"bytes=0-{len(session.data) - 1}"} if session.data else {}
        return Response(UPLOADED_PARTLY, headers=headers)

    def _publish(
        self, bucket: str, name: str, data: bytes, about: dict[str, Any], condition: str | None
    ) -> Response:
        if not _matches(self._buckets[bucket].get(name), condition):
            return _error(412, "the object has another generation")
        return _json(self._store(bucket, name, self._transferred(name, data), about))

    def _store(self, bucket: str, name: str, data: bytes, about: dict[str, Any]) -> dict[str, Any]:
        with self._state:
            kind = about.get("contentType") or "application/octet-stream"
            item = Object(data, next(self._count), kind, about.get("metadata") or {})
            self._buckets.setdefault(bucket, {})[name] = item
            return self._about(bucket, name)

    def _about(self, bucket: str, name: str) -> dict[str, Any]:
        item = self._buckets[bucket][name]
        # A time made of the generation: two equal runs see equal times.
        time = f"2025-01-01T{item.generation // 3600 % 24:02}:{item.generation // 60 % 60:02}"
        stamp = f"{time}:{item.generation % 60:02}.000Z"
        return {
            "kind": "storage#object",
            "id": f"{bucket}/{name}/{item.generation}",
            "name": name,
            "bucket": bucket,
            "generation": str(item.generation),
            "metageneration": "1",
            "size": str(len(item.data)),
            "md5Hash": base64.b64encode(hashlib.md5(item.data).digest()).decode(),
            "crc32c": base64.b64encode(google_crc32c.value(item.data).to_bytes(4, "big")).decode(),
            "etag": f"etag{item.generation}",
            "timeCreated": stamp,
            "updated": stamp,
            "contentType": item.content_type,
            "storageClass": "STANDARD",
            "metadata": item.metadata,
        }

    def _batch(self, request: Request) -> Response:
        answers = []
        calls = re.findall(rb"DELETE (?:\S*?)/storage/v1/b/([^/\s]+)/o/([^?\s]+)", request.body)
        for bucket, name in calls:
            objects = self._buckets.get(unquote(bucket.decode()), {})
            gone = objects.pop(unquote(name.decode()), None)
            status = "404 Not Found" if gone is None else "204 No Content"
            answers.append(
                f"\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {status}\r\n\r\n\r\n"
            )
        body = "".join(f"--batch0{answer}" for answer in answers) + "--batch0--"
        headers = {"Content-Type": "multipart/mixed; boundary=batch0"}
        return Response(200, body.encode(), headers)


def _matches(item: Object | None, condition: str | None) -> bool:
    """Whether an object, or its absence, is what ``ifGenerationMatch`` asks for."""
    return condition is None or int(condition) == (0 if item is None else item.generation)


def _parts(request: Request) -> tuple[dict[str, Any], bytes]:
    """Metadata and data of a multipart upload; clients differ in how they end a line."""
    kind = request.headers["content-type"]
    boundary = b"--" + kind.partition("boundary=")[2].strip("\"'").encode()
    end = b"\r\n" if request.body[len(boundary) :].startswith(b"\r\n") else b"\n"
    _, about, rest = request.body.split(boundary + end, 2)
    head, data = rest.split(end + end, 1)
    content_type = re.search(rb"content-type: *(\S+)", head.lower())
    parsed = json.loads(about.split(end + end, 1)[1])
    if content_type is not None:
        parsed.setdefault("contentType", content_type[1].decode())
    return parsed, data[: data.rindex(end + boundary)]


def _json(value: Any) -> Response:
    return Response(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def _error(status: int, message: str) -> Response:
    error = {"error": {"code": status, "message": message}}
    return Response(status, json.dumps(error).encode(), {"Content-Type": "application/json"})
