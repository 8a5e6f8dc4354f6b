"""Candidate pairs of all pictures: the Hamming join as Beam jobs over packed arrays.

    pictures ──signatures by key──▶ GroupByKey ──pairs by range of `first`──▶ candidates files

A signature of 52 bytes crosses the shuffle radius + 1 times (`blocks.py`). A key's worker needs
nothing else (`search.py`). `find_candidates` runs one job for each pass. Every pair of hashes is
found in exactly one pass, and the pairs do not depend on the cut into passes, on the number of
workers, or on the order of bundles.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import apache_beam as beam
import numpy as np
from cauldron.transforms.arrays import Array, from_bytes, split_by, starts, write_array
from cauldron.transforms.matching.join.blocks import Plan
from cauldron.transforms.matching.join.crowds import prepare_range, thin
from cauldron.transforms.matching.join.plan import (
    Keyed,
    Pass,
    PlanFiles,
    RunJob,
    plan_join,
    read_plan,
)
from cauldron.transforms.matching.join.search import NO_COUNTS, Counts, Search, add_counts
from cauldron.transforms.matching.records import PAIR, SIGNATURE, MatchJob

from cauldron.core import storage

_STEM = "candidates"
_HALF = np.uint64(32)

# A key (or the crowds of a range) with more pairs writes them to a file itself, so that little
# crosses the shuffle even if many pictures look alike. 200,000 pairs are 4 MB.
MOST_SENT = 200_000

Entry = tuple[int, str]


@dataclass(frozen=True)
class PassJob:
    """One pass.

    Attributes:
        number: its place among the passes of the plan, which is in a file.
    """

    match: MatchJob
    number: int

    @cached_property
    def _planned(self) -> tuple[Plan, list[Pass]]:
        return read_plan(storage.read_json(PlanFiles(self.match).final))

    @property
    def plan(self) -> Plan:
        return self._planned[0]

    @property
    def keys(self) -> Pass:
        """The keys that it joins."""
        return self._planned[1][self.number]

    @property
    def within_crowds(self) -> bool:
        """Whether the pass looks for pairs within the crowds of ranges; the first pass does."""
        return self.keys.start == 0

    @property
    def marker(self) -> str:
        return self.match.marker(_STEM, self.number)

    def path(self, number: int, of: str) -> str:
        """The file for pairs whose first picture is in range `number`.

        Args:
            of: where they were found: one key, the crowds of a range, or empty for several keys.
        """
        return self.match.temporary(f"{_STEM}-{self.number:05d}-{number:05d}{of}.parquet")


def join_key(key: int, pieces: Iterable[bytes], plan: Plan, job: MatchJob) -> tuple[Array, Counts]:
    """The candidate pairs that belong to a key.

    Args:
        pieces: packed `SIGNATURE` arrays, one from each range that has members, in any order.

    Returns:
        `PAIR` records, and counts.
    """
    ordered = sorted(pieces, key=lambda piece: int(np.frombuffer(piece, SIGNATURE)["number"][0]))
    records = from_bytes(ordered, SIGNATURE)
    prefix = plan.prefix_of(key)
    left = thin(records, job, within_crowds=prefix == tuple(range(len(prefix))))
    search = Search(left.records, left.apart, job)
    for table in plan.tables(prefix):
        search.table(table)
    pairs, counts = search.result()
    size = {"largest_key": len(records)}
    return np.concatenate([left.pairs, pairs]), add_counts([size, left.counts, counts])


def distinct_pairs(pairs: Array) -> Array:
    """Pairs sorted, each once with its least distances: two views may have found it twice."""
    order = ("distance256", "distance", "second", "first")
    pairs = pairs[np.lexsort([pairs[name] for name in order])]
    return pairs[starts(pairs, "first", "second")]


def write_pairs(number: int, packed: Iterable[bytes], job: PassJob, of: str = "") -> dict[str, Any]:
    """Write pairs whose first picture is in a range, sorted; returns the file's entry."""
    pairs = distinct_pairs(from_bytes(packed, PAIR))
    return {"range": number, **write_array(job.path(number, of), pairs)}


def _send_pairs(pairs: Array, counts: Counts, job: PassJob, of: str) -> Iterator[Any]:
    """Few pairs by the range of their first picture, many pairs as files. The key of the counts is
    the number after the last range."""
    for number, piece in split_by(pairs, pairs["first"] >> _HALF):
        if len(pairs) > MOST_SENT:
            entry = write_pairs(number, [piece], job, of)
            yield beam.pvalue.TaggedOutput("files", (0, json.dumps(entry, sort_keys=True)))
        else:
            yield beam.pvalue.TaggedOutput("pairs", (number, piece))
    yield beam.pvalue.TaggedOutput("pairs", (job.match.ranges, json.dumps(counts).encode()))


def _send_signatures(element: int, job: PassJob) -> Iterator[Any]:
    """Send a range's signatures to the keys of the pass, and the pairs within its crowds."""
    left = prepare_range(element, job.match, job.within_crowds)
    left_out = 0
    for sent in job.plan.assign(left.records["phash"], job.keys.start, job.keys.stop):
        left_out += sent.left_out
        yield from split_by(left.records[sent.rows], sent.keys)
    counts = add_counts([left.counts, {"left_out": left_out}])
    yield from _send_pairs(left.pairs, counts, job, "-crowds")


def _join_key(element: tuple[int, Iterable[bytes]], job: PassJob) -> Iterator[Any]:
    key, pieces = element
    pairs, counts = join_key(key, pieces, job.plan, job.match)
    yield from _send_pairs(pairs, counts, job, f"-key-{key}")


def _write_pairs(element: tuple[int, Iterable[bytes]], job: PassJob) -> Iterator[Entry]:
    number, packed = element
    if number == job.match.ranges:
        entry = {"counts": add_counts(json.loads(counts) for counts in packed)}
    else:
        entry = write_pairs(number, packed, job)
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


def _with_pairs(function: Callable[..., Iterator[Any]], job: PassJob) -> Any:
    """A FlatMap with the outputs `signatures`, `pairs` and `files`."""
    step = beam.FlatMap(function, job).with_output_types(Keyed, pairs=Keyed, files=Entry)
    return step.with_outputs("pairs", "files", main="signatures")


class CandidatePairs(beam.PTransform):
    """Numbers of ranges in, the number of the pass out; writes files of `PAIR` and a marker."""

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
            | "Send signatures" >> _with_pairs(_send_signatures, job)
        )
        found = (
            sent.signatures
            | "Group by key" >> beam.GroupByKey()
            | "Join" >> _with_pairs(_join_key, job)
        )
        files = (
            (none, found.pairs, sent.pairs)
            | "All pairs" >> beam.Flatten()
            | "Group by range" >> beam.GroupByKey()
            | "Write pairs" >> beam.FlatMap(_write_pairs, job).with_output_types(Entry)
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
        files: for each range the files of `PAIR` records whose first picture is in it. A pair may
            be in several, see `distinct_pairs`.
        counts: of all passes; a pair counts in each file.
    """

    files: tuple[tuple[str, ...], ...]
    counts: Counts


def found_candidates(job: MatchJob) -> Candidates:
    """What the passes have written, from their markers."""
    _, passes = read_plan(storage.read_json(PlanFiles(job).final))
    marks = [storage.read_json(PassJob(job, number).marker) for number in range(len(passes))]
    files: list[list[str]] = [[] for _ in range(job.ranges)]
    for mark in marks:
        for entry in mark["files"]:
            files[entry["range"]].append(job.temporary(entry["name"]))
    counts = add_counts(mark["counts"] for mark in marks)
    return Candidates(tuple(tuple(paths) for paths in files), counts)


def find_candidates(job: MatchJob, pictures: int, limit: int, run: RunJob) -> Candidates:
    """Run the passes that are not done yet, each as a job. Arguments as in `plan_join`."""
    _, passes = plan_join(job, pictures, limit, run)
    for number, keys in enumerate(passes):
        one = PassJob(job, number)
        if not storage.exists(one.marker):
            run(f"candidates {number + 1} of {len(passes)}", CandidatePairs(one), keys.size)
    return found_candidates(job)
