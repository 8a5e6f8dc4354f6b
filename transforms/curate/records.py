"""The records that curating passes on, and the job that says where they lie.

All travel as packed arrays. A row of a corpus costs 72 bytes on its way, whatever it holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cauldron.core.markers import marker_path
from cauldron.core.rules import Action, Conflicts

# A row of a corpus. `text` is the length of its record before the first image, `pixels` the sum
# over its images, `system` a hash of the system prompt: 0 without images, or without a prompt.
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
        ("images", "<u2"),
        ("text", "<u4"),
        ("pixels", "<u8"),
        ("system", "<u8"),
    ]
)

# An image in a cluster: the id of its row, its index there, its cluster, and whether it is the very
# picture that all others of the cluster were compared with.
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

# The id of a row to drop.
GONE = np.dtype([("high", "<u8"), ("low", "<u8")])

# A row that waits for its fate. `cluster_*` are 0 outside every cluster.
JUDGED = np.dtype(
    [
        *[(name, ROW[name]) for name in (ROW.names or ())[:9]],
        ("cluster_high", "<u8"),
        ("cluster_low", "<u8"),
        ("gone", "?"),
    ]
)

# A row whose images are all in clusters. Rows with equal `key_*` have the same pictures in the
# same order, and the same system prompt. All images of an `original` row are: others may join it.
MEMBER = np.dtype(
    [
        ("key_high", "<u8"),
        ("key_low", "<u8"),
        ("original", "?"),
        *[(name, ROW[name]) for name in ("high", "low", "source", "part", "row", "turns")],
        *[(name, ROW[name]) for name in ("offset", "text", "pixels")],
    ]
)

# What a group decided about a row: it takes over others (its new figures, and where its text
# lies), or merges into another, or is dropped for another.
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


@dataclass(frozen=True)
class CurateSource:
    """A corpus to be curated.

    Attributes:
        corpus: its folder.
        parts: how many parts it has.
        dialogue: its turns build on each other, so no others may join them.
    """

    name: str
    corpus: str
    parts: int
    dialogue: bool = False


@dataclass(frozen=True)
class CurateJob:
    """What workers must know.

    Attributes:
        sources: in the order of their priority; records name a source by its place here.
        buckets: number of decision files, and of files of merged texts.
        folder: where they go.
        action: what becomes of rows with the same pictures. ``keep``, or None where clusters
            were not looked for: nothing.
        conflicts: see `merging.merge_samples`.
    """

    sources: tuple[CurateSource, ...]
    buckets: int
    folder: str
    action: Action | None = None
    conflicts: Conflicts = "keep"

    @property
    def groups(self) -> bool:
        """Whether rows with the same pictures are looked for."""
        return self.action in ("merge", "drop")

    @property
    def merged_files(self) -> int:
        return self.buckets if self.action == "merge" else 0

    def marker(self, bucket: int) -> str:
        return marker_path(self.folder, "", bucket)

    def merged_marker(self, number: int) -> str:
        return marker_path(self.folder, "merged", number)


def bucket_name(bucket: int, buckets: int) -> str:
    return f"decisions-{bucket:05d}-of-{buckets:05d}.parquet"


def merged_name(number: int, files: int) -> str:
    """The file of merged texts: a JSON line for each row that took over others."""
    return f"merged-{number:05d}-of-{files:05d}.jsonl"
