"""The body of an answer: read and unpacked within limits, and an image by its content."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Protocol

import aiohttp
from cauldron.transforms.pictures.opening import MAGIC_BYTES, has_image_start

from cauldron.core.errors import NotKept
from cauldron.core.sections.fetching import FetchRules

# Bodies up to this size may all be in memory at once, larger ones only a few.
_SMALL = 1024 * 1024
_LARGE_AT_ONCE = 16
# A part that comes may unpack to a thousand times its size: it is unpacked by so much at a time.
_STEP = 256 * 1024
# Encodings that are undone here. We ask for none, and some servers compress all the same.
_GZIP = {"gzip": 31, "x-gzip": 31, "deflate": 47}


class Unfit(NotKept):
    """An answer without a usable image; `reason` is a code of `NOT_FETCHED`."""


class _Decoder(Protocol):
    def add(self, part: bytes) -> Iterator[bytes]: ...

    def finish(self) -> None: ...


class _Plain:
    def add(self, part: bytes) -> Iterator[bytes]:
        yield part

    def finish(self) -> None:
        """Nothing is held back."""


class _Inflate:
    """Unpacks up to one byte more than the limit, however much more a body would be."""

    def __init__(self, encoding: str, limit: int) -> None:
        self._stream = zlib.decompressobj(_GZIP[encoding])
        self._left = limit + 1

    def add(self, part: bytes) -> Iterator[bytes]:
        while not self._stream.eof and self._left:
            try:
                data = self._stream.decompress(part, min(_STEP, self._left))
            except zlib.error as error:
                raise Unfit("bad_encoding", f"the body is not {error}") from None
            if not data:
                return
            self._left -= len(data)
            yield data
            part = self._stream.unconsumed_tail

    def finish(self) -> None:
        if not self._stream.eof:
            raise Unfit("incomplete_body", "the compressed body ends too early")


class BodyReader:
    """Reads bodies of one worker process."""

    def __init__(self, rules: FetchRules) -> None:
        self._rules = rules
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def read(self, response: aiohttp.ClientResponse) -> bytes:
        """The bytes of an image.

        Raises:
            Unfit: too large, too slow, empty, compressed in an unknown way, or not an image.
        """
        limit, announced = self._rules.max_bytes, response.content_length
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding in ("identity", ""):
            decoder: _Decoder = _Plain()
            if announced is not None and announced > limit:
                raise Unfit("body_too_large", f"{announced:,} bytes, the limit is {limit:,}")
        elif encoding in _GZIP:
            decoder = _Inflate(encoding, limit)
        else:
            raise Unfit("bad_encoding", f"the body has the encoding {encoding[:40]!r}")
        seconds = self._rules.timeouts.body
        try:
            async with asyncio.timeout(seconds) as limit_of_time:
                return await self._read(response.content, decoder, limit_of_time)
        except aiohttp.SocketTimeoutError:
            stall = self._rules.timeouts.stall
            raise Unfit("body_timeout", f"nothing came for {stall:g} s within the body") from None
        except TimeoutError:
            raise Unfit("body_timeout", f"the body was not complete in {seconds:g} s") from None

    async def _read(
        self, stream: aiohttp.StreamReader, decoder: _Decoder, limit_of_time: asyncio.Timeout
    ) -> bytes:
        body = bytearray()
        is_image = is_large = False
        async with AsyncExitStack() as held:
            while came := await stream.readany():
                for part in decoder.add(came):
                    is_image = self._add(body, part, is_image)
                    if len(body) > _SMALL and not is_large:
                        is_large = True
                        await self._large_turn(held, limit_of_time)
            decoder.finish()
            return _whole(body, is_image)

    async def _large_turn(self, held: AsyncExitStack, limit_of_time: asyncio.Timeout) -> None:
        """Wait until there is room for a large body. That takes nothing of the server's time."""
        start, end = asyncio.get_running_loop().time(), limit_of_time.when()
        limit_of_time.reschedule(None)
        await held.enter_async_context(self._large)
        if end is not None:
            limit_of_time.reschedule(end + asyncio.get_running_loop().time() - start)

    def _add(self, body: bytearray, part: bytes, is_image: bool) -> bool:
        """Whether the body begins as an image does; False while it is too short to tell."""
        body += part
        if len(body) > self._rules.max_bytes:
            raise Unfit("body_too_large", f"more than {self._rules.max_bytes:,} bytes")
        if not is_image and len(body) >= MAGIC_BYTES:
            _check_start(body)
            return True
        return is_image


def _whole(body: bytearray, is_image: bool) -> bytes:
    if not body:
        raise Unfit("empty_body", "the body is empty")
    if not is_image:
        _check_start(body)
    return bytes(body)


def _check_start(body: bytearray) -> None:
    if not has_image_start(bytes(body[:MAGIC_BYTES])):
        raise Unfit("not_an_image", f"no known image format, it starts {bytes(body[:12])!r}")
