"""Groups: rows with the same pictures, of which one stays.

A worker gets all groups of a range of keys. The row with the largest pictures stays (then the
source named first in the recipe, then the smallest id); the others are dropped, or their turns
move over to it. Then their texts, and never their pictures, are fetched by range, a batch of
groups at a time, and the merged text is written down; the mix reads it from there.

One picture may be in a million rows, so a merged row takes over `MAX_TURNS` turns and `MAX_TEXT`
bytes at most: a larger group is cut, and the next row of the order above stays too. Memory holds
66 bytes for each row of the range and the texts of one batch: `_BATCH_BYTES`, or of one merged
row, which is below `MAX_TEXT` plus the gaps between ranges that are read as one, 80 MiB in all.
Measured with 300,000 rows of 0.3 kB on one picture: 40 s and 35 MB on one core.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import numpy as np
from cauldron.transforms.arrays import Array, from_bytes, range_of, split_by
from cauldron.transforms.curate.merging import merge_samples
from cauldron.transforms.curate.records import (
    DROPPED,
    FATE,
    MEMBER,
    MERGED,
    TAKES,
    CurateJob,
    merged_name,
)
from cauldron.transforms.parts import PartNames
from cauldron.transforms.record_files import read_sample
from cauldron.transforms.shards import batches_by_bytes

from cauldron.core import storage
from cauldron.core.schema import Sample

# Of a merged row, counted before repeated questions go. The mix takes a few turns of a row each
# time (`turns.cap`), so more would be carried along unread.
MAX_TURNS = 1_000
MAX_TEXT = 16 * 1024 * 1024

# Texts fetched at a time. What may be read between two near ranges counts as well.
_BATCH_BYTES = 32 * 1024 * 1024


def group_rows(members: Array) -> list[Array]:
    """The groups of two or more among `MEMBER` records, by key; in each the row that stays comes
    first, then the others in its order.

    Members of a cluster were compared with its representative, not with each other. Where no row
    holds the representatives' very pictures (it was contaminated, say), nothing is a group.
    """
    order = np.lexsort(
        [
            *(members[name] for name in ("low", "high", "source")),
            np.invert(members["pixels"]),
            ~members["original"],
            *(members[name] for name in ("key_low", "key_high")),
        ]
    )
    members = members[order]
    new = np.ones(len(members), dtype=bool)
    same = [members[k][1:] == members[k][:-1] for k in ("key_high", "key_low")]
    new[1:] = ~np.all(same, axis=0)
    groups = np.split(members, np.flatnonzero(new)[1:])
    return [group for group in groups if len(group) > 1 and group["original"][0]]


def cut_group(group: Array) -> Iterator[Array]:
    """Cut an ordered group into runs of two or more that each become one row.

    A run begins with an original, see `group_rows`; rows that would begin one and are none stay
    as they are.
    """
    start, turns, text = 0, 0, 0
    for at in range(len(group)):
        more, longer = int(group["turns"][at]), int(group["text"][at])
        if at > start and (turns + more > MAX_TURNS or text + longer > MAX_TEXT):
            if at > start + 1:
                yield group[start:at]
            if not group["original"][at]:
                return  # originals come first
            start, turns, text = at, 0, 0
        turns, text = turns + more, text + longer
    if len(group) > start + 1:
        yield group[start:]


def drop_others(groups: Iterable[Array]) -> Array:
    """The `FATE` of every row but the first of each group."""
    fates = [_fates(group, DROPPED)[1:] for group in groups]
    return np.concatenate(fates) if fates else np.zeros(0, dtype=FATE)


def _fates(group: Array, kind: int) -> Array:
    """Fates that send a group's rows to its first."""
    fates = np.zeros(len(group), dtype=FATE)
    fates["high"], fates["low"] = group["high"], group["low"]
    fates["kind"] = kind
    for name in ("source", "part", "row"):
        fates[f"into_{name}"] = group[name][0]
    return fates


def write_merged(number: int, packed: Iterable[bytes], job: CurateJob) -> Array:
    """Merge the groups of a range, write their texts and a marker; returns the `FATE` records."""
    groups = group_rows(from_bytes(packed, MEMBER))
    runs = [run for group in groups for run in cut_group(group)]
    name = merged_name(number, job.buckets)
    fates = [np.zeros(0, dtype=FATE)]
    with storage.atomic_write(storage.join(job.folder, name)) as file:
        for run, sample in zip(runs, _merged_samples(runs, job), strict=True):
            line = json.dumps(sample.model_dump(), ensure_ascii=False).encode()
            told = _fates(run, MERGED)
            stays = told[:1]
            stays["kind"] = TAKES
            stays["answer_tokens"], stays["turns"] = sample.answer_tokens, len(sample.turns)
            stays["merged_file"], stays["merged_offset"] = number, file.size
            stays["merged_length"] = len(line)
            fates.append(told)
            file.write(line + b"\n")
    entry = {"name": name, "bytes": file.size, "sha256": file.sha256, "rows": len(runs)}
    storage.write_json(job.merged_marker(number), {"range": number, "file": entry})
    return np.concatenate(fates)


def _merged_samples(runs: list[Array], job: CurateJob) -> Iterator[Sample]:
    costs = [int((run["text"] + np.int64(storage.COALESCE_GAP)).sum()) for run in runs]
    for batch in batches_by_bytes(costs, _BATCH_BYTES):
        taken = [_in_order(runs[at]) for at in batch]
        texts = iter(_fetch(np.concatenate(taken), job))
        for run in taken:
            first, *others = [read_sample(next(texts)) for _ in range(len(run))]
            yield merge_samples(first, others, job.conflicts)


def _in_order(run: Array) -> Array:
    """The row that stays, then the others as their turns are appended: by source and id."""
    others = run[1:]
    order = np.lexsort([others[name] for name in ("low", "high", "source")])
    return np.concatenate([run[:1], others[order]])


def _fetch(members: Array, job: CurateJob) -> list[bytes]:
    ranges = []
    for member in members:
        source = job.sources[int(member["source"])]
        pack = PartNames(source.corpus, "", int(member["part"]), source.parts).record_file
        path = storage.join(source.corpus, pack)
        ranges.append(storage.Range(path, int(member["offset"]), int(member["text"])))
    return storage.read_ranges(ranges)


def settle_range(
    number: int, packed: Iterable[bytes], job: CurateJob
) -> Iterator[tuple[int, bytes]]:
    """Decide the groups of a range; yields `FATE` records by the bucket that waits for them."""
    if job.action == "merge":
        fates = write_merged(number, packed, job)
    else:
        fates = drop_others(group_rows(from_bytes(packed, MEMBER)))
    yield from split_by(fates, range_of(fates["high"], job.buckets))
