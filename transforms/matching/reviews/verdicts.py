"""The verdicts of a range with the reviews in their place."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache

import numpy as np
from cauldron.transforms.arrays import Array, read_array
from cauldron.transforms.matching.arrays import Flags, row_groups
from cauldron.transforms.matching.records import REVIEWED, VERDICT, MatchJob

_PAIR = ("first", "second", "distance", "score", "same")
_VERDICT = np.dtype([(name, VERDICT[name]) for name in _PAIR])


def reviewed_pairs(job: MatchJob) -> Array:
    """`REVIEWED` records sorted by both pictures, each pair once."""
    return np.zeros(0, dtype=REVIEWED) if job.reviews is None else _read(job.reviews)


@lru_cache(maxsize=2)
def _read(path: str) -> Array:
    # The file belongs to a fingerprint and is complete before anybody reads it.
    return read_array(path, REVIEWED)


def verdicts_of(number: int, job: MatchJob, dtype: np.dtype[np.void]) -> Iterator[Array]:
    """The verdicts whose first picture is in a range, a row group at a time.

    Args:
        dtype: some fields of `VERDICT`, with `first`, `second`, `score` and `same`.
    """
    reviewed = reviewed_pairs(job)
    reviewed = reviewed[reviewed["first"] >> np.uint64(32) == number]
    for verdicts in row_groups(job.verdicts(number), dtype):
        yield verdicts[~is_reviewed(verdicts, reviewed)] if len(reviewed) else verdicts
    if len(reviewed):
        spoken = np.zeros(len(reviewed), dtype=dtype)
        for name in REVIEWED.names or ():
            if name in (dtype.names or ()):
                spoken[name] = reviewed[name]
        spoken["score"] = reviewed["same"]
        yield spoken


def same_pairs(number: int, job: MatchJob, counting: Collection[int]) -> Iterator[Array]:
    """The pairs of a range that are the same: first, second, distance, score, same.

    Args:
        counting: the verdicts that count as the same.
    """
    for verdicts in verdicts_of(number, job, _VERDICT):
        same = verdicts[is_same(verdicts, counting)]
        if len(same):
            yield same


def is_same(verdicts: Array, counting: Collection[int]) -> Flags:
    """Which verdicts are one of those that count."""
    same: Flags = np.isin(verdicts["same"], list(counting))
    return same


def is_reviewed(pairs: Array, reviewed: Array) -> Flags:
    """Which pairs a review is about.

    Args:
        pairs: records with `first` < `second`.
        reviewed: sorted by both.
    """
    start = np.searchsorted(reviewed["first"], pairs["first"], side="left")
    stop = np.searchsorted(reviewed["first"], pairs["first"], side="right")
    found = np.zeros(len(pairs), dtype=bool)
    for at in np.flatnonzero(stop > start):
        found[at] = pairs["second"][at] in reviewed["second"][start[at] : stop[at]]
    return found


def kept_apart(one: Array, other: Array, job: MatchJob) -> Flags:
    """For picture numbers side by side: whether a review says that the two are not the same."""
    apart = reviewed_pairs(job)
    apart = apart[apart["same"] == 0]
    pairs = np.zeros(len(one), dtype=[("first", "<u8"), ("second", "<u8")])
    pairs["first"], pairs["second"] = np.minimum(one, other), np.maximum(one, other)
    return is_reviewed(pairs, apart)
