"""The records that matching passes on, and the jobs that name the files they are kept in.

A *picture* stands for all images with equal content: equal pixels where ingest decoded the image
in full (PNG, WebP, everything re-encoded), equal bytes otherwise (a JPEG that passed through). An
*occurrence* is one image of one corpus row. Pictures are numbered ``range << 32 | index``: the
range of keys whose file holds the picture, and its place in that file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from cauldron.transforms.parts import PartNames, record_file

from cauldron.core import storage
from cauldron.core.output.markers import Markers

_KEY = [("key_high", "<u8"), ("key_low", "<u8")]
_HASHES = [("phash", "<u8"), ("phash256", "<u8", (4,))]
_SIZE = [("width", "<i4"), ("height", "<i4")]
# What is inside a border of one colour (`pictures.content`), and its hashes; 0 if there is none.
_BOX = [(f"content_{name}", "<i4") for name in ("left", "top", "width", "height")]
_CONTENT = [("content_phash", "<u8"), ("content_phash256", "<u8", (4,)), *_BOX]
CONTENT_FIELDS = tuple(str(field[0]) for field in _CONTENT)
_BYTES = [("offset", "<i8"), ("length", "<i8")]

# One image of one row. `key_*` identify the picture; `images` is how many the row has; `offset` and
# `length` locate the image's bytes in the record file of (source, part).
OCCURRENCE = np.dtype(
    [
        *_KEY,
        *[("source", "<u2"), ("part", "<u4"), ("row", "<u4"), ("image", "<u2"), ("images", "<u2")],
        *[("id_high", "<u8"), ("id_low", "<u8")],
        *_HASHES,
        *[("ground", "u1"), ("loss", "<u2")],
        *_SIZE,
        *_CONTENT,
        *_BYTES,
    ]
)

# A picture. The place of its first occurrence (by source, part, row, image) is kept to read its
# pixels. `kind` says where it occurs: TRAINING, BENCHMARK or both bits.
PICTURE = np.dtype(
    [
        *_KEY,
        *_HASHES,
        *[("ground", "u1"), ("loss", "<u2"), ("kind", "u1")],
        *_SIZE,
        *_CONTENT,
        *[("source", "<u2"), ("part", "<u4")],
        *_BYTES,
        ("occurrences", "<u4"),
    ]
)
TRAINING, BENCHMARK = 1, 2

# The part of a picture that the join needs, 52 bytes, and as many for its content if it has one:
# two records with one number. `aspect` is round(1000 * log2(width / height)).
SIGNATURE = np.dtype(
    [*_HASHES, ("aspect", "<i2"), ("kind", "u1"), ("ground", "u1"), ("number", "<u8")]
)

# The hashes of both views of a picture (`matching.views`).
VIEW_FIELDS = [
    *[*_HASHES, ("aspect", "<i2")],
    *[("content_phash", "<u8"), ("content_phash256", "<u8", (4,)), ("content_aspect", "<i2")],
    ("has_content", "u1"),
]

# Two pictures, `first` < `second`, and the Hamming distances of those of their hashes that are
# nearest.
PAIR = np.dtype([("first", "<u8"), ("second", "<u8"), ("distance", "u1"), ("distance256", "<u2")])

# A pair of which a person says whether its pictures are the same.
REVIEWED = np.dtype([("first", "<u8"), ("second", "<u8"), ("distance", "u1"), ("same", "u1")])

# A pair after its pixels were compared. With content keys, so that later builds can reuse it.
# `score` is 0 to 1; `drawing` is 1 if the threshold for line art and text applied; `same` is one of
# those below. The score of a pair in other colours is that of its grey levels; that of a page in
# another rendering says how well its ink agrees.
VERDICT = np.dtype(
    [
        *[("first_high", "<u8"), ("first_low", "<u8")],
        *[("second_high", "<u8"), ("second_low", "<u8")],
        *PAIR.descr,
        *[("score", "<f4"), ("drawing", "u1"), ("same", "u1")],
    ]
)

DIFFERENT, SAME, OTHER_COLOURS, OTHER_RENDERING = range(4)
# What is evidence of contamination.
ALIKE = (SAME, OTHER_COLOURS, OTHER_RENDERING)

# A training picture that is the same as a benchmark's. For a step towards a leak, `benchmark` is
# the training picture in between.
LEAK = np.dtype(
    [
        *[("training", "<u8"), ("benchmark", "<u8"), ("distance", "u1"), ("score", "<f4")],
        ("kind", "u1"),  # place in `KINDS`
    ]
)
# How a training picture shows a benchmark's: whole, or as `matching.parts` says.
KINDS = ("picture", "part", "mirrored", "colours", "watermark", "rendering")
# The kind of a leak by `same` of its verdict.
KIND_OF_VERDICT = {
    SAME: KINDS.index("picture"),
    OTHER_COLOURS: KINDS.index("colours"),
    OTHER_RENDERING: KINDS.index("rendering"),
}


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

    def table(self, part: int) -> str:
        """The parquet file of a part."""
        return storage.join(self.corpus, PartNames(self.corpus, "", part, self.parts).parquet)

    def record_file(self, part: int) -> str:
        """The file with the image bytes of a part."""
        return record_file(self.corpus, part, self.parts)


class Limits(NamedTuple):
    """The largest differences of a candidate pair; `aspect` as in `SIGNATURE`."""

    radius: int
    radius256: int
    aspect: int


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
        neighbours: the most candidates that a picture keeps, nearest first.
        reviews: a file of `REVIEWED` pairs, which take the place of verdicts; None: there are none.
        other_colours, other_rendering: whether pairs that are `OTHER_COLOURS`, `OTHER_RENDERING`
            are the same picture in clusters. They are leaks of benchmarks in any case.
    """

    sources: tuple[MatchSource, ...]
    folder: str
    ranges: int
    radius: int
    radius256: int
    aspect: float
    neighbours: int
    reviews: str | None = None
    other_colours: bool = False
    other_rendering: bool = False

    @property
    def merging(self) -> tuple[int, ...]:
        """The verdicts that say that two pictures are the same in clusters."""
        colours = (OTHER_COLOURS,) if self.other_colours else ()
        return (SAME, *colours, *((OTHER_RENDERING,) if self.other_rendering else ()))

    @property
    def limits(self) -> Limits:
        # The difference of two rounded numbers can be one more than that of the numbers.
        aspect = round(1000 * float(np.log2(1 + self.aspect))) + 1
        return Limits(self.radius, self.radius256, aspect)

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

    def temporary(self, name: str) -> str:
        """A file that is removed when the matching is finished."""
        return storage.join(self.temporaries, name)

    @property
    def temporaries(self) -> str:
        return storage.join(self.folder, "_candidates")

    def markers(self, stem: str) -> Markers:
        """Of the files of all ranges."""
        return Markers(self.folder, stem, self.ranges)

    def marker(self, stem: str, number: int) -> str:
        return self.markers(stem).path(number)


def found_name(stem: str, number: int, files: int) -> str:
    """The name of a file of clusters or of evidence."""
    return f"{stem}-{number:05d}-of-{files:05d}.parquet"


@dataclass(frozen=True)
class CurationJob:
    """A job that writes files into a curation's folder, each with a range of ids.

    Attributes:
        folder: ``curation/<fingerprint>``.
        files: how many files; ids are cut into as many ranges.
    """

    STEM: ClassVar[str]
    match: MatchJob
    folder: str
    files: int

    def name(self, number: int) -> str:
        return found_name(self.STEM, number, self.files)

    def file(self, number: int) -> str:
        return storage.join(self.folder, self.name(number))

    @property
    def markers(self) -> Markers:
        return Markers(self.folder, self.STEM, self.files)

    def marker(self, number: int) -> str:
        return self.markers.path(number)
