"""A server of images that misbehaves in every way that servers of the web do."""

from __future__ import annotations

import asyncio
import gzip
import io
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import cache
from types import TracebackType

from PIL import Image

Handler = Callable[["ImageServer", asyncio.StreamWriter, str], Awaitable[None]]


@cache
def photo(number: int, side: int = 64) -> bytes:
    """A JPEG unlike any other number's."""
    color = (number * 37 % 256, number * 91 % 256, number // 256 % 256)
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), color).save(buffer, "JPEG", comment=str(number).encode())
    return buffer.getvalue()


@dataclass(frozen=True)
class Asked:
    """A line of the log: path, `Host` and `User-Agent` of a request."""

    path: str
    host: str
    agent: str


def head(status: str, *fields: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", *fields]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer(status: str, body: bytes = b"", *fields: str) -> Handler:
    """The same answer every time."""

    async def handle(server: ImageServer, out: asyncio.StreamWriter, path: str) -> None:
        out.write(head(status, *fields, length=len(body)) + body)

    return handle


def redirect(place: str, status: str = "302 Found") -> Handler:
    """`{port}` in the place stands for the server's own."""

    async def handle(server: ImageServer, out: asyncio.StreamWriter, path: str) -> None:
        out.write(head(status, f"Location: {place.format(port=server.port)}", length=0))

    return handle


def dripping(parts: Iterable[bytes], seconds: float) -> Handler:
    """Sends parts with pauses, for as long as the client listens."""

    async def handle(server: ImageServer, out: asyncio.StreamWriter, path: str) -> None:
        out.write(head("200 OK", "Content-Type: image/jpeg", "Connection: close"))
        for part in parts:
            out.write(part)
            await out.drain()
            await asyncio.sleep(seconds)
        out.close()

    return handle


def endless() -> Handler:
    async def handle(server: ImageServer, out: asyncio.StreamWriter, path: str) -> None:
        out.write(head("200 OK", "Connection: close") + photo(1))
        while True:
            out.write(b"\0" * 65536)
            await out.drain()

    return handle


def cut() -> Handler:
    """Announces twice as many bytes as it sends."""

    async def handle(server: ImageServer, out: asyncio.StreamWriter, path: str) -> None:
        out.write(head("200 OK", length=2 * len(photo(2))) + photo(2))
        await out.drain()
        out.close()

    return handle


def silent() -> Handler:
    async def handle(server: ImageServer, out: asyncio.StreamWriter, path: str) -> None:
        await asyncio.sleep(3600)

    return handle


def raw(data: bytes) -> Handler:
    async def handle(server: ImageServer, out: asyncio.StreamWriter, path: str) -> None:
        out.write(data)
        await out.drain()
        out.close()

    return handle


def bomb(size: int) -> Handler:
    """An image that unpacks to `size` bytes."""
    packed = gzip.compress(photo(3) + b"\0" * size)
    return answer("200 OK", packed, "Content-Encoding: gzip")


def in_turn(*handlers: Handler) -> Handler:
    """One after the other, the last one for good."""
    left = list(handlers)

    async def handle(server: ImageServer, out: asyncio.StreamWriter, path: str) -> None:
        now = left.pop(0) if len(left) > 1 else left[0]
        await now(server, out, path)

    return handle


class ImageServer:
    """A server on a free port of 127.0.0.1; a context manager.

    Attributes:
        pages: what happens, by path. Any other path with a number is that photo, after `delay`.
        log: what was asked, in order; `answered` the paths whose answer was sent as a whole.
        most: requests that were being answered at a time, at most.
    """

    def __init__(
        self,
        pages: dict[str, Handler] | None = None,
        tls: ssl.SSLContext | None = None,
        delay: float = 0.0,
    ) -> None:
        self.pages = pages or {}
        self.delay = delay
        self.log: list[Asked] = []
        self.answered: list[str] = []
        self.most = 0
        self._now = 0
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    def asked(self, path: str) -> int:
        return sum(line.path == path for line in self.log)

    def __enter__(self) -> ImageServer:
        self._thread.start()

        async def start() -> asyncio.Server:
            return await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)

        self._server = asyncio.run_coroutine_threadsafe(start(), self._loop).result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        async def stop() -> None:
            self._server.close()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                fields = {}
                while (field := await reader.readline()).strip():
                    name, _, value = field.decode().partition(":")
                    fields[name.lower()] = value.strip()
                path = line.split()[1].decode()
                asked = Asked(path, fields.get("host", ""), fields.get("user-agent", ""))
                self.log.append(asked)
                self._now += 1
                self.most = max(self.most, self._now)
                try:
                    await self._page(path)(self, out, path)
                    if not out.is_closing():
                        await out.drain()
                    self.answered.append(path)
                finally:
                    self._now -= 1
                if out.is_closing():
                    return
        except ConnectionError:
            pass  # the client hung up, as it may
        finally:
            out.close()

    def _page(self, path: str) -> Handler:
        return self.pages.get(path) or self._photo

    async def _photo(self, server: ImageServer, out: asyncio.StreamWriter, path: str) -> None:
        digits = "".join(filter(str.isdigit, path))
        if not digits:
            await answer("404 Not Found", b"no such image")(server, out, path)
            return
        await asyncio.sleep(self.delay)
        await answer("200 OK", photo(int(digits)), "Content-Type: image/jpeg")(server, out, path)
