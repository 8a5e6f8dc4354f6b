"""The turns of stored rows as words, and the hashes of their sequences of words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import xxhash
from cauldron.transforms.matching.contamination.overlap import split_question

from cauldron.core import storage
from cauldron.core.schema import NO_QUESTION

U64 = npt.NDArray[np.uint64]
Words = tuple[str, ...]

# The line of a choice, as `sources.benchmarks.values.option_lines` writes it.
_CHOICE = re.compile(r"(?:[A-Z]|\d+)\. ")
_COLUMNS = ["id", "messages", "turn_sources", "origin", "image_info.list.element.width"]
# Odd, so that the product with it loses no bit: 2**64 divided by the golden ratio.
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class TurnText(NamedTuple):
    """A question with its answer in normalised words.

    Attributes:
        question: how many words stand before the first choice.
    """

    words: Words
    question: int


class StoredRow(NamedTuple):
    """A row of a corpus part.

    Attributes:
        number: its place in the part.
        pictured: whether it has pictures.
        origin: the fields of `cauldron.core.schema.Origin` by name.
    """

    number: int
    id: str
    pictured: bool
    origin: dict[str, Any]
    turns: list[TurnText]


def read_rows(path: str, wanted: frozenset[int] | None = None) -> Iterator[list[StoredRow]]:
    """The rows of a part, a row group at a time.

    Args:
        wanted: their numbers; None for all.
    """
    with storage.open_read(path) as raw:
        file = pq.ParquetFile(raw)
        start = 0
        for group in range(file.num_row_groups):
            stop = start + file.metadata.row_group(group).num_rows
            here = range(start, stop)
            if wanted is not None:
                here = [number for number in here if number in wanted]  # type: ignore[assignment]
            if len(here):
                table = file.read_row_group(group, _COLUMNS)
                rows = table.take([number - start for number in here]).to_pylist()
                yield [
                    StoredRow(
                        number, row["id"], bool(row["image_info"]), row["origin"], turns_of(row)
                    )
                    for number, row in zip(here, rows, strict=True)
                ]
            start = stop


def turns_of(row: dict[str, Any]) -> list[TurnText]:
    """The turns of a row with `messages` and `turn_sources`. A document is one answer.

    The question of a benchmark's turn that was not published is a key, which is left out.
    """
    turns: list[TurnText] = []
    asked = ""
    sources = iter(row["turn_sources"])
    for message in row["messages"]:
        text = "\n".join(part["text"] for part in message["content"] if part["type"] == "text")
        if message["role"] == "user":
            asked = text
        elif message["role"] == "assistant":
            turns.append(_turn("" if next(sources, "").endswith(NO_QUESTION) else asked, text))
            asked = ""
    return turns


def _turn(asked: str, answer: str) -> TurnText:
    lines = asked.split("\n")
    choice = next((n for n, line in enumerate(lines) if _CHOICE.match(line)), len(lines))
    question = split_question("\n".join(lines[:choice])).words
    rest = split_question("\n".join([*lines[choice:], answer])).words
    return TurnText(question + rest, len(question))


class Sequences(NamedTuple):
    """The sequences of n words of several turns.

    Attributes:
        hashes: of each sequence.
        turns: the place of its turn.
    """

    hashes: U64
    turns: npt.NDArray[np.int64]


def sequences(turns: Sequence[Words], length: int) -> Sequences:
    """Every sequence of `length` words, in the order of the turns.

    A hash depends on the words and their order. Of 10**10 sequences, one in 10**3 such sets has a
    false hit among 10**6 wanted ones; whoever uses a hit compares the words.
    """
    sizes = np.array([len(words) for words in turns], dtype=np.int64)
    hashes = np.array([word_hash(word) for words in turns for word in words], dtype=np.uint64)
    owner = np.repeat(np.arange(len(turns)), sizes)
    count = len(hashes) - length + 1
    if count <= 0:
        return Sequences(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64))
    found = np.zeros(count, dtype=np.uint64)
    for place in range(length):
        found = found * _FACTOR + hashes[place : place + count]
    whole = owner[:count] == owner[length - 1 :]
    return Sequences(found[whole], owner[:count][whole])


def text_hash(words: Words) -> int:
    """Tells turns with different words apart."""
    return xxhash.xxh3_64_intdigest(" ".join(words).encode())


@lru_cache(maxsize=262_144)
def word_hash(word: str) -> int:
    return xxhash.xxh3_64_intdigest(word.encode())
