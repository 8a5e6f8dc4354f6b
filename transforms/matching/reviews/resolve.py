"""Finds the pictures that reviews name, as a Beam job, and decides which reviews are obeyed.

Every worker holds all reviews, at most `MOST_REVIEWS`. Pictures are found by key in the file of
their range. Rows are found in the occurrences of all ranges, of which only keys and ids are read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cauldron.transforms.arrays import Array, from_bytes, range_of, read_array, write_array
from cauldron.transforms.graph import Each
from cauldron.transforms.matching.arrays import row_groups, write_tables
from cauldron.transforms.matching.records import OCCURRENCE, PICTURE, REVIEWED, CurationJob
from cauldron.transforms.order import id_halves
from cauldron.transforms.pictures.signatures import is_blank

from cauldron.core import storage
from cauldron.core.output.markers import marker_folder
from cauldron.core.reviews import Review
from cauldron.core.schema import ASKED_SCHEMA, REVIEW_SCHEMA

# Part of the fingerprint of curations with reviews. Raise it when the same reviews would be obeyed
# differently.
REVIEW_VERSION = 1

OBEYED, UNKNOWN, IDENTICAL, BLANK, CONTRADICTED = (
    "obeyed", "unknown", "identical", "blank", "contradicted"
)  # fmt: skip

_KEY = ("key_high", "key_low")
# One side of a review: 0 or 1. It is named by a content key, or by a row's id and an image.
_NAME = np.dtype(
    [
        *[("review", "<u4"), ("side", "u1"), ("high", "<u8"), ("low", "<u8")],
        *[("image", "<i4")],  # -1: `high` and `low` are a content key
    ]
)
# The picture that a side means.
_FOUND = np.dtype(
    [
        *[("review", "<u4"), ("side", "u1"), ("number", "<u8")],
        *((name, PICTURE[name]) for name in (*_KEY, "phash", "ground")),
    ]
)
_PICTURE = np.dtype([(name, PICTURE[name]) for name in (*_KEY, "phash", "ground")])
_ROW = np.dtype([(name, OCCURRENCE[name]) for name in (*_KEY, "id_high", "id_low", "image")])


@dataclass(frozen=True)
class ReviewJob(CurationJob):
    """Finds the pictures of reviews, and writes one file of `REVIEW_SCHEMA`."""

    STEM = "reviews"

    @property
    def asked(self) -> str:
        """The reviews as `ASKED_SCHEMA`, for workers. Removed when the curation is finished."""
        return storage.join(marker_folder(self.folder), "reviews-asked.parquet")

    @property
    def reviewed(self) -> str:
        """The pairs to obey, `REVIEWED` records. Removed when the curation is finished."""
        return storage.join(marker_folder(self.folder), "reviews-obeyed.parquet")


def write_asked(reviews: Sequence[Review], job: ReviewJob) -> None:
    """Hand the reviews to the workers."""
    table = pa.Table.from_pylist([review.columns() for review in reviews], schema=ASKED_SCHEMA)
    with storage.atomic_write(job.asked) as file:
        pq.write_table(table, file)


@lru_cache(maxsize=1)
def _asked(path: str) -> list[dict[str, Any]]:
    with storage.open_read(path) as file:
        rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return rows


def _names(rows: Sequence[dict[str, Any]]) -> Array:
    names = np.zeros(2 * len(rows), dtype=_NAME)
    names["review"], names["side"] = np.repeat(np.arange(len(rows)), 2), np.arange(len(names)) % 2
    sides = [(row, prefix) for row in rows for prefix in ("", "other_")]
    keyed = [row[f"{prefix}picture"] is not None for row, prefix in sides]
    halves = id_halves([row[f"{prefix}picture"] or row[f"{prefix}id"] for row, prefix in sides])
    names["high"], names["low"] = halves[:, 0], halves[:, 1]
    names["image"] = [
        -1 if key else row[f"{prefix}image"]
        for key, (row, prefix) in zip(keyed, sides, strict=True)
    ]
    return names


def find_pictures(number: int, names: Array, job: ReviewJob) -> Array:
    """`_FOUND` records of the named pictures of a range."""
    keyed = names[names["image"] < 0]
    found = [_looked_up(keyed, keyed["high"], keyed["low"], number, job)]
    by_row = names[names["image"] >= 0]
    if len(by_row):
        for images in row_groups(job.match.occurrences(number), _ROW):
            here = images[np.isin(images["id_high"], by_row["high"])]
            for image in here:
                same = (by_row["high"] == image["id_high"]) & (by_row["low"] == image["id_low"])
                meant = by_row[same & (by_row["image"] == image["image"])]
                high, low = (np.full(len(meant), image[name]) for name in _KEY)
                found.append(_looked_up(meant, high, low, number, job))
    return np.concatenate(found)


def _looked_up(names: Array, high: Any, low: Any, number: int, job: ReviewJob) -> Array:
    """The pictures of content keys, as far as they are in a range."""
    here = range_of(high, job.match.ranges) == number
    if not here.any():
        return np.zeros(0, dtype=_FOUND)
    names, high, low = names[here], high[here], low[here]
    pictures = _pictures(job.match.pictures(number))
    found = np.zeros(len(names), dtype=_FOUND)
    known = np.zeros(len(names), dtype=bool)
    start = np.searchsorted(pictures["key_high"], high, side="left")
    stop = np.searchsorted(pictures["key_high"], high, side="right")
    for at in range(len(names)):
        for place in range(start[at], stop[at]):
            if pictures["key_low"][place] == low[at]:
                known[at] = True
                for name in _PICTURE.names or ():
                    found[name][at] = pictures[name][place]
                found["number"][at] = place + (number << 32)
    found["review"], found["side"] = names["review"], names["side"]
    return found[known]


@lru_cache(maxsize=1)
def _pictures(path: str) -> Array:
    return read_array(path, _PICTURE)


def decide(rows: Sequence[dict[str, Any]], found: Array) -> tuple[list[str], Array]:
    """What becomes of each review, and the `REVIEWED` pairs to obey.

    Args:
        rows: of `ASKED_SCHEMA`.
        found: `_FOUND` records of all ranges, in any order.
    """
    sides = {(int(one["review"]), int(one["side"])): one for one in np.sort(found)[::-1]}
    status: dict[int, str] = {}
    pairs: dict[int, tuple[np.void, np.void]] = {}
    for review in range(len(rows)):
        first, second = (sides.get((review, side)) for side in (0, 1))
        if first is None or second is None:
            status[review] = UNKNOWN
        elif first["number"] == second["number"]:
            status[review] = IDENTICAL
        elif is_blank(first["ground"]) or is_blank(second["ground"]):
            status[review] = BLANK
        else:
            pairs[review] = first, second
    groups = _Groups()
    for same in (False, True):
        for review, (first, second) in pairs.items():
            if rows[review]["same"] == same:
                ends = int(first["number"]), int(second["number"])
                fits = groups.join(*ends) if same else groups.part(*ends)
                status[review] = OBEYED if fits else CONTRADICTED
    obeyed = [
        _reviewed(*pairs[review], rows[review]["same"])
        for review in pairs
        if status[review] == OBEYED
    ]
    records = np.array(sorted(set(obeyed)), dtype=REVIEWED)
    return [status[review] for review in range(len(rows))], records


def _reviewed(first: np.void, second: np.void, same: bool) -> tuple[int, int, int, bool]:
    ends = sorted([int(first["number"]), int(second["number"])])
    distance = int(first["phash"] ^ second["phash"]).bit_count()
    return ends[0], ends[1], distance, same


class _Groups:
    """Pictures that are the same by review, and groups that must stay apart."""

    def __init__(self) -> None:
        self._group: dict[int, set[int]] = {}
        self._apart: dict[int, set[int]] = defaultdict(set)

    def part(self, one: int, other: int) -> bool:
        self._apart[one].add(other)
        self._apart[other].add(one)
        return True

    def join(self, one: int, other: int) -> bool:
        """False if that would join pictures that must stay apart."""
        first, second = (self._group.setdefault(end, {end}) for end in (one, other))
        if first is second:
            return True
        if any(self._apart[member] & second for member in first):
            return False
        first |= second
        self._group.update(dict.fromkeys(second, first))
        return True


def write_file(number: int, pieces: Iterable[bytes], job: ReviewJob) -> dict[str, Any]:
    """Write what became of the reviews, and the marker with their counts; returns the marker."""
    rows, found = _asked(job.asked), from_bytes(pieces, _FOUND)
    status, obeyed = decide(rows, found)
    write_array(job.reviewed, obeyed)
    keys = {
        (int(one["review"]), int(one["side"])): f"{one['key_high']:016x}{one['key_low']:016x}"
        for one in np.sort(found)[::-1]
    }
    filled = [
        row
        | {
            "picture": keys.get((review, 0), row["picture"]),
            "other_picture": keys.get((review, 1), row["other_picture"]),
            "status": status[review],
        }
        for review, row in enumerate(rows)
    ]
    table = pa.Table.from_pylist(filled, schema=REVIEW_SCHEMA)
    entry = write_tables(job, number, REVIEW_SCHEMA, [table])
    counts = Counter(status)
    counts["same"], counts["different"] = (int((obeyed["same"] == n).sum()) for n in (1, 0))
    marker = {"number": number, "file": entry, "counts": dict(sorted(counts.items()))}
    storage.write_json(job.marker(number), marker)
    return marker


def _find(element: int, job: ReviewJob) -> Iterator[tuple[int, bytes]]:
    found = find_pictures(element, _names(_asked(job.asked)), job)
    if len(found):
        yield 0, found.tobytes()


def _write(element: tuple[int, Iterable[bytes]], job: ReviewJob) -> Iterator[int]:
    number, pieces = element
    write_file(number, pieces, job)
    yield number


class ResolveReviews(beam.PTransform):
    """The numbers of all ranges in, the number of the written file out."""

    def __init__(self, job: ReviewJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, ranges: beam.PCollection[int]) -> beam.PCollection[int]:
        job = self._job
        empty = ranges.pipeline | "Empty file of reviews" >> Each(job.files, b"", bytes)
        found = (
            ranges
            | "Spread ranges" >> beam.Reshuffle().with_output_types(int)
            | "Find pictures" >> beam.FlatMap(_find, job).with_output_types(tuple[int, bytes])
        )
        return (
            (empty, found)
            | "With empty file" >> beam.Flatten()
            | "Group found" >> beam.GroupByKey()
            | "Write reviews" >> beam.FlatMap(_write, job).with_output_types(int)
        )
