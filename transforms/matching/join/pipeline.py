"""Candidate pairs of all pictures: the Hamming join, as Beam jobs over packed arrays.

    pictures ──signatures by key──▶ GroupByKey ──pairs by range of `first`──▶ candidates files

A signature crosses the shuffle radius + 1 times, 52 bytes each (`blocks.py`); everything about a
key is found by its worker alone (`bucket.py`). `find_candidates` runs the jobs in turn. Every
pair comes out once over all passes, and which pairs come out does not depend on where the passes
were cut, on workers, or on the order of bundles.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
from cauldron.transforms.arrays import Array, from_bytes, read_array, split_by, write_array
from cauldron.transforms.matching.join.blocks import Plan
from cauldron.transforms.matching.join.counting import CountKeys, counts_path
from cauldron.transforms.matching.join.passes import (
    KEY_COUNT,
    MOST_MEMBERS,
    Pass,
    one_pass,
    plan_blocks,
    plan_passes,
    plan_values,
    read_plan,
    split_hot,
)
from cauldron.transforms.matching.join.ranges import prepare_range
from cauldron.transforms.matching.join.search import NO_COUNTS, Counts, add_counts, join_key
from cauldron.transforms.matching.records import PAIR, MatchJob

from cauldron.core import storage

_STEM = "candidates"
_HASH_BYTES = 8
_HALF = np.uint64(32)

# A key (or the crowds of a range) with more pairs writes them itself: what crosses a shuffle
# stays small however many pictures look alike. 200,000 pairs are 4 MB.
MOST_SENT = 200_000

Keyed = tuple[int, bytes]
Entry = tuple[int, str]
RunJob = Callable[[str, beam.PTransform, int], None]


@dataclass(frozen=True)
class PassJob:
    """One pass.

    Attributes:
        number: its place among the passes.
        keys: what it does.
    """

    match: MatchJob
    plan: Plan
    number: int
    keys: Pass

    @property
    def tells_crowds(self) -> bool:
        """Pairs within crowds of a range belong to no key; the pass with the first key has them."""
        return self.keys.start == 0

    @property
    def marker(self) -> str:
        return self.match.marker(_STEM, self.number)

    def path(self, number: int, of: str) -> str:
        """Where pairs go whose first picture is in range `number`.

        Args:
            of: what found them: a key, crowds, or nothing for several keys together.
        """
        name = f"{_STEM}-{self.number:05d}-{number:05d}{of}.parquet"
        return storage.join(self.match.folder, name)


def write_pairs(number: int, packed: Iterable[bytes], job: PassJob, of: str = "") -> dict[str, Any]:
    """Write pairs whose first picture is in a range, sorted; returns the file's entry."""
    pairs = from_bytes(packed, PAIR)
    pairs = pairs[np.lexsort([pairs["second"], pairs["first"]])]
    both = pairs[["first", "second"]]
    assert (both[1:] != both[:-1]).all(), "a pair was told twice"
    return {"range": number, **write_array(job.path(number, of), pairs)}


def _send_pairs(pairs: Array, counts: Counts, job: PassJob, of: str) -> Iterator[Any]:
    """Few pairs by the range of their first picture, many as files; and the counts, under the
    number after the last range."""
    for number, piece in split_by(pairs, pairs["first"] >> _HALF):
        if len(pairs) > MOST_SENT:
            entry = write_pairs(number, [piece], job, of)
            yield beam.pvalue.TaggedOutput("files", (0, json.dumps(entry, sort_keys=True)))
        else:
            yield beam.pvalue.TaggedOutput("pairs", (number, piece))
    yield beam.pvalue.TaggedOutput("pairs", (job.match.ranges, json.dumps(counts).encode()))


class _SendSignatures(beam.DoFn):
    """Signatures to the keys of the pass, and the pairs within crowds of the range."""

    def __init__(self, job: PassJob) -> None:
        self._job = job

    def process(self, element: int) -> Iterator[Any]:
        job = self._job
        left = prepare_range(element, job.match, job.tells_crowds)
        left_out = 0
        for sent in job.plan.assign(left.records["phash"], job.keys.start, job.keys.stop):
            left_out += sent.left_out
            yield from split_by(left.records[sent.rows], sent.keys)
        counts = add_counts([left.counts, {"left_out": left_out}])
        yield from _send_pairs(left.pairs, counts, job, "-crowds")


class _JoinKey(beam.DoFn):
    def __init__(self, job: PassJob) -> None:
        self._job = job

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        key, pieces = element
        pairs, counts = join_key(key, pieces, self._job.plan, self._job.match)
        yield from _send_pairs(pairs, counts, self._job, f"-key-{key}")


class _WritePairs(beam.DoFn):
    def __init__(self, job: PassJob) -> None:
        self._job = job

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[Entry]:
        number, packed = element
        if number == self._job.match.ranges:
            entry = {"counts": add_counts(json.loads(counts) for counts in packed)}
        else:
            entry = write_pairs(number, packed, self._job)
        yield 0, json.dumps(entry, sort_keys=True)


def _write_marker(element: tuple[int, Iterable[str]], job: PassJob) -> int:
    entries = [json.loads(entry) for entry in element[1]]
    files = sorted((e for e in entries if "range" in e), key=lambda e: (e["range"], e["name"]))
    (counts,) = (entry["counts"] for entry in entries if "counts" in entry)
    marker = {
        "pass": job.number,
        "keys": [job.keys.start, job.keys.stop],
        "files": files,
        "counts": counts,
    }
    storage.write_json(job.marker, marker)
    return job.number


def _with_pairs(fn: beam.DoFn) -> Any:
    """A step with outputs `signatures`, `pairs` and `files`."""
    step = beam.ParDo(fn).with_output_types(Keyed, pairs=Keyed, files=Entry)
    return step.with_outputs("pairs", "files", main="signatures")


class CandidatePairs(beam.PTransform):
    """Numbers of ranges in; files of `PAIR` records and a marker, whose number comes out."""

    def __init__(self, job: PassJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, ranges: beam.PCollection[int]) -> beam.PCollection[int]:
        job = self._job
        none = ranges.pipeline | "No counts" >> beam.Create(
            [(job.match.ranges, json.dumps(NO_COUNTS).encode())]
        )
        sent = (
            ranges
            | "Spread ranges" >> beam.Reshuffle()
            | "Send signatures" >> _with_pairs(_SendSignatures(job))
        )
        found = (
            sent.signatures
            | "Group by key" >> beam.GroupByKey()
            | "Join" >> _with_pairs(_JoinKey(job))
        )
        files = (
            (none, found.pairs, sent.pairs)
            | "All pairs" >> beam.Flatten()
            | "Group by range" >> beam.GroupByKey()
            | "Write pairs" >> beam.ParDo(_WritePairs(job)).with_output_types(Entry)
        )
        return (
            (files, found.files, sent.files)
            | "All files" >> beam.Flatten()
            | "Group files" >> beam.GroupByKey()
            | "Write marker" >> beam.Map(_write_marker, job)
        )


@dataclass(frozen=True)
class Candidates:
    """What the join found.

    Attributes:
        files: for each range the files of `PAIR` records whose first picture is in it; a pair
            stands in one of them.
        counts: of all passes.
    """

    files: tuple[tuple[str, ...], ...]
    counts: Counts


def plan_join(job: MatchJob, pictures: int, limit: int, run: RunJob) -> tuple[Plan, list[Pass]]:
    """How the join is cut; kept in a file, so that a killed build goes on with the same cuts.

    Args:
        pictures: how many there are.
        limit: bytes that one job may shuffle.
        run: runs a transform that takes the numbers of all ranges; its other arguments are what
            the job is called and how many bytes it takes in.
    """
    path = job.marker("join", 0)
    if storage.exists(path):
        known = storage.read_json(path)
        return read_plan(known["plan"]), [Pass(*keys) for keys in known["passes"]]
    plan = plan_blocks(pictures, job.radius)
    passes = [one_pass(plan, pictures)]
    if pictures > MOST_MEMBERS or passes[0].size > limit:
        while True:
            run("count keys", CountKeys(job, plan), pictures * _HASH_BYTES)
            counts = read_array(counts_path(job), KEY_COUNT)
            split = split_hot(plan, counts, job.ranges)
            if split == plan:
                break
            plan = split
        passes = plan_passes(counts, limit)
    storage.write_json(path, {"plan": plan_values(plan), "passes": [list(p) for p in passes]})
    return plan, passes


def find_candidates(job: MatchJob, pictures: int, limit: int, run: RunJob) -> Candidates:
    """Run the passes that are not done. Arguments as in `plan_join`."""
    plan, passes = plan_join(job, pictures, limit, run)
    jobs = [PassJob(job, plan, number, keys) for number, keys in enumerate(passes)]
    for one in jobs:
        if not storage.exists(one.marker):
            run(f"candidates {one.number + 1} of {len(jobs)}", CandidatePairs(one), one.keys.size)
    files: list[list[str]] = [[] for _ in range(job.ranges)]
    marks = [storage.read_json(one.marker) for one in jobs]
    for mark in marks:
        for entry in mark["files"]:
            files[entry["range"]].append(storage.join(job.folder, entry["name"]))
    counts = add_counts(mark["counts"] for mark in marks)
    return Candidates(tuple(tuple(paths) for paths in files), counts)
