"""What clustering reads of a range: its verified pairs, its pictures, and where they occur.

Verdicts and occurrences are read a row group at a time, so that a logo in a million rows costs no
more than any other picture; of the pictures of a range, 500,000 or so, a few columns are held.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow.parquet as pq
from cauldron.transforms.arrays import Array, from_table, read_array
from cauldron.transforms.matching.cluster.components import EDGE, U64, forest
from cauldron.transforms.matching.cluster.representatives import COMPARED, MEMBER
from cauldron.transforms.matching.contamination.images import occurrences_of
from cauldron.transforms.matching.contamination.leaks import is_in, same_pairs
from cauldron.transforms.matching.records import BENCHMARK, OCCURRENCE, PICTURE, VERDICT, MatchJob

from cauldron.core import storage

# What tells an image from all others. The smallest is the best.
IMAGE_KEY = ("source", "id_high", "id_low", "image")
# The best image of a picture among its training occurrences, and how many of these there are.
BEST = np.dtype(
    [("number", "<u8"), ("count", "<i8"), *((name, OCCURRENCE[name]) for name in IMAGE_KEY)]
)

_SAME = ("key_high", "key_low", "phash", "phash256")
_PICTURE = np.dtype([(name, PICTURE[name]) for name in (*_SAME, "width", "height")])
_LOW = np.uint64(0xFFFFFFFF)


def read_edges(number: int, job: MatchJob, benchmarks: Array) -> Array:
    """`EDGE` records that connect what the verdicts of a range connect among training pictures.

    Args:
        benchmarks: `links.KNOWN` records of all benchmarks' pictures, sorted by number.
    """
    outside = benchmarks["number"][benchmarks["kind"] == BENCHMARK]
    found = [np.zeros(0, dtype=EDGE)]
    for pairs in same_pairs(job.verdicts(number)):
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
    # Occurrences are sorted by picture: row groups share one at most.
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
    new = np.ones(len(records), dtype=bool)
    new[1:] = records["number"][1:] != records["number"][:-1]
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
    pictures = read_array(job.pictures(number), _PICTURE)[(numbers & _LOW).astype(np.int64)]
    best = best_images(numbers, number, job)
    members = np.zeros(len(numbers), dtype=MEMBER)
    members["number"] = numbers
    for name in _SAME:
        members[name] = pictures[name]
    for name in IMAGE_KEY:
        members[name] = best[name]
    width, height = (pictures[name].astype(np.int64) for name in ("width", "height"))
    members["pixels"] = width * height
    members["aspect"] = np.round(1000 * np.log2(width / height))
    return members


def read_compared(labels: Array, number: int, job: MatchJob) -> Iterator[tuple[U64, Array]]:
    """The verdicts of a range on pictures with a label, those that found two pictures included.

    Yields:
        roots, and `COMPARED` records.
    """
    read = np.dtype([(name, VERDICT[name]) for name in COMPARED.names or ()])
    with storage.open_read(job.verdicts(number)) as source:
        file = pq.ParquetFile(source)
        for group in range(file.num_row_groups):
            verdicts = from_table(file.read_row_group(group, list(read.names or ())), read)
            verdicts = verdicts[is_in(verdicts["first"], labels["vertex"])]
            if len(verdicts):
                at = np.searchsorted(labels["vertex"], verdicts["first"])
                yield labels["root"][at], verdicts.astype(COMPARED)
