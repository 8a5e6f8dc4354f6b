"""Decisions on corpus rows, made in buckets of ids.

A bucket is a range of ids: its rows, the clusters of their images, and the ids of rows to drop,
which are contaminated or rated too low. Rows with the same id are the same sample: the first by
(source, part, row) stays, the others are exact copies and share its decision. A row whose images
are all in clusters goes to its group (`groups.py`), which returns a `FATE`. A row with only blank
pictures has no group: that two questions are about a blank page does not join them.

A picture that is in too many documents is left out of all of them (`repeated.py`); a document
without any picture left is dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from cauldron.transforms.arrays import (
    Array,
    copy_fields,
    from_bytes,
    groups,
    starts,
    write_groups,
)
from cauldron.transforms.curate.records import (
    CLUSTERED,
    CONTAMINATED,
    CONTRIBUTION,
    DROPPED,
    FATE,
    GONE,
    JUDGED,
    KEPT,
    LEFT_OUT,
    LOW_RATING,
    MEMBER,
    ROW,
    SHOWN,
    TAKES,
    CurateJob,
    bucket_name,
)
from cauldron.transforms.order import U64

from cauldron.core import storage
from cauldron.core.schema import CONTRIBUTIONS, DECISION_SCHEMA

Numbers = npt.NDArray[np.int64]
_Bytes16 = npt.NDArray[np.bytes_]

# Decision and reason of each kind of fate, then of exact copies, then of rows that are gone: these
# by `_COPY` + why. Last are documents without pictures.
_COPY = 4
_GONE = (_COPY + CONTAMINATED, _COPY + LOW_RATING)
_BARE = max(_GONE) + 1
_DECISIONS = np.array(["keep", "keep", "merge", "drop", "merge", *3 * ["drop"]], dtype=object)
_REASONS = np.array(
    [
        *(None, None, "near_duplicate", "near_duplicate"),
        *("exact_copy", "contaminated", "low_rating", "repeated_images"),
    ],
    dtype=object,
)


def decide(pieces: Iterable[bytes], dtype: np.dtype[np.void] = ROW) -> tuple[Array, Numbers]:
    """Sort a bucket by id and find exact copies.

    Returns:
        the sorted rows, and for each the position of the first row with its id.
    """
    rows = from_bytes(pieces, dtype)
    rows = rows[np.lexsort([rows[k] for k in ("row", "part", "source", "low", "high")])]
    first = np.where(starts(rows, "high", "low"), np.arange(len(rows)), 0)
    return rows, np.maximum.accumulate(first)


def judge(
    rows: Iterable[bytes], clustered: Iterable[bytes], gone: Iterable[bytes], job: CurateJob
) -> tuple[Array, Array, Array]:
    """Judge the rows of a bucket, without other buckets.

    Returns:
        the sorted `JUDGED` rows, `MEMBER` records of those that may have duplicates, and `SHOWN`
        records of the images of documents.
    """
    found, first = decide(rows)
    images = _by_image(from_bytes(clustered, CLUSTERED))
    ids, image_ids = _wide(found), _wide(images)
    start = np.searchsorted(image_ids, ids, "left")
    stop = np.searchsorted(image_ids, ids, "right")
    judged = np.zeros(len(found), dtype=JUDGED)
    copy_fields(found, judged)
    inside = stop > start
    for name in ("cluster_high", "cluster_low"):
        judged[name][inside] = images[name][start[inside]]
    _mark_gone(judged, from_bytes(gone, GONE))
    members, shown = np.zeros(0, dtype=MEMBER), np.zeros(0, dtype=SHOWN)
    stays = (judged["gone"] == 0) & (first == np.arange(len(found)))
    if job.max_documents is not None:
        shown = _shown(images, np.flatnonzero(stays & found["document"]), start, stop)
    if job.groups:
        dialogue = np.array([source.dialogue for source in job.sources])[found["source"]]
        whole = inside & (stop - start == found["images"]) & ~dialogue & ~found["blank"]
        rows_of = np.flatnonzero(whole & stays)
        members = _members(found[rows_of], images, start[rows_of], stop[rows_of])
    return judged, members, shown


def _shown(images: Array, rows: Numbers, start: Numbers, stop: Numbers) -> Array:
    """The images of some rows. Args: start, stop: of every row's images."""
    taken = [images[start[row] : stop[row]] for row in rows]
    found = np.concatenate([images[:0], *taken])
    shown = np.zeros(len(found), dtype=SHOWN)
    copy_fields(found, shown)
    return shown


def _mark_gone(judged: Array, gone: Array) -> None:
    """Set `gone` of sorted rows; of several reasons the first of the records' constants counts."""
    gone = gone[np.lexsort([gone[name] for name in ("why", "low", "high")])]
    gone = gone[starts(gone, "high", "low")]
    if len(gone):
        ids, wanted = _wide(judged), _wide(gone)
        at = np.minimum(np.searchsorted(wanted, ids), len(gone) - 1)
        judged["gone"] = np.where(wanted[at] == ids, gone["why"][at], 0)


def _wide(records: Array, high: str = "high", low: str = "low") -> _Bytes16:
    """Each 128-bit id as one value that sorts like it. NumPy drops trailing zero bytes when such a
    value is read, but compares all 16 bytes."""
    halves = np.stack([records[high], records[low]], axis=1).astype(">u8")
    return np.frombuffer(halves.tobytes(), dtype="S16")


def _by_image(images: Array) -> Array:
    """Sorted by row and image, each image once."""
    images = images[np.lexsort([images[k] for k in ("image", "low", "high")])]
    return images[starts(images, "high", "low", "image")]


def _members(rows: Array, images: Array, start: Numbers, stop: Numbers) -> Array:
    members = np.zeros(len(rows), dtype=MEMBER)
    copy_fields(rows, members)
    clusters = np.stack([images["cluster_high"], images["cluster_low"]], axis=1)
    data = clusters.astype(">u8").tobytes()
    keys = b"".join(
        _group_key(data[16 * a : 16 * b], int(system), bool(document))
        for a, b, system, document in zip(
            start, stop, rows["system"], rows["document"], strict=True
        )
    )
    members["original"] = [images["original"][a:b].all() for a, b in zip(start, stop, strict=True)]
    halves = np.frombuffer(keys, dtype=">u8").reshape(-1, 2)
    members["key_high"], members["key_low"] = halves[:, 0], halves[:, 1]
    return members


def _group_key(clusters: bytes, system: int, document: bool) -> bytes:
    """The group of a row: a hash of its images' clusters, in order, and its system prompt."""
    head = (len(clusters) // 16).to_bytes(8, "big") + system.to_bytes(8, "big")
    # A document never gives its text to a conversation.
    kind = b"document" if document else b""
    return hashlib.blake2b(head + clusters, digest_size=16, person=kind).digest()


def settle(
    judged: Iterable[bytes], fates: Iterable[bytes], left_out: Iterable[bytes] = ()
) -> tuple[Array, Array, U64]:
    """Join the rows of a bucket with their fates, and with the images to leave out.

    Returns:
        the sorted `JUDGED` rows; a `FATE` for each; and the images to leave out of each, as bits.
        For kept rows `into_*` is the row itself; `kind` may also be `_COPY`, one of `_GONE`, or
        `_BARE`.
    """
    rows, first = decide(judged, JUDGED)
    own = np.arange(len(rows))
    settled = np.zeros(len(rows), dtype=FATE)
    for name in ("source", "part", "row"):
        settled[f"into_{name}"] = rows[name]
    told = from_bytes(fates, FATE)
    settled[np.searchsorted(_wide(rows), _wide(told), "left")] = told
    # Only rows that took over others have figures in their fate.
    for name in ("answer_tokens", "turns"):
        settled[name] = np.where(settled["kind"] == TAKES, settled[name], rows[name])
    without = _left_out(rows, from_bytes(left_out, LEFT_OUT))
    # All rows of a group of documents show the same pictures, so all of them are bare.
    bare = (np.bitwise_count(without) == rows["images"]) & (without > 0)
    settled["kind"][bare] = _BARE
    for name in ("source", "part", "row"):
        settled[f"into_{name}"][bare] = rows[name][bare]
    dropped = (rows["gone"] > 0) & (first == own)
    settled["kind"][dropped] = _COPY + rows["gone"][dropped]
    copies = np.flatnonzero(first != own)
    origin = settled[first[copies]]
    # Copies keep their own figures, which nothing uses.
    for name in ("into_source", "into_part", "into_row"):
        settled[name][copies] = origin[name]
    lost = np.isin(origin["kind"], (DROPPED, *_GONE, _BARE))
    settled["kind"][copies] = np.where(lost, origin["kind"], _COPY)
    return rows, settled, np.where(settled["kind"] == KEPT, without, np.uint64(0))


def _left_out(rows: Array, left_out: Array) -> U64:
    """The images to leave out of each sorted row; of several copies of a row only the first is
    named."""
    without = np.zeros(len(rows), dtype=np.uint64)
    at = np.searchsorted(_wide(rows), _wide(left_out), "left")
    np.bitwise_or.at(without, at, left_out["images"])
    return without


def decision_table(
    rows: Array, settled: Array, held: Array, without: U64, job: CurateJob
) -> pa.Table:
    """The decisions on rows of a bucket in `DECISION_SCHEMA`, sorted by id.

    Args:
        held: `CONTRIBUTION` records of the rows that took over others.
        without: the images to leave out of each row, as bits.
    """
    kind = settled["kind"]
    names = np.array([source.name for source in job.sources], dtype=object)
    # No row takes the place of one that is gone.
    nowhere = np.isin(kind, (KEPT, TAKES, *_GONE, _BARE))
    merged = {
        "merged_file": settled["merged_file"].astype(np.int32),
        "merged_offset": settled["merged_offset"],
        "merged_length": settled["merged_length"].astype(np.int64),
    }
    moved = {
        "into_part": settled["into_part"].astype(np.int32),
        "into_row": settled["into_row"].astype(np.int32),
    }
    return pa.table(
        {
            "source": pa.array(names[rows["source"]], pa.string()),
            "id": _hex(rows),
            "part": rows["part"].astype(np.int32),
            "row": rows["row"].astype(np.int32),
            "decision": pa.array(_DECISIONS[kind], pa.string()),
            "reason": pa.array(_REASONS[kind], pa.string()),
            "into_source": pa.array(names[settled["into_source"]], pa.string(), mask=nowhere),
            **{name: pa.array(values, mask=nowhere) for name, values in moved.items()},
            "answer_tokens": settled["answer_tokens"],
            "turns": settled["turns"],
            "offset": rows["offset"],
            "length": rows["length"],
            "image_bytes": rows["image_bytes"],
            "cluster": _hex(rows, "cluster_high", "cluster_low", none=True),
            **{name: pa.array(values, mask=kind != TAKES) for name, values in merged.items()},
            "contributions": _contributions(rows, held, names),
            "dropped_images": pa.array(
                [[k for k in range(64) if bits >> k & 1] or None for bits in without.tolist()],
                pa.list_(pa.int32()),
            ),
        },
        schema=DECISION_SCHEMA,
    )


def _contributions(rows: Array, held: Array, names: npt.NDArray[Any]) -> pa.Array:
    """The column `contributions`: null for rows that hold none."""
    # The first of several rows with the same id is the one that is kept.
    at = np.searchsorted(_wide(rows), _wide(held), "left")
    order = np.lexsort([held["source"], at])
    held, number = held[order], np.bincount(at, minlength=len(rows))
    values = {"source": pa.array(names[held["source"]], pa.string())}
    values |= {name: pa.array(held[name]) for name in ("turns", "answer_tokens")}
    return pa.ListArray.from_arrays(
        np.concatenate([[0], np.cumsum(number)]).astype(np.int32),
        pa.StructArray.from_arrays(list(values.values()), fields=list(CONTRIBUTIONS.value_type)),
        mask=pa.array(number == 0),
    )


def _hex(records: Array, high: str = "high", low: str = "low", none: bool = False) -> pa.Array:
    """128-bit numbers as 32 hex digits; with `none`, 0 becomes null."""
    digits = np.stack([records[high], records[low]], axis=1).astype(">u8").tobytes().hex()
    values = np.array([digits[i : i + 32] for i in range(0, len(digits), 32)], dtype=object)
    zero = (records[high] == 0) & (records[low] == 0)
    return pa.array(values, pa.string(), mask=zero & none)


def write_bucket(
    bucket: int,
    judged: Iterable[bytes],
    fates: Iterable[bytes],
    held: Iterable[bytes],
    left_out: Iterable[bytes],
    job: CurateJob,
) -> dict[str, Any]:
    """Write the decisions of a bucket and a marker; returns the marker."""
    rows, settled, without = settle(judged, fates, left_out)
    parts = from_bytes(held, CONTRIBUTION)
    holder = np.searchsorted(_wide(rows), _wide(parts), "left")

    def table(own: slice) -> pa.Table:
        inside = (holder >= own.start) & (holder < own.stop)
        return decision_table(rows[own], settled[own], parts[inside], without[own], job)

    name = bucket_name(bucket, job.buckets)
    with storage.atomic_write(storage.join(job.folder, name)) as file:
        write_groups(file, map(table, groups(len(rows))))
    marker = {
        "bucket": bucket,
        "file": file.entry(name, len(rows)),
        "sources": _counts(rows["source"], settled["kind"], without, job),
    }
    storage.write_json(job.marker(bucket), marker)
    return marker


def _counts(source: Any, kind: Any, without: U64, job: CurateJob) -> dict[str, Any]:
    """Rows of each source by decision and reason, and images left out, as in `CurationCounts`."""
    counts: dict[str, Any] = {}
    kinds = len(_DECISIONS)
    codes, numbers = np.unique(source.astype(np.int64) * kinds + kind, return_counts=True)
    for both, rows in zip(codes.tolist(), numbers.tolist(), strict=True):
        number, code = divmod(both, kinds)
        entry = counts.setdefault(
            job.sources[number].name, {"rows_in": 0, "kept": 0, "merged": {}, "dropped": {}}
        )
        entry["rows_in"] += rows
        if _DECISIONS[code] == "keep":
            entry["kept"] += rows
        else:
            reasons = entry["merged" if _DECISIONS[code] == "merge" else "dropped"]
            reasons[_REASONS[code]] = reasons.get(_REASONS[code], 0) + rows
    for number in np.unique(source[without > 0]).tolist():
        images = int(np.bitwise_count(without[source == number]).sum())
        counts[job.sources[number].name]["repeated_images"] = images
    return counts
