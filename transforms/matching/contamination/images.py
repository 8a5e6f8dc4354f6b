"""The images of rows that show leaked pictures, from the occurrences of a range.

A picture has at most `MOST_LEAKS` leaks, and occurrences are read a row group at a time. A logo in
a million rows is a stream of packed references; no worker holds all of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from cauldron.transforms.arrays import Array
from cauldron.transforms.matching.arrays import (
    ROW_FIELDS,
    U64,
    equal_pairs,
    is_in,
    occurrences_of,
    read_pictures,
)
from cauldron.transforms.matching.records import OCCURRENCE, PICTURE, MatchJob

# Where a picture is stored: place of the source in the job, part, bytes in the record file, pixels.
STORED = np.dtype(
    [("source", "<u2"), ("part", "<u4"), ("offset", "<i8"), ("length", "<i8"), ("pixels", "<i8")]
)
_ROW_FIELDS = [(name, OCCURRENCE[name].str) for name in ROW_FIELDS]
# An image of a training row, and a benchmark picture that it leaks.
TRAINING_IMAGE = np.dtype(
    [
        *[*_ROW_FIELDS, ("benchmark", "<u8"), ("distance", "u1"), ("score", "<f4"), ("kind", "u1")],
        ("stored", STORED),
    ]
)
# An image of a benchmark's row; `number` is its picture.
BENCHMARK_IMAGE = np.dtype([*_ROW_FIELDS, ("number", "<u8"), ("stored", STORED)])

_PLACE = ("source", "part", "offset", "length")
_PICTURE = np.dtype([(name, PICTURE[name]) for name in (*_PLACE, "width", "height")])


def _stored(numbers: U64, number: int, job: MatchJob) -> Array:
    """`STORED` records of pictures of a range."""
    pictures = read_pictures(numbers, number, job, _PICTURE)
    stored = np.zeros(len(pictures), dtype=STORED)
    for name in _PLACE:
        stored[name] = pictures[name]
    stored["pixels"] = pictures["width"].astype(np.int64) * pictures["height"]
    return stored


def read_images(
    leaks: Array, leaked: U64, number: int, job: MatchJob
) -> Iterator[tuple[bool, Array]]:
    """The images that show leaked pictures of a range.

    Args:
        leaks: `LEAK` records of training pictures of the range, sorted by these.
        leaked: benchmark pictures of the range with a leak, sorted.

    Yields:
        (False, `TRAINING_IMAGE` records) and (True, `BENCHMARK_IMAGE` records).
    """
    pictures = np.union1d(leaks["training"], leaked)
    if not len(pictures):
        return
    stored = _stored(pictures, number, job)
    is_benchmark = np.array([source.benchmark for source in job.sources])
    for numbers, images in occurrences_of(pictures, number, job):
        places = stored[np.searchsorted(pictures, numbers)]
        tested = is_benchmark[images["source"]]
        here = tested & is_in(numbers, leaked)
        if here.any():
            yield True, _benchmark_images(numbers[here], images[here], places[here])
        if not tested.all():
            yield False, _training_images(numbers[~tested], images[~tested], places[~tested], leaks)


def _benchmark_images(numbers: U64, images: Array, stored: Array) -> Array:
    records = np.zeros(len(images), dtype=BENCHMARK_IMAGE)
    for name in ROW_FIELDS:
        records[name] = images[name]
    records["number"], records["stored"] = numbers, stored
    return records


def _training_images(numbers: U64, images: Array, stored: Array, leaks: Array) -> Array:
    """Every image, once for each leak of its picture."""
    image, leak = equal_pairs(numbers, leaks["training"])
    records = np.zeros(len(image), dtype=TRAINING_IMAGE)
    for name in ROW_FIELDS:
        records[name] = images[name][image]
    for name in ("benchmark", "distance", "score", "kind"):
        records[name] = leaks[name][leak]
    records["stored"] = stored[image]
    return records
