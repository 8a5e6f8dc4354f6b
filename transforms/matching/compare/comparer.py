"""Compares pictures by number: pixels are read by reference and decoded once for many pairs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from cauldron.transforms.arrays import Array, read_array
from cauldron.transforms.matching.arrays import smallest_of_component
from cauldron.transforms.matching.compare.colours import compare_colours
from cauldron.transforms.matching.compare.comparison import Comparison, compare
from cauldron.transforms.matching.compare.pieces.rendering import (
    Size,
    compare_renderings,
    least_alike,
    look_alike,
    may_be_other_rendering,
)
from cauldron.transforms.matching.compare.pieces.rescaled import (
    greys_of,
    needs_second_look,
    pieces_differ,
    refused,
)
from cauldron.transforms.matching.compare.prepared import (
    FINE_PIXELS,
    Prepared,
    prepare,
    prepare_views,
)
from cauldron.transforms.matching.compare.recent import Recent
from cauldron.transforms.matching.records import (
    DIFFERENT,
    OTHER_COLOURS,
    OTHER_RENDERING,
    PAIR,
    PICTURE,
    SAME,
    VERDICT,
    MatchJob,
)
from cauldron.transforms.matching.views import CONTENT, PAIRINGS, WHOLE, views_to_compare
from cauldron.transforms.pictures.signatures import DRAWING_GROUND

from cauldron.core.stores.ranges import Range, read_ranges

# At 5 to 15 ms a pair a batch is one to four seconds of work: short enough to balance workers, long
# enough to share decoded pictures.
BATCH = 256
# Bytes fetched at a time. Decoded pictures are kept, at up to about 1 MB each.
_FETCH_BYTES = 64 * 1024 * 1024
_KEPT_PICTURES = 256
_KEPT_RANGES = 4
# At up to 6 MB each.
_KEPT_FINE = 8

# A picture and one of its views.
Key = tuple[int, int]


def batches(pairs: Array) -> Iterator[Array]:
    """Pairs in batches that need few ranges, connected pairs together.

    So each picture is decoded once, unless its component is larger than a batch.

    Args:
        pairs: records with the fields `first` and `second`.
    """
    first, second = pairs["first"], pairs["second"]
    numbers, ends = np.unique(np.concatenate([first, second]), return_inverse=True)
    component = smallest_of_component(ends[: len(pairs)], ends[len(pairs) :], len(numbers))
    order = np.lexsort([second, first, component[ends[: len(pairs)]], second >> np.uint64(32)])
    for start in range(0, len(pairs), BATCH):
        yield pairs[order[start : start + BATCH]]


def _sizes(pictures: Array) -> list[Size]:
    """Of `PICTURE` records."""
    return list(zip(pictures["width"].tolist(), pictures["height"].tolist(), strict=True))


# Levels that the rims of two contents may differ by. Rims of other colours must be at all four
# sides: a bar of one colour along one side may be what a picture is about.
_LIKE_RIMS = 24


def comparable(first: Prepared, second: Prepared) -> bool:
    """Whether what was cut off around two contents says nothing against them."""
    assert first.rim is not None
    assert second.rim is not None
    apart = max(
        abs(one - other) for one, other in zip(first.rim.colour, second.rim.colour, strict=True)
    )
    return apart <= _LIKE_RIMS or (first.rim.around and second.rim.around)


def verdict(first: Prepared, second: Prepared) -> tuple[Comparison, int]:
    """The comparison of two pictures, and `same` of a `VERDICT` record."""
    found = compare(first, second)
    if found.same:
        return found, SAME
    recoloured = compare_colours(first, second, found)
    return (found, DIFFERENT) if recoloured is None else (recoloured, OTHER_COLOURS)


# The least score at which a pair is in doubt. Of 16 scaled pages and screenshots that were refused
# the lowest has 0.21.
_IN_DOUBT = 0.15


def in_doubt(found: Comparison, first: Prepared, second: Prepared) -> bool:
    """Whether the full resolution may show that two pictures are the same after all.

    Averages of areas alias. A copy that was scaled so cannot be made from a picture that was
    reduced before, only from all of its pixels.
    """
    if not found.grey or found.score < _IN_DOUBT or first.size == second.size:
        return False
    return (first.reduced or second.reduced) and first.can_be_fine and second.can_be_fine


class PictureComparer:
    """Compares pictures by number. Keeps a few tables and decoded pictures; not thread-safe."""

    def __init__(self, job: MatchJob) -> None:
        self._job = job
        self._tables = Recent[int, Array](
            lambda number: read_array(job.pictures(number), PICTURE), _KEPT_RANGES
        )
        self._prepared = Recent[Key, Prepared | None](self._read, _KEPT_PICTURES)
        self._fine = Recent[Key, Prepared | None](self._read_fine, _KEPT_FINE)

    def compare(self, pairs: Array) -> Array:
        """Compare `PAIR` records; returns `VERDICT` records in the same order.

        Pairs with a picture in common should be near each other.
        """
        verdicts = self.without_scores(pairs)
        ours, theirs = (self._pictures(pairs[name]) for name in ("first", "second"))
        views = views_to_compare(ours, theirs, self._job.limits)
        sizes = list(zip(_sizes(ours), _sizes(theirs), strict=True))
        for start, stop in self._stretches(pairs):
            self._fetch(pairs[start:stop], views[start:stop])
            for at in range(start, stop):
                first, second = (int(pairs[name][at]) for name in ("first", "second"))
                found, same = self._verdict(first, second, views[at])
                if same == DIFFERENT:
                    found, same = self._other_rendering(first, second, sizes[at]) or (found, same)
                verdicts["score"][at] = found.score
                verdicts["drawing"][at], verdicts["same"][at] = found.drawing, same
        return verdicts

    def _verdict(
        self, first: int, second: int, pairings: list[tuple[int, int]]
    ) -> tuple[Comparison, int]:
        """Of the first views that are the same, or else of the nearest to it.

        No other view is compared if two drawings differ on one frame.
        """
        best: tuple[Comparison, int] | None = None
        for pairing in pairings:
            one, other = (
                self._prepared.get((number, view))
                for number, view in zip((first, second), pairing, strict=True)
            )
            if one is None or other is None:
                continue
            if pairing == (CONTENT, CONTENT) and not comparable(one, other):
                continue
            found, same = verdict(one, other)
            if same == DIFFERENT and in_doubt(found, one, other):
                found, same = self._fine_verdict(first, second, pairing) or (found, same)
            if same == SAME:
                if self._is_refused(found, first, second, one, other):
                    return refused(found), DIFFERENT
                return found, same
            if best is None or (same != DIFFERENT, found.score) > (
                best[1] != DIFFERENT,
                best[0].score,
            ):
                best = found, same
            if found.framed:
                break
        # Without any view that can be compared, they are compared as they are.
        return best or self._verdict(first, second, [PAIRINGS[0]])

    def _is_refused(
        self, found: Comparison, first: int, second: int, one: Prepared, other: Prepared
    ) -> bool:
        """Whether a second look tells two drawings that were found the same apart."""
        if not (found.drawing and one.drawing and other.drawing):
            return False
        pictures = self._pictures(np.array([first, second], dtype=np.uint64))
        a, b = _sizes(pictures)
        contents = None if (one.size, other.size) == (a, b) else (one.size, other.size)
        if not needs_second_look(found, (a, b), contents):
            return False
        stored = self._bytes(pictures)
        return pieces_differ(stored[0], stored[1], (a, b))

    def _other_rendering(
        self, first: int, second: int, sizes: tuple[Size, Size]
    ) -> tuple[Comparison, int] | None:
        """That two pictures are one page in two renderings; None if they are not."""
        if not may_be_other_rendering(*sizes):
            return None
        one, other = (self._prepared.get((number, WHOLE)) for number in (first, second))
        if one is None or other is None or not look_alike(one, other):
            return None
        look_at = least_alike(one, other)
        if look_at is None:
            return None
        pictures = self._pictures(np.array([first, second], dtype=np.uint64))
        greys = [greys_of(stored) for stored in self._bytes(pictures)]
        found = compare_renderings(greys[0], greys[1], look_at)
        return None if found is None else (found, OTHER_RENDERING)

    def _fine_verdict(
        self, first: int, second: int, pairing: tuple[int, int]
    ) -> tuple[Comparison, int] | None:
        """That they are the same at full resolution; None if they are not."""
        one, other = (
            self._fine.get((number, view))
            for number, view in zip((first, second), pairing, strict=True)
        )
        if one is None or other is None:
            return None
        found, same = verdict(one, other)
        return None if same == DIFFERENT else (found, same)

    def without_scores(self, pairs: Array) -> Array:
        """`VERDICT` records with only the numbers, distances and content keys of pairs."""
        verdicts = np.zeros(len(pairs), dtype=VERDICT)
        for name in PAIR.names or ():
            verdicts[name] = pairs[name]
        for side in ("first", "second"):
            pictures = self._pictures(pairs[side])
            verdicts[f"{side}_high"] = pictures["key_high"]
            verdicts[f"{side}_low"] = pictures["key_low"]
        return verdicts

    def _pictures(self, numbers: Any) -> Array:
        """The `PICTURE` records of picture numbers, in their order."""
        result = np.zeros(len(numbers), dtype=PICTURE)
        ranges = numbers >> np.uint64(32)
        for number in np.unique(ranges):
            here = ranges == number
            places = numbers[here] & np.uint64(0xFFFFFFFF)
            result[here] = self._tables.get(int(number))[places.astype(np.int64)]
        return result

    def _stretches(self, pairs: Array) -> Iterator[tuple[int, int]]:
        """Cut pairs into stretches whose pixels may be fetched together."""
        size, start = 0, 0
        first, second = (self._pictures(pairs[side])["length"] for side in ("first", "second"))
        lengths = first + second
        for at in range(len(pairs)):
            size += int(lengths[at])
            if at > start and (size > _FETCH_BYTES or at - start >= _KEPT_PICTURES // 2):
                yield start, at
                size, start = int(lengths[at]), at
        if len(pairs):
            yield start, len(pairs)

    def _fetch(self, pairs: Array, views: list[list[tuple[int, int]]]) -> None:
        """Read the pictures of pairs that are not cached, near ranges together."""
        wanted = {
            (int(pair[name]), pairing[side])
            for pair, pairings in zip(pairs, views, strict=True)
            for pairing in pairings
            for side, name in enumerate(("first", "second"))
        }
        missing = sorted(key for key in wanted if key not in self._prepared)
        for key in sorted(wanted.difference(missing)):
            self._prepared.get(key)  # mark as used, so that the new ones do not replace it
        numbers = sorted({number for number, _ in missing})
        with_content = {number for number, view in missing if view == CONTENT}
        pictures = self._pictures(np.array(numbers, dtype=np.uint64))
        for number, picture, data in zip(numbers, pictures, self._bytes(pictures), strict=True):
            if number in with_content:
                self._put_views(number, picture, data)
            else:
                self._prepared.put((number, WHOLE), prepare(data))

    def _put_views(self, number: int, picture: np.void, data: bytes) -> Prepared | None:
        whole, content = prepare_views(data, bool(picture["ground"] >= DRAWING_GROUND))
        self._prepared.put((number, WHOLE), whole)
        return self._prepared.put((number, CONTENT), content)

    def _read(self, key: Key) -> Prepared | None:
        number, view = key
        pictures = self._pictures(np.array([number], dtype=np.uint64))
        (data,) = self._bytes(pictures)
        return self._put_views(number, pictures[0], data) if view == CONTENT else prepare(data)

    def _read_fine(self, key: Key) -> Prepared | None:
        number, view = key
        pictures = self._pictures(np.array([number], dtype=np.uint64))
        (data,) = self._bytes(pictures)
        if view == WHOLE:
            return prepare(data, FINE_PIXELS)
        drawing = bool(pictures[0]["ground"] >= DRAWING_GROUND)
        return prepare_views(data, drawing, FINE_PIXELS)[1]

    def _bytes(self, pictures: Array) -> list[bytes]:
        ranges = []
        for picture in pictures:
            path = self._job.sources[picture["source"]].record_file(int(picture["part"]))
            ranges.append(Range(path, int(picture["offset"]), int(picture["length"])))
        return read_ranges(ranges)
