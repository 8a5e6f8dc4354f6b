"""Links between pictures to the rows that show them, from the occurrences of a range.

Links are capped a picture (`links.LINKS`), and an occurrences file is read a row group at a time:
a logo in a million rows is a stream of packed references, sent on to the parts that hold the
rows, and never a list of anything.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow.parquet as pq
from cauldron.transforms.arrays import Array, from_table, read_array, split_by
from cauldron.transforms.matching.contamination.leaks import U64, is_in
from cauldron.transforms.matching.records import OCCURRENCE, PICTURE, MatchJob

from cauldron.core import storage

# Where a picture is stored: place of the source in the job, part, bytes in the pack, pixels.
STORED = np.dtype(
    [("source", "<u2"), ("part", "<u4"), ("offset", "<i8"), ("length", "<i8"), ("pixels", "<i8")]
)
_ROW = ["source", "part", "row", "image", "id_high", "id_low"]
_ROW_FIELDS = [(name, OCCURRENCE[name].str) for name in _ROW]
# An image of a training row and a benchmark picture that it is the same as.
MATCH = np.dtype(
    [*_ROW_FIELDS, ("benchmark", "<u8"), ("distance", "u1"), ("score", "<f4"), ("stored", STORED)]
)
# An image of a benchmark's row.
BENCHMARK_ROW = np.dtype([*_ROW_FIELDS, ("number", "<u8"), ("stored", STORED)])

_KEYS = ["key_high", "key_low"]
_OCCURRENCE = np.dtype([(name, OCCURRENCE[name]) for name in (*_KEYS, *_ROW)])
_PLACE = ("source", "part", "offset", "length")
_PICTURE = np.dtype([(name, PICTURE[name]) for name in (*_PLACE, "width", "height")])


def stored_pictures(numbers: U64, number: int, job: MatchJob) -> Array:
    """`STORED` records of pictures of a range."""
    pictures = read_array(job.pictures(number), _PICTURE)
    pictures = pictures[(numbers & np.uint64(0xFFFFFFFF)).astype(np.int64)]
    stored = np.zeros(len(pictures), dtype=STORED)
    for name in _PLACE:
        stored[name] = pictures[name]
    stored["pixels"] = pictures["width"].astype(np.int64) * pictures["height"]
    return stored


def occurrences_of(wanted: U64, number: int, job: MatchJob) -> Iterator[tuple[U64, Array]]:
    """The images that show some pictures of a range.

    Args:
        wanted: numbers of the pictures, sorted.

    Yields:
        picture numbers and occurrences, a row group of the file at a time.
    """
    last, picture = None, -1
    with storage.open_read(job.occurrences(number)) as source:
        file = pq.ParquetFile(source)
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, list(_OCCURRENCE.names or ()))
            images = from_table(table, _OCCURRENCE)
            if not len(images):
                continue
            keys = np.stack([images[name] for name in _KEYS], axis=1)
            new = np.ones(len(images), dtype=bool)
            new[1:] = (keys[1:] != keys[:-1]).any(axis=1)
            new[0] = keys[0].tolist() != last
            # Pictures are numbered in the order of their keys, and so are occurrences sorted.
            places = picture + np.cumsum(new)
            last, picture = keys[-1].tolist(), int(places[-1])
            numbers = places.astype(np.uint64) + np.uint64(number << 32)
            rows = is_in(numbers, wanted)
            if rows.any():
                yield numbers[rows], images[rows]


def read_linked_rows(
    links: Array, wanted: U64, number: int, job: MatchJob
) -> Iterator[tuple[bool, Array]]:
    """Rows that show linked pictures of a range.

    Args:
        links: `LINK` records of training pictures of the range, sorted by these.
        wanted: benchmark pictures of the range that something is linked with, sorted.

    Yields:
        (False, `MATCH` records of training rows) and (True, `BENCHMARK_ROW` records).
    """
    pictures = np.union1d(links["training"], wanted)
    if not len(pictures):
        return
    stored = stored_pictures(pictures, number, job)
    is_benchmark = np.array([source.benchmark for source in job.sources])
    for numbers, images in occurrences_of(pictures, number, job):
        shown = stored[np.searchsorted(pictures, numbers)]
        tested = is_benchmark[images["source"]]
        here = tested & is_in(numbers, wanted)
        if here.any():
            yield True, _benchmark_rows(numbers[here], images[here], shown[here])
        if not tested.all():
            yield False, _matches(numbers[~tested], images[~tested], shown[~tested], links)


def _benchmark_rows(numbers: U64, images: Array, stored: Array) -> Array:
    rows = np.zeros(len(images), dtype=BENCHMARK_ROW)
    for name in _ROW:
        rows[name] = images[name]
    rows["number"], rows["stored"] = numbers, stored
    return rows


def _matches(numbers: U64, images: Array, stored: Array, links: Array) -> Array:
    """Every image, once for each link of its picture."""
    start = np.searchsorted(links["training"], numbers, side="left")
    count = np.searchsorted(links["training"], numbers, side="right") - start
    image = np.repeat(np.arange(len(images)), count)
    link = np.arange(len(image)) - np.repeat(np.cumsum(count) - count - start, count)
    matches = np.zeros(len(image), dtype=MATCH)
    for name in _ROW:
        matches[name] = images[name][image]
    for name in ("benchmark", "distance", "score"):
        matches[name] = links[name][link]
    matches["stored"] = stored[image]
    return matches


def part_key(source: int, part: int) -> int:
    return source << 32 | part


def by_part(matches: Array) -> Iterator[tuple[int, bytes]]:
    """Matches cut by the corpus part that holds their rows."""
    keys = matches["source"].astype(np.int64) << 32 | matches["part"].astype(np.int64)
    yield from split_by(matches, keys)
