"""Groups: rows with the same pictures, of which one stays.

A worker gets all groups of a range of keys. A row with the representatives' pictures stays, if the
group has one, then the row with the largest pictures, then the one with the least lossy pictures;
ties are decided by the order of sources in the recipe, then by the smallest id. The others are
dropped, or merged into it. To merge, their texts, never their pictures, are fetched by range, a
batch of groups at a time; the merged text is written to a file, from which the mix reads it.

Documents are not merged: of those that have the same pictures and the same text, once normalised,
one stays. Two articles on one picture are two documents.

One picture may be in a million rows. A merged row is therefore limited to `MAX_TURNS` turns and
`MAX_TEXT` bytes; a larger group is split, and one row of each piece stays. Memory holds 70 bytes
for each row of the range, and the texts of one batch: `_BATCH_BYTES`, or one merged row if that is
larger, at most 80 MiB with the gaps between ranges that are fetched together. Measured with
300,000 rows of 0.3 kB on one picture: 40 s and 35 MB on one core.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator

import numpy as np
from cauldron.transforms.arrays import Array, from_bytes, starts
from cauldron.transforms.curate.merging import merge_samples, normalise_text
from cauldron.transforms.curate.records import (
    CONTRIBUTION,
    DROPPED,
    FATE,
    MEMBER,
    MERGED,
    TAKES,
    CurateJob,
    merged_name,
)
from cauldron.transforms.parts import record_file
from cauldron.transforms.record_files import read_sample
from cauldron.transforms.shards import batches_by_bytes

from cauldron.core import storage
from cauldron.core.schema import Sample
from cauldron.core.stores.ranges import COALESCE_GAP, Range, read_ranges

# Limits of a merged row, before repeated questions are removed. A copy has only a few turns
# (`turns.cap`), so more would never be read.
MAX_TURNS = 1_000
MAX_TEXT = 16 * 1024 * 1024

# Texts fetched at a time, with the gaps between ranges that are fetched together.
_BATCH_BYTES = 32 * 1024 * 1024


def group_rows(members: Array) -> list[Array]:
    """The groups of two or more rows among `MEMBER` records, by key; the row that stays is first.

    The representative of a cluster need not be in any of these rows: it may be a picture of a pair,
    of a dialogue or of a contaminated row. All pictures of a cluster are the same as it, which is
    as good as a comparison of two of them with each other.
    """
    order = np.lexsort(
        [
            *(members[name] for name in ("low", "high", "source")),
            members["loss"],
            np.invert(members["pixels"]),
            ~members["original"],
            *(members[name] for name in ("key_low", "key_high")),
        ]
    )
    members = members[order]
    groups = np.split(members, np.flatnonzero(starts(members, "key_high", "key_low"))[1:])
    return [group for group in groups if len(group) > 1]


def cut_group(group: Array) -> Iterator[Array]:
    """Split an ordered group into runs of two or more rows that each become one row.

    A row alone in its run is kept unchanged.
    """
    start, turns, text = 0, 0, 0
    for at in range(len(group)):
        more, longer = int(group["turns"][at]), int(group["text"][at])
        if at > start and (turns + more > MAX_TURNS or text + longer > MAX_TEXT):
            if at > start + 1:
                yield group[start:at]
            start, turns, text = at, 0, 0
        turns, text = turns + more, text + longer
    if len(group) > start + 1:
        yield group[start:]


def drop_others(groups: Iterable[Array]) -> Array:
    """The `FATE` of every row but the first of each group."""
    fates = [_fates(group, DROPPED)[1:] for group in groups]
    return np.concatenate(fates) if fates else np.zeros(0, dtype=FATE)


def _fates(group: Array, kind: int) -> Array:
    """`FATE` records that point all rows of a group to its first."""
    fates = np.zeros(len(group), dtype=FATE)
    fates["high"], fates["low"] = group["high"], group["low"]
    fates["kind"] = kind
    for name in ("source", "part", "row"):
        fates[f"into_{name}"] = group[name][0]
    return fates


def write_merged(number: int, pieces: Iterable[bytes], job: CurateJob) -> tuple[Array, Array]:
    """Merge the groups of a range, write the texts and a marker.

    Returns:
        the `FATE` records, and the `CONTRIBUTION` records of the rows that stay.
    """
    groups = group_rows(from_bytes(pieces, MEMBER))
    runs = [run for group in groups if not group["document"][0] for run in cut_group(group)]
    name = merged_name(number, job.buckets)
    fates, held = [_same_documents(groups, job)], [np.zeros(0, dtype=CONTRIBUTION)]
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
            held.append(_contributions(stays, sample, job))
            file.write(line + b"\n")
    marker = {"range": number, "file": file.entry(name, len(runs))}
    storage.write_json(job.merged_marker(number), marker)
    return np.concatenate(fates), np.concatenate(held)


def _contributions(stays: Array, sample: Sample, job: CurateJob) -> Array:
    """What a merged sample holds of each source, in the order of the sources."""
    tokens: dict[str, list[int]] = {}
    for turn in sample.turns:
        tokens.setdefault(turn.source, []).append(turn.answer_tokens)
    numbers = {source.name: number for number, source in enumerate(job.sources)}
    held = np.zeros(len(tokens), dtype=CONTRIBUTION)
    held["high"], held["low"] = stays["high"], stays["low"]
    for at, name in enumerate(sorted(tokens, key=numbers.__getitem__)):
        held["source"][at] = numbers[name]
        held["turns"][at], held["answer_tokens"][at] = len(tokens[name]), sum(tokens[name])
    return held


def _merged_samples(runs: list[Array], job: CurateJob) -> Iterator[Sample]:
    costs = [int((run["text"] + np.int64(COALESCE_GAP)).sum()) for run in runs]
    for batch in batches_by_bytes(costs, _BATCH_BYTES):
        taken = [_in_order(runs[at]) for at in batch]
        texts = iter(_fetch(np.concatenate(taken), job))
        for run in taken:
            first, *others = [read_sample(next(texts)) for _ in range(len(run))]
            yield merge_samples(first, others, job.conflicts)


def _in_order(run: Array) -> Array:
    """The row that stays, then the others by source and id, the order of their turns."""
    others = run[1:]
    order = np.lexsort([others[name] for name in ("low", "high", "source")])
    return np.concatenate([run[:1], others[order]])


def _fetch(members: Array, job: CurateJob) -> list[bytes]:
    ranges = []
    for member in members:
        source = job.sources[int(member["source"])]
        path = record_file(source.corpus, member["part"], source.parts)
        ranges.append(Range(path, int(member["offset"]), int(member["text"])))
    return read_ranges(ranges)


def settle_range(number: int, pieces: Iterable[bytes], job: CurateJob) -> tuple[Array, Array]:
    """Decide on the groups of a range; returns `FATE` and `CONTRIBUTION` records."""
    if job.action == "merge":
        return write_merged(number, pieces, job)
    groups = group_rows(from_bytes(pieces, MEMBER))
    dropped = drop_others(group for group in groups if not group["document"][0])
    fates = np.concatenate([dropped, _same_documents(groups, job)])
    return fates, np.zeros(0, dtype=CONTRIBUTION)


def _same_documents(groups: Iterable[Array], job: CurateJob) -> Array:
    """The `FATE` of documents with the pictures and the text of another one."""
    same = (part for group in groups if group["document"][0] for part in _by_text(group, job))
    return drop_others(same)


def _by_text(group: Array, job: CurateJob) -> Iterator[Array]:
    """The documents of a group that have the same text, in the group's order."""
    if job.max_documents is not None and len(group) > job.max_documents:
        return  # all of their pictures are left out, and so are they
    alike: dict[bytes, list[int]] = {}
    costs = (group["text"] + np.int64(COALESCE_GAP)).tolist()
    for batch in batches_by_bytes(costs, _BATCH_BYTES):
        for at, text in zip(batch, _fetch(group[batch.start : batch.stop], job), strict=True):
            alike.setdefault(_text_key(read_sample(text)), []).append(at)
    yield from (group[places] for places in alike.values() if len(places) > 1)


def _text_key(sample: Sample) -> bytes:
    assert sample.document is not None, f"{sample.id} is no document"
    parts = [None if part is None else normalise_text(part) for part in sample.document.parts]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).digest()
