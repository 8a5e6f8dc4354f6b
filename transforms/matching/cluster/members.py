"""What clustering reads of a range: its compared pairs, its pictures, and their occurrences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from cauldron.transforms.arrays import Array
from cauldron.transforms.matching.arrays import (
    U64,
    is_in,
    occurrences_of,
    read_pictures,
    starts,
)
from cauldron.transforms.matching.cluster.components import EDGE, forest
from cauldron.transforms.matching.cluster.representatives import COMPARED, MEMBER
from cauldron.transforms.matching.records import BENCHMARK, DIFFERENT, OCCURRENCE, PICTURE, MatchJob
from cauldron.transforms.matching.reviews import is_same, same_pairs, verdicts_of
from cauldron.transforms.matching.views import HASHED_PICTURE, hashes_of

# Identifies an image. The smallest is the best.
IMAGE_KEY = ("source", "id_high", "id_low", "image")
# The best training occurrence of a picture, and the number of its training occurrences.
BEST = np.dtype(
    [("number", "<u8"), ("count", "<i8"), *((name, OCCURRENCE[name]) for name in IMAGE_KEY)]
)

_SAME = ("key_high", "key_low", "loss")
_PICTURE = np.dtype([*((name, PICTURE[name]) for name in _SAME), *HASHED_PICTURE.descr])


def read_edges(number: int, job: MatchJob, benchmarks: Array) -> Array:
    """`EDGE` records that connect the training pictures that are the same, by a range's verdicts.

    Args:
        benchmarks: `BENCHMARK_PICTURE` records of all ranges, sorted by number.
    """
    outside = benchmarks["number"][benchmarks["kind"] == BENCHMARK]
    found = [np.zeros(0, dtype=EDGE)]
    for pairs in same_pairs(number, job, job.merging):
        pairs = pairs[~(is_in(pairs["first"], outside) | is_in(pairs["second"], outside))]
        edges = np.zeros(len(pairs), dtype=EDGE)
        edges["large"], edges["small"] = pairs["second"], pairs["first"]
        found.append(forest(edges))
    return forest(np.concatenate(found))


def best_images(wanted: U64, number: int, job: MatchJob) -> Array:
    """`BEST` records of pictures of a range, sorted by number.

    Args:
        wanted: numbers of the pictures, sorted; all occur in training rows.
    """
    found = [np.zeros(0, dtype=BEST)]
    for numbers, images in training_images(wanted, number, job):
        records = np.zeros(len(images), dtype=BEST)
        records["number"], records["count"] = numbers, 1
        for name in IMAGE_KEY:
            records[name] = images[name]
        found.append(_best(records))
    # Occurrences are sorted by picture: two row groups share one picture at most.
    best = _best(np.concatenate(found))
    assert np.array_equal(best["number"], wanted), "a picture without a training row"
    return best


def training_images(wanted: U64, number: int, job: MatchJob) -> Iterator[tuple[U64, Array]]:
    """Picture numbers and occurrences in training rows, a row group at a time."""
    is_benchmark = np.array([source.benchmark for source in job.sources])
    for numbers, images in occurrences_of(wanted, number, job):
        rows = ~is_benchmark[images["source"]]
        yield numbers[rows], images[rows]


def _best(records: Array) -> Array:
    records = records[np.lexsort([records[name] for name in (*reversed(IMAGE_KEY), "number")])]
    new = starts(records, "number")
    best = records[new]
    if len(best):
        best["count"] = np.add.reduceat(records["count"], np.flatnonzero(new))
    return best


def read_members(labels: Array, number: int, job: MatchJob) -> Array:
    """`MEMBER` records of pictures of a range.

    Args:
        labels: their `LABEL` records, sorted by vertex.
    """
    numbers = labels["vertex"]
    pictures = read_pictures(numbers, number, job, _PICTURE)
    best = best_images(numbers, number, job)
    members = np.zeros(len(numbers), dtype=MEMBER)
    members["number"] = numbers
    for name in _SAME:
        members[name] = pictures[name]
    hashes_of(pictures, members)
    for name in IMAGE_KEY:
        members[name] = best[name]
    width, height = (pictures[name].astype(np.int64) for name in ("width", "height"))
    members["pixels"] = width * height
    return members


def as_compared(verdicts: Array, job: MatchJob) -> Array:
    """Verdicts as `COMPARED` records, in which `same` is not 0 for what a cluster may hold."""
    compared = verdicts[list(COMPARED.names or ())].astype(COMPARED)
    compared["same"][~is_same(verdicts, job.merging)] = DIFFERENT
    return compared


def read_compared(labels: Array, number: int, job: MatchJob) -> Iterator[tuple[U64, Array]]:
    """The verdicts of a range on pictures with a label, also those that are not the same.

    Yields:
        roots, and `COMPARED` records.
    """
    for verdicts in verdicts_of(number, job, COMPARED):
        compared = as_compared(verdicts[is_in(verdicts["first"], labels["vertex"])], job)
        if len(compared):
            yield labels["root"][np.searchsorted(labels["vertex"], compared["first"])], compared
