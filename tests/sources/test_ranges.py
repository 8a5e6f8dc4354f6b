"""Reading a remote file by range: the right bytes, in few requests, and few bytes beside them."""

from __future__ import annotations

import io
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cauldron.sources.ranges import LARGEST, SMALLEST, RangeReader, ShortReadError, retry


class Remote:
    """Bytes that remember what was asked of them."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked: list[tuple[int, int]] = []

    def fetch(self, start: int, stop: int) -> bytes:
        self.asked.append((start, stop))
        return self.data[start:stop]

    def open(self) -> RangeReader:
        return RangeReader("remote", len(self.data), self.fetch)

    @property
    def fetched(self) -> int:
        return sum(stop - start for start, stop in self.asked)


def test_any_sequence_of_seeks_and_reads_gives_what_a_local_file_gives() -> None:
    data = random.Random(1).randbytes(700_000)
    remote, local = Remote(data).open(), io.BytesIO(data)
    rng = random.Random(2)
    for _ in range(2_000):
        step = rng.randrange(4)
        if step == 0:
            offset = rng.randrange(len(data) + 100)
            assert remote.seek(offset) == local.seek(offset)
        elif step == 1:
            assert remote.readline() == local.readline()
        else:
            size = rng.choice([0, 1, 100, 5_000, 70_000, 200_000])
            assert remote.read(size) == local.read(size)
        assert remote.tell() == local.tell()


def test_reading_straight_on_takes_few_requests() -> None:
    remote = Remote(bytes(40 * 1024 * 1024))
    file = remote.open()
    while file.read(4096):
        pass
    assert len(remote.asked) < 14
    assert remote.fetched == len(remote.data)


def test_large_steps_straight_on_take_few_requests_too() -> None:
    remote = Remote(bytes(40 * 1024 * 1024))
    file = remote.open()
    while file.read(1024 * 1024):
        pass
    assert len(remote.asked) < 12
    assert max(stop - start for start, stop in remote.asked) <= LARGEST


def test_a_jump_costs_one_small_request() -> None:
    remote = Remote(bytes(40 * 1024 * 1024))
    file = remote.open()
    file.read(5 * 1024 * 1024)
    before = remote.fetched
    file.seek(20_000_000)
    file.read(10)
    assert remote.fetched - before == SMALLEST


def test_a_large_read_after_a_jump_fetches_exactly_its_range() -> None:
    remote = Remote(bytes(40 * 1024 * 1024))
    file = remote.open()
    file.seek(1_000_000)
    file.read(3_000_000)
    assert remote.asked == [(1_000_000, 4_000_000)]


def test_small_reads_near_the_end_share_one_request() -> None:
    remote = Remote(bytes(1024 * 1024))
    file = remote.open()
    for back in (22, 42, 5_000):
        file.seek(-back, io.SEEK_END)
        file.read(back)
    assert len(remote.asked) == 1


def test_lines_come_whole_across_the_edges_of_the_buffer() -> None:
    lines = [b"x" * random.Random(i).randrange(30_000) + b"\n" for i in range(60)]
    assert list(Remote(b"".join(lines)).open()) == lines


def test_the_text_columns_of_a_parquet_file_do_not_pull_its_images() -> None:
    images = [random.Random(i).randbytes(100_000) for i in range(60)]
    table = pa.table({"image": images, "text": [f"question {i}" for i in range(60)]})
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=20, compression="none")
    remote = Remote(sink.getvalue())
    texts = pq.ParquetFile(remote.open()).read(columns=["text"])
    assert texts["text"].to_pylist() == table["text"].to_pylist()
    assert remote.fetched < 5 * SMALLEST


def test_an_answer_of_the_wrong_length_is_an_error() -> None:
    file = RangeReader("remote", 100, lambda start, stop: b"x" * 7)
    with pytest.raises(ShortReadError, match="wanted 100 bytes at 0, got 7"):
        file.read(10)


def test_a_closed_file_is_not_read() -> None:
    file = Remote(b"abc").open()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_patience_ends_after_the_last_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    calls = []

    def call() -> None:
        calls.append(1)
        raise ConnectionError("down")

    with pytest.raises(ConnectionError):
        retry(call, lambda error, attempt: float(attempt), attempts=4)
    assert len(calls) == 4
    assert slept == [1.0, 2.0, 3.0]


def test_patience_is_not_wasted_on_what_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("slept"))

    def call() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        retry(call, lambda error, attempt: None, attempts=4)
