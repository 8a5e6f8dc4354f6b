"""Clusters on disk: the images of clustered pictures with the origins of their rows.

``clusters-00007-of-00012.parquet`` has the clusters of a range of cluster ids, the representative's
image first. An image is 50 bytes in the shuffle. The worker of its corpus part adds the origin of
the row, 111 bytes with a file name of 40; it reads the origins of the part once. The worker of a
file holds its rows, and half of that again while it sorts them: a cluster of a million images takes
230 MB and becomes a file of 23 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cauldron.transforms.arrays import Array, from_bytes, range_of, read_array
from cauldron.transforms.matching.arrays import ROW_FIELDS, by_part, cut_by, write_tables
from cauldron.transforms.matching.cluster.members import IMAGE_KEY, best_images, training_images
from cauldron.transforms.matching.cluster.representatives import (
    ALONE,
    FOLLOWER,
    SETTLED,
    UNSETTLED,
)
from cauldron.transforms.matching.records import (
    OCCURRENCE,
    PICTURE,
    TRAINING,
    CurationJob,
    MatchJob,
)

from cauldron.core import storage
from cauldron.core.schema import CLUSTER_SCHEMA, ORIGIN

# Part of the fingerprint of curations with clusters. Raise it when the clusters of equal verdicts
# change.
CLUSTER_VERSION = 5

# An image in a cluster, without its origin.
IMAGE = np.dtype(
    [
        *[("cluster_high", "<u8"), ("cluster_low", "<u8")],
        *((name, OCCURRENCE[name]) for name in ROW_FIELDS),
        *[("representative", "u1"), ("distance", "u1"), ("score", "<f4")],
        *[("other_colours", "u1"), ("other_rendering", "u1")],
    ]
)
# Array `IMAGE` records, and the origins of their rows as a record batch without its schema.
Rows = tuple[bytes, bytes]

_ORIGINS = pa.schema([("origin", ORIGIN)])
_COUNTS = ("key_high", "key_low", "kind", "occurrences")
_PICTURE = np.dtype([(name, PICTURE[name]) for name in _COUNTS])
_ROW_GROUP_ROWS = 65_536


class ClusterJob(CurationJob):
    """Writes the clusters, in ranges of their ids."""

    STEM = "clusters"


def clustered_images(settled: Array, number: int, job: MatchJob) -> Iterator[tuple[int, bytes]]:
    """The images of a range that are in a cluster, split by the corpus part that holds their rows.

    Args:
        settled: `SETTLED` records of pictures of the range, in any order.
    """
    settled = _with_repeated(settled[settled["place"] <= FOLLOWER], number, job)
    wanted = settled["number"]
    if not len(wanted):
        return
    best = best_images(wanted, number, job)
    # A picture that is its own cluster needs two images in training rows.
    enough = (settled["place"] <= FOLLOWER) | (best["count"] > 1)
    for numbers, images in training_images(wanted, number, job):
        at = np.searchsorted(wanted, numbers)
        at, images = at[enough[at]], images[enough[at]]
        records = np.zeros(len(images), dtype=IMAGE)
        for name in ROW_FIELDS:
            records[name] = images[name]
        for name in ("cluster_high", "cluster_low"):
            records[name] = settled[name.replace("cluster", "key")][at]
        for name in ("distance", "score", "other_colours", "other_rendering"):
            records[name] = settled[name][at]
        is_best = np.all([images[name] == best[name][at] for name in IMAGE_KEY], axis=0)
        records["representative"] = is_best & (settled["place"][at] != FOLLOWER)
        yield from by_part(records)


def _with_repeated(settled: Array, number: int, job: MatchJob) -> Array:
    """Add the pictures that occur more than once, each a cluster of its own; sorted by number."""
    pictures = read_array(job.pictures(number), _PICTURE)
    repeated = (pictures["kind"] & TRAINING != 0) & (pictures["occurrences"] > 1)
    repeated[(settled["number"] & np.uint64(0xFFFFFFFF)).astype(np.int64)] = False
    places = np.flatnonzero(repeated)
    own = np.zeros(len(places), dtype=SETTLED)
    own["number"] = places + (number << 32)
    for name in ("key_high", "key_low"):
        own[name] = pictures[name][places]
    own["score"], own["place"] = 1, ALONE
    both = np.concatenate([settled, own])
    return both[np.argsort(both["number"])]


def with_origins(
    source: int, part: int, pieces: Iterable[bytes], job: ClusterJob
) -> Iterator[tuple[int, Rows]]:
    """Add the origins to images of a corpus part, and split them by file."""
    images = from_bytes(pieces, IMAGE)
    with storage.open_read(job.match.sources[source].table(part)) as file:
        column = pq.read_table(file, columns=["origin"])["origin"]
    for number, piece in cut_by(images, range_of(images["cluster_high"], job.files)):
        rows = pa.array(from_bytes([piece], IMAGE)["row"])
        origins = column.take(rows).combine_chunks()
        batch = pa.record_batch([origins], schema=_ORIGINS)
        yield number, (piece, batch.serialize().to_pybytes())


def count_splits(settled: Array, files: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """By file of their clusters: the number of pictures split off, and of those left unsettled."""
    numbers = range_of(settled["key_high"], files)
    for number in np.unique(numbers[settled["splits"] > 0]):
        here = settled[numbers == number]
        split, unsettled = here["splits"] > 0, here["place"] == UNSETTLED
        yield int(number), (int(split.sum()), int(unsettled.sum()))


def write_file(
    number: int, rows: Iterable[Rows], splits: Iterable[tuple[int, int]], job: ClusterJob
) -> dict[str, Any]:
    """Write a file of clusters and its marker; returns the marker."""
    pieces = list(rows)
    images = from_bytes([packed for packed, _ in pieces], IMAGE)
    origins = pa.Table.from_batches(
        [pa.ipc.read_record_batch(pa.py_buffer(data), _ORIGINS) for _, data in pieces], _ORIGINS
    )["origin"]
    order = _order(images, job.match)
    names = [source.name for source in job.match.sources]
    groups = (order[at : at + _ROW_GROUP_ROWS] for at in range(0, len(order), _ROW_GROUP_ROWS))
    tables = (cluster_table(images[rows], origins.take(pa.array(rows)), names) for rows in groups)
    entry = write_tables(job, number, CLUSTER_SCHEMA, tables)
    counts = np.bincount(images["source"], minlength=len(names))
    split, unsettled = np.array([(0, 0), *splits]).sum(axis=0)
    marker = {
        "number": number,
        "file": entry,
        "clusters": int(images["representative"].sum()),
        "other_colours": int(images["other_colours"].sum()),
        "other_rendering": int(images["other_rendering"].sum()),
        "members": {names[n]: int(counts[n]) for n in np.flatnonzero(counts)},
        "split": int(split),
        "unsettled": int(unsettled),
    }
    storage.write_json(job.marker(number), marker)
    return marker


def _order(images: Array, job: MatchJob) -> Any:
    """By cluster, the representative first, then by name of the source, id and place in the row."""
    by_name = sorted(range(len(job.sources)), key=lambda n: job.sources[n].name)
    ranks = np.argsort(by_name)[images["source"]]
    last = [images[name] for name in ("image", "id_low", "id_high")]
    first = [images[name] for name in ("cluster_low", "cluster_high")]
    return np.lexsort([*last, ranks, -images["representative"].astype(np.int8), *first])


def cluster_table(images: Array, origins: Any, names: list[str]) -> pa.Table:
    """Images in `CLUSTER_SCHEMA`."""
    return pa.table(
        {
            "cluster": _hex(images, "cluster"),
            "source": pa.array(np.array(names, dtype=object)[images["source"]], pa.string()),
            "id": _hex(images, "id"),
            "image": images["image"].astype(np.int32),
            "origin": origins,
            "representative": images["representative"] == 1,
            "distance": images["distance"].astype(np.int32),
            "score": np.ascontiguousarray(images["score"]),
            "other_colours": images["other_colours"] == 1,
            "other_rendering": images["other_rendering"] == 1,
        },
        schema=CLUSTER_SCHEMA,
    )


def _hex(records: Array, name: str) -> pa.Array:
    halves = [records[f"{name}_high"], records[f"{name}_low"]]
    digits = np.stack(halves, axis=1).astype(">u8").tobytes().hex()
    return pa.array([digits[at : at + 32] for at in range(0, len(digits), 32)], pa.string())
