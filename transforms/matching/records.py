"""The records that matching passes on, and the job that names where they lie.

A *picture* is what all images with equal content have in common: equal pixels where ingest
decoded the whole (PNG, WebP, everything re-encoded), equal bytes otherwise (a JPEG that passed
through). An *occurrence* is one image of one corpus row. Pictures are numbered
``range << 32 | index``: the range of key values that its file holds, and its place there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cauldron.core import storage
from cauldron.core.markers import marker_path

# One image of one row. `key_*` identify the picture; `images` is how many the row has;
# `offset` and `length` are the image's own bytes in the pack of (source, part).
OCCURRENCE = np.dtype(
    [
        ("key_high", "<u8"),
        ("key_low", "<u8"),
        ("source", "<u2"),
        ("part", "<u4"),
        ("row", "<u4"),
        ("image", "<u2"),
        ("images", "<u2"),
        ("id_high", "<u8"),
        ("id_low", "<u8"),
        ("phash", "<u8"),
        ("phash256", "<u8", (4,)),
        ("ground", "u1"),
        ("width", "<i4"),
        ("height", "<i4"),
        ("offset", "<i8"),
        ("length", "<i8"),
    ]
)

# A picture: an occurrence stands for it (the first by source, part, row, image), so that its
# pixels can be read. `kind` says where it occurs: TRAINING, BENCHMARK or both bits.
PICTURE = np.dtype(
    [
        ("key_high", "<u8"),
        ("key_low", "<u8"),
        ("phash", "<u8"),
        ("phash256", "<u8", (4,)),
        ("ground", "u1"),
        ("kind", "u1"),
        ("width", "<i4"),
        ("height", "<i4"),
        ("source", "<u2"),
        ("part", "<u4"),
        ("offset", "<i8"),
        ("length", "<i8"),
        ("occurrences", "<u4"),
    ]
)
TRAINING, BENCHMARK = 1, 2

# What the join carries of a picture, 52 bytes. `aspect` is round(1000 * log2(width / height)).
SIGNATURE = np.dtype(
    [
        ("phash", "<u8"),
        ("phash256", "<u8", (4,)),
        ("aspect", "<i2"),
        ("kind", "u1"),
        ("ground", "u1"),
        ("number", "<u8"),
    ]
)

# Two pictures, `first` < `second`, and the Hamming distances of their hashes.
PAIR = np.dtype([("first", "<u8"), ("second", "<u8"), ("distance", "u1"), ("distance256", "<u2")])

# A pair after its pixels were compared. Keys instead of numbers: a result holds in any later
# build. `score` is 0 to 1; `drawing` is 1 where the bar for line art and text held; `same` is 1
# where the score reached the bar.
VERDICT = np.dtype(
    [
        ("first_high", "<u8"),
        ("first_low", "<u8"),
        ("second_high", "<u8"),
        ("second_low", "<u8"),
        ("first", "<u8"),
        ("second", "<u8"),
        ("distance", "u1"),
        ("distance256", "<u2"),
        ("score", "<f4"),
        ("drawing", "u1"),
        ("same", "u1"),
    ]
)


@dataclass(frozen=True)
class MatchSource:
    """A corpus that takes part: a source's, or a benchmark's.

    Attributes:
        corpus: its folder.
        parts: how many parts it has.
        benchmark: its pictures must not be trained on.
    """

    name: str
    corpus: str
    parts: int
    benchmark: bool = False


@dataclass(frozen=True)
class MatchJob:
    """What workers must know.

    Attributes:
        sources: in the order of the recipe, which is their priority; benchmarks come last.
            Records name a source by its place here.
        folder: ``matches/<fingerprint>``.
        ranges: ranges of keys; each has one file of pictures and one of occurrences.
        radius, radius256: largest Hamming distances of the 64- and 256-bit hashes.
        aspect: largest ratio of aspect ratios, minus one.
        neighbours: candidates that a picture keeps at most, nearest first.
    """

    sources: tuple[MatchSource, ...]
    folder: str
    ranges: int
    radius: int
    radius256: int
    aspect: float
    neighbours: int

    def _file(self, stem: str, number: int, of: int) -> str:
        return storage.join(self.folder, f"{stem}-{number:05d}-of-{of:05d}.parquet")

    def pictures(self, number: int) -> str:
        """The `PICTURE` records of a range, sorted by key."""
        return self._file("pictures", number, self.ranges)

    def occurrences(self, number: int) -> str:
        """The `OCCURRENCE` records of a range, sorted by key, source, part, row, image."""
        return self._file("occurrences", number, self.ranges)

    def verdicts(self, number: int) -> str:
        """The `VERDICT` records whose first picture is in a range, sorted by both numbers."""
        return self._file("verdicts", number, self.ranges)

    def marker(self, stem: str, number: int) -> str:
        return marker_path(self.folder, stem, number)
