"""Asks a model every item of a benchmark, in batches of about equal length.

Batches are the same for every number of ranks and after a kill, because what a question is padded
with changes the last bits of numbers, and with them now and then a word. Rank r takes every batch
whose number is r modulo the ranks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol

import pyarrow.parquet as pq

from cauldron.core.generation import Decoding, Engine, Question, Share, Unanswered
from cauldron.evaluate.benchmarks.catalog import Benchmark
from cauldron.evaluate.benchmarks.prompts import IMAGE
from cauldron.evaluate.items.read import Item, Refused
from cauldron.evaluate.items.tables import split_files
from cauldron.evaluate.predictions.files import Record
from cauldron.sources.benchmarks import find_place
from cauldron.sources.repos.roots import open_root

Say = Callable[[str], None]
Places = Sequence[tuple[int, Item]]

# Batches whose items are held at once, to be sorted by length: more waste less on padding and take
# more memory, at most about 1 GB at 16 questions a batch with pictures of 8 MB.
_WINDOW = 8
_PROGRESS_SECONDS = 10.0


class Sink(Protocol):
    """Keeps records."""

    def write(self, records: Iterable[Record]) -> None: ...


def decoding_of(benchmark: Benchmark) -> Decoding:
    return Decoding(benchmark.longest_edge, benchmark.max_new_tokens, benchmark.stop_words)


def question_of(benchmark: Benchmark, item: Item) -> Question:
    parts = benchmark.prompt(item)
    return Question(tuple(item.images[p.image] if p.kind == IMAGE else p.text for p in parts))


def predict(
    benchmark: Benchmark,
    found: Iterable[Item | Refused],
    engine: Engine,
    sink: Sink,
    batch_size: int,
    share: Share,
    done: Collection[int] = (),
    progress: Callable[[int], None] = lambda items: None,
) -> None:
    """Ask this rank's part of the items, and record refused ones, except those that are done.

    Args:
        batch_size: questions that are answered together.
        done: indices of items.
        progress: called with the number of items after each batch.
    """
    decoding = decoding_of(benchmark)

    def length(item: Item) -> int:
        return engine.length(question_of(benchmark, item), decoding)

    askable = _askable(found, sink if share.rank == 0 else None, done)
    for number, batch in enumerate(_batches(askable, batch_size, length)):
        if share.stop():
            return
        if number % share.world != share.rank:
            continue
        if left := [place for place in batch if place[0] not in done]:
            # Padded batches are asked as a whole again, so that a kill changes no answer.
            asked = left if engine.independent else batch
            questions = [question_of(benchmark, item) for _, item in asked]
            pairs = zip(asked, engine.generate(questions, decoding), strict=True)
            sink.write(_record(*pair) for pair in pairs if pair[0] in left)
        progress(len(batch))


def _record(place: tuple[int, Item], answer: str | Unanswered) -> Record:
    index, item = place
    if isinstance(answer, Unanswered):
        return Record.unanswered(index, item, answer)
    return Record.answered(index, item, answer)


def _askable(
    found: Iterable[Item | Refused], sink: Sink | None, done: Collection[int]
) -> Iterator[tuple[int, Item]]:
    """Items with their places. Refused ones are written to the sink."""
    for index, item in enumerate(found):
        if isinstance(item, Item):
            yield index, item
        elif sink is not None and index not in done:
            sink.write([Record.refused(index, item)])


def _batches(
    items: Iterator[tuple[int, Item]], size: int, length: Callable[[Item], int]
) -> Iterator[Places]:
    while window := list(islice(items, size * _WINDOW)):
        window.sort(key=lambda place: (length(place[1]), place[0]))
        yield from (window[start : start + size] for start in range(0, len(window), size))


def count_items(benchmark: Benchmark, root: str | None, limit: int | None) -> int | None:
    """How many rows the split has, `limit` at most; None if its files do not say.

    Raises SourceUnavailable.
    """
    place = find_place(benchmark.layout.repo, open_root(root))
    total = 0
    for file in split_files(benchmark.layout, place):
        if not file.path.lower().endswith(".parquet"):
            return limit
        try:
            with place.repo.open(file.path) as opened:
                total += pq.ParquetFile(opened).metadata.num_rows
        except (OSError, ValueError):  # a broken file; reading it tells why
            return limit
    return total if limit is None else min(total, limit)


class Progress:
    """A line about every ten seconds: items done, speed, and the time that is left.

    Args:
        total: items of all ranks; None if unknown.
        world: ranks, which are about equally fast.
    """

    def __init__(self, title: str, total: int | None, world: int, say: Say) -> None:
        self._title, self._total, self._world, self._say = title, total, world, say
        self._start = self._last = time.monotonic()
        self._items = 0

    def __call__(self, items: int) -> None:
        self._items += items
        now = time.monotonic()
        if now - self._last >= _PROGRESS_SECONDS:
            self._last = now
            self._say(self.line(now - self._start))

    def line(self, seconds: float) -> str:
        done = self._items * self._world
        rate = done / max(seconds, 1e-9)
        if self._total is None:
            return f"{self._title}  {done:,} items  {rate:.1f} items/s"
        done = min(done, self._total)
        left = round((self._total - done) / max(rate, 1e-9))
        clock = f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d}"
        return f"{self._title}  {done:,}/{self._total:,} items  {rate:.1f} items/s  left {clock}"
