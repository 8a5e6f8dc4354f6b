"""Bodies that are read at the same time: how much memory they take, and whose time they lose."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from cauldron.transforms.fetching import bodies
from cauldron.transforms.fetching.bodies import BodyReader, Unfit

from cauldron.core.sections.fetching import FetchRules, FetchTimeouts
from tests.doubles.images import photo

MIB = 1024 * 1024


class Stream:
    """Parts of a body, each after a pause."""

    def __init__(self, parts: Iterable[bytes], pause: float = 0.0) -> None:
        self._parts, self._pause = iter(parts), pause

    async def readany(self) -> bytes:
        await asyncio.sleep(self._pause)
        return next(self._parts, b"")


def response(stream: Stream, encoding: str = "identity") -> Any:
    return SimpleNamespace(
        content=stream, content_length=None, headers={"Content-Encoding": encoding}
    )


def reader(seconds: float = 30) -> BodyReader:
    return BodyReader(FetchRules(timeouts=FetchTimeouts(body=seconds)))


def test_a_small_body_that_unpacks_to_a_large_one_waits_for_room_like_a_large_one():
    packed = gzip.compress(photo(1) + b"\0" * (24 * MIB))
    assert len(packed) < 64 * 1024

    async def run() -> int:
        shared = reader()
        for _ in range(bodies._LARGE_AT_ONCE):
            await shared._large.acquire()
        tracemalloc.start()
        tasks = [
            asyncio.create_task(shared.read(response(Stream([packed]), "gzip"))) for _ in range(8)
        ]
        await asyncio.sleep(0.2)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return most

    assert asyncio.run(run()) < 8 * 3 * MIB


def test_an_image_does_not_lose_its_time_while_it_waits_for_room(monkeypatch):
    monkeypatch.setattr(bodies, "_LARGE_AT_ONCE", 1)
    whole = photo(1) + b"\0" * (2 * MIB)

    async def run() -> list[bytes]:
        shared = reader(0.4)
        streams = [
            Stream([whole[:MIB], whole[MIB : 2 * MIB], whole[2 * MIB :]], 0.08) for _ in range(5)
        ]
        return await asyncio.gather(*(shared.read(response(stream)) for stream in streams))

    assert asyncio.run(run()) == [whole] * 5


def test_a_large_image_that_comes_too_slowly_is_still_given_up():
    parts = [photo(1) + b"\0" * (2 * MIB), *([b"\0"] * 50)]
    with pytest.raises(Unfit, match=r"not complete in 0\.3 s"):
        asyncio.run(reader(0.3).read(response(Stream(parts, 0.05))))
