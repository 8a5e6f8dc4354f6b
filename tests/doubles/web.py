"""What the doubles of the hub and of the object store share: a threaded server that can misbehave.

A double keeps every request it answered, and faults are ordered before they are needed:
``double.fail(503, "/tree/", times=2)`` makes the next two requests whose path contains ``/tree/``
fail.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

FAIL, CUT, SHORTEN, IGNORE_RANGE = "fail", "cut", "shorten", "ignore_range"


@dataclass
class Request:
    """A request; `path` is as sent, quoted, without the query."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def parts(self) -> list[str]:
        return [unquote(part) for part in self.path.strip("/").split("/")]

    @property
    def token(self) -> str | None:
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        return value if scheme == "Bearer" else None


@dataclass
class Response:
    """An answer; `body` is the whole of a file where the request may ask for a range of it."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    ranged: bool = False


@dataclass
class Answered:
    """A line of the log: what was asked, and how much was sent."""

    method: str
    path: str
    range: str | None
    token: str | None
    status: int
    sent: int


@dataclass
class Fault:
    kind: str
    path: str
    method: str
    left: int
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)


class Double:
    """A server on a free port of 127.0.0.1; a context manager."""

    def __init__(self) -> None:
        self.log: list[Answered] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    def answer(self, request: Request) -> Response:
        raise NotImplementedError

    @property
    def port(self) -> int:
        assert self._server is not None, "use the double as a context manager"
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fail(
        self,
        status: int,
        path: str = "",
        times: int = 1,
        *,
        method: str = "",
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer the next `times` requests whose path contains `path` with `status`."""
        extra = {} if retry_after is None else {"Retry-After": str(retry_after)}
        self._order(Fault(FAIL, path, method, times, status, {**extra, **(headers or {})}))

    def cut(self, path: str, times: int = 1) -> None:
        """Close the connection half-way through the body."""
        self._order(Fault(CUT, path, "GET", times))

    def shorten(self, path: str, times: int = 1) -> None:
        """Send half of the body as if it were the whole."""
        self._order(Fault(SHORTEN, path, "GET", times))

    def ignore_range(self, path: str, times: int = 1) -> None:
        """Answer 200 with the whole file to a request for a range."""
        self._order(Fault(IGNORE_RANGE, path, "GET", times))

    def asked(self, path: str = "", method: str = "") -> list[Answered]:
        """The requests whose path contains `path`, oldest first."""
        with self._lock:
            return [line for line in self.log if path in line.path and method in line.method]

    def forget(self) -> None:
        """Empty the log."""
        with self._lock:
            self.log.clear()

    def __enter__(self) -> Any:
        handler = type("Handler", (_Handler,), {"double": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def _order(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def take_fault(self, request: Request) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.left and fault.path in request.path and fault.method in request.method:
                    fault.left -= 1
                    return fault
        return None

    def write_down(self, line: Answered) -> None:
        with self._lock:
            self.log.append(line)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may hang up; anything else is a fault of the double and is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    double: Double

    def log_message(self, format: str, *args: object) -> None:
        """The double keeps its own log."""

    def _serve(self) -> None:
        request = self._request()
        fault = self.double.take_fault(request)
        if fault is not None and fault.kind == FAIL:
            response = Response(fault.status, b"injected", dict(fault.headers))
        else:
            response = self.double.answer(request)
            if response.ranged and not (fault is not None and fault.kind == IGNORE_RANGE):
                response = _slice(response, request.headers.get("range"))
        self._send(request, response, fault)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815

    def _request(self) -> Request:
        headers = {key.lower(): value for key, value in self.headers.items()}
        if headers.get("transfer-encoding", "") == "chunked":
            body = self._chunks()
        else:
            body = self.rfile.read(int(headers.get("content-length", 0)))
        target = urlsplit(self.path)
        query = dict(parse_qsl(target.query, keep_blank_values=True))
        return Request(self.command, target.path, query, headers, body)

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, request: Request, response: Response, fault: Fault | None) -> None:
        body = response.body
        half = body[: len(body) // 2]
        if fault is not None and fault.kind == SHORTEN:
            body = half
        self.send_response(response.status)
        for key, value in response.headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = fault is not None and fault.kind == CUT
        sent = b"" if request.method == "HEAD" else half if cut else body
        line = Answered(
            request.method,
            request.path,
            request.headers.get("range"),
            request.token,
            response.status,
            len(sent),
        )
        self.double.write_down(line)  # before the client can look
        self.wfile.write(sent)
        if cut:
            self.close_connection = True


def _slice(response: Response, wanted: str | None) -> Response:
    headers = {**response.headers, "Accept-Ranges": "bytes"}
    if wanted is None:
        return Response(response.status, response.body, headers)
    size = len(response.body)
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if last and first else size
    if start >= size:
        return Response(416, b"", {**headers, "Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return Response(206, response.body[start:stop], headers)
