"""The records of curation, and the settings of the job. A corpus row is a record of 86 bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from cauldron.transforms.matching.records import found_name
from cauldron.transforms.parts import PartNames

from cauldron.core import storage
from cauldron.core.output.markers import Markers
from cauldron.core.sections.rules import Action, Conflicts

# A row of a corpus. `text` is the length of its record before the first image, `image_bytes`,
# `pixels` and `loss` are sums over its images, `system` is a hash of the system prompt. They are 0
# without images or a prompt. `blank` says that it has images and none of them has structure;
# `document` that it is a pre-training document.
ROW = np.dtype(
    [
        ("high", "<u8"),
        ("low", "<u8"),
        ("source", "<u2"),
        ("part", "<u4"),
        ("row", "<u4"),
        ("answer_tokens", "<i4"),
        ("turns", "<i4"),
        ("offset", "<i8"),
        ("length", "<i8"),
        ("image_bytes", "<i8"),
        ("images", "<u2"),
        ("text", "<u4"),
        ("pixels", "<u8"),
        ("loss", "<u4"),
        ("blank", "?"),
        ("system", "<u8"),
        ("document", "?"),
    ]
)

# An image in a cluster: the id of its row, its index there, its cluster, and whether it is the same
# picture as the representative, with which all images of the cluster were compared.
CLUSTERED = np.dtype(
    [
        ("high", "<u8"),
        ("low", "<u8"),
        ("image", "<u2"),
        ("original", "?"),
        ("cluster_high", "<u8"),
        ("cluster_low", "<u8"),
    ]
)

# The id of a row to drop, and why.
GONE = np.dtype([("high", "<u8"), ("low", "<u8"), ("why", "u1")])
CONTAMINATED, LOW_RATING = 1, 2

# An image of a document that is in a cluster: the cluster, the row's id, its index there.
SHOWN = np.dtype(
    [
        ("cluster_high", "<u8"),
        ("cluster_low", "<u8"),
        ("high", "<u8"),
        ("low", "<u8"),
        ("image", "<u2"),
    ]
)

# Images to leave out of a document, by its id: bit k of `images` stands for image k.
LEFT_OUT = np.dtype([("high", "<u8"), ("low", "<u8"), ("images", "<u8")])

# A row before its group is known. `cluster_*` are 0 outside every cluster, and so is `gone` for a
# row that may stay.
JUDGED = np.dtype(
    [
        *[(name, ROW[name]) for name in (ROW.names or ())[:10]],
        ("cluster_high", "<u8"),
        ("cluster_low", "<u8"),
        ("gone", "u1"),
        ("images", "<u2"),
    ]
)

# A row whose images are all in clusters. Rows with equal `key_*` have the same pictures in the
# same order, and the same system prompt, or are both documents. All images of an `original` row are
# original; such a row stays before others.
MEMBER = np.dtype(
    [
        ("key_high", "<u8"),
        ("key_low", "<u8"),
        ("original", "?"),
        ("document", "?"),
        *[(name, ROW[name]) for name in ("high", "low", "source", "part", "row", "turns")],
        *[(name, ROW[name]) for name in ("offset", "text", "pixels", "loss")],
    ]
)

# The decision of a group on a row: it takes over others (with its new figures and the place of its
# text), is merged into another, or is dropped in favour of another.
FATE = np.dtype(
    [
        ("high", "<u8"),
        ("low", "<u8"),
        ("kind", "u1"),
        ("into_source", "<u2"),
        ("into_part", "<u4"),
        ("into_row", "<u4"),
        ("answer_tokens", "<i4"),
        ("turns", "<i4"),
        ("merged_file", "<u4"),
        ("merged_offset", "<i8"),
        ("merged_length", "<u4"),
    ]
)
KEPT, TAKES, MERGED, DROPPED = range(4)

# What a row that took over others holds of one source.
CONTRIBUTION = np.dtype(
    [
        ("high", "<u8"),
        ("low", "<u8"),
        *[(name, ROW[name]) for name in ("source", "turns", "answer_tokens")],
    ]
)


@dataclass(frozen=True)
class CurateSource:
    """A corpus to curate.

    Attributes:
        corpus: its folder.
        parts: number of its parts.
        dialogue: turns build on each other, so its rows are not merged.
        ratings: the folder of its ratings, with a table for each part; None without.
    """

    name: str
    corpus: str
    parts: int
    dialogue: bool = False
    ratings: str | None = None

    def tables(self, folder: str) -> Iterator[str]:
        """The paths of the tables of all parts in a folder."""
        for part in range(self.parts):
            yield storage.join(folder, PartNames(folder, "", part, self.parts).parquet)


@dataclass(frozen=True)
class CurateJob:
    """The settings that workers need.

    Attributes:
        sources: in the order of their priority; records refer to a source by its index.
        buckets: number of decisions files, and of files of merged texts.
        folder: of these files.
        action: what is done with rows that have the same pictures; None if duplicates were not
            searched for.
        conflicts: see `merging.merge_samples`.
        max_documents: pictures in more documents are left out of them; None: none are.
        least: the smallest rating that each turn may have, (scale, rating).
        found: how many files of clusters and of evidence are in the folder, (stem of their names,
            number).
    """

    sources: tuple[CurateSource, ...]
    buckets: int
    folder: str
    action: Action | None = None
    conflicts: Conflicts = "keep"
    max_documents: int | None = None
    least: tuple[tuple[str, int], ...] = ()
    found: tuple[tuple[str, int], ...] = ()

    def found_files(self, *stems: str) -> Iterator[str]:
        """The paths of the files of some stems."""
        for stem, files in self.found:
            if stem in stems:
                for number in range(files):
                    yield storage.join(self.folder, found_name(stem, number, files))

    @property
    def groups(self) -> bool:
        """Whether rows with the same pictures are merged or dropped."""
        return self.action in ("merge", "drop")

    @property
    def merged_files(self) -> int:
        return self.buckets if self.action == "merge" else 0

    @property
    def markers(self) -> Markers:
        """Of the decisions."""
        return Markers(self.folder, "", self.buckets)

    @property
    def merged_markers(self) -> Markers:
        return Markers(self.folder, "merged", self.merged_files)

    def marker(self, bucket: int) -> str:
        return self.markers.path(bucket)

    def merged_marker(self, number: int) -> str:
        return self.merged_markers.path(number)


def bucket_name(bucket: int, buckets: int) -> str:
    return f"decisions-{bucket:05d}-of-{buckets:05d}.parquet"


def merged_name(number: int, files: int) -> str:
    """The name of a file of merged texts: a JSON line for each row that took over others."""
    return f"merged-{number:05d}-of-{files:05d}.jsonl"
