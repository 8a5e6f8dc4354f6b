"""Sequences of words on both sides: those of a part, and those that rows have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from cauldron.transforms.arrays import Array, starts
from cauldron.transforms.matching.arrays import equal_pairs, is_in
from cauldron.transforms.matching.texts.files import GRAM, SHARED
from cauldron.transforms.matching.texts.turns import (
    U64,
    StoredRow,
    read_rows,
    sequences,
    text_hash,
)

# Benchmark rows with equal text that are kept for a sequence, the first ones.
_ROWS_OF_TEXT = 3


def grams_of(
    path: str, source: int, part: int, ngram: int, wanted: U64 | None = None
) -> Iterator[Array]:
    """`GRAM` records of a part, for each row group.

    Args:
        wanted: sorted hashes of the sequences to keep; None for all.
    """
    for rows in read_rows(path):
        yield _grams(rows, source, part, ngram, wanted)


def _grams(
    rows: Sequence[StoredRow], source: int, part: int, ngram: int, wanted: U64 | None
) -> Array:
    turns = [turn.words for row in rows for turn in row.turns]
    numbers = np.array([row.number for row in rows for _ in row.turns], dtype=np.uint32)
    hashes, owner = sequences(turns, ngram)
    if wanted is not None:
        keep = is_in(hashes, wanted)
        hashes, owner = hashes[keep], owner[keep]
    texts = {turn: text_hash(turns[turn]) for turn in np.unique(owner).tolist()}
    grams = np.zeros(len(hashes), dtype=GRAM)
    grams["hash"], grams["source"], grams["part"] = hashes, source, part
    grams["text"] = np.array([texts[turn] for turn in owner.tolist()], dtype=np.uint64)
    grams["row"] = numbers[owner] if len(owner) else 0
    return once(grams)


def once(grams: Array) -> Array:
    """Sorted by sequence, text and row, each once."""
    order = ("row", "part", "source", "text", "hash")
    grams = grams[np.lexsort([grams[name] for name in order])]
    return grams[starts(grams, *reversed(order))]


def without_forms(grams: Array, most: int) -> Array:
    """Sorted grams without the sequences that stand in more than `most` different texts."""
    return grams[_texts_of(grams) <= most]


def capped(grams: Array, most: int) -> Array:
    """As `without_forms`, but a sequence in too many texts keeps one row of `most` + 1 of them.

    So the whole set can be judged from its parts, and what a part keeps of a form of words is
    bounded.
    """
    texts = _texts_of(grams)
    first = starts(grams, "hash", "text")
    rank = _rank_of_text(grams)
    return grams[(texts <= most) | (first & (rank <= most))]


def _texts_of(grams: Array) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """For each gram, how many different texts contain its sequence."""
    sequence = np.cumsum(starts(grams, "hash")) - 1
    counted = np.bincount(sequence, weights=starts(grams, "hash", "text"))
    return counted.astype(np.int64)[sequence] if len(grams) else np.zeros(0, dtype=np.int64)


def _rank_of_text(grams: Array) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The number of each gram's text among those of its sequence, from 0."""
    text = np.cumsum(starts(grams, "hash", "text")) - 1
    new = starts(grams, "hash")
    return text - np.maximum.accumulate(np.where(new, text, 0))


def shared_sequences(training: Array, benchmarks: Array, most: int) -> Array:
    """`SHARED` records of a range of hashes.

    Args:
        training, benchmarks: `GRAM` records, in any order.
        most: a sequence in more different texts, on either side, is left out.
    """
    training = without_forms(once(training), most)
    benchmarks = without_forms(once(benchmarks), most)
    same_text = starts(benchmarks, "hash", "text")
    place = np.arange(len(benchmarks))
    rank = place - np.maximum.accumulate(np.where(same_text, place, 0))
    benchmarks = benchmarks[rank < _ROWS_OF_TEXT]
    ours, theirs = equal_pairs(training["hash"], benchmarks["hash"])
    shared = np.zeros(len(ours), dtype=SHARED)
    shared["hash"] = training["hash"][ours]
    for name in ("source", "part", "row"):
        shared[name] = training[name][ours]
        shared[f"benchmark_{name}"] = benchmarks[name][theirs]
    return shared
