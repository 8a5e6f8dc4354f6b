"""How the join is cut: the length of its keys, and the keys that one Beam job takes.

A runner on one machine has only so much room for what crosses a shuffle, so a job may shuffle only
so many bytes. Keys have an order; a *pass* is an interval of keys. A small join is one pass. For a
larger one the members of every key are counted first (4 s of two cores for ten million pictures).
Keys with too many members are split, then the keys are cut into passes of bounded size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from math import comb
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from cauldron.transforms.arrays import Array, from_bytes, read_array, write_array
from cauldron.transforms.matching.join.blocks import KEY_END, Plan
from cauldron.transforms.matching.join.crowds import prepare_range
from cauldron.transforms.matching.join.search import DENSE
from cauldron.transforms.matching.records import SIGNATURE, MatchJob

from cauldron.core import storage

# So many fit in the processor's caches. 310,000 take the same time a member as 160,000 (10**7
# pictures, t = 3).
WANTED_MEMBERS = 1 << 17
# A key with more members is split. A worker needs 550 MB for 3,100,000.
MOST_MEMBERS = 4_000_000

# Nanoseconds of one core to put a picture into a table, and to compare it there. Fitted to random
# hashes, radius 8: 27 ns a table at 79 comparisons each (10**6 pictures, t = 2), 14 at 32 (10**7,
# t = 3), 14 at 15 and 24 at 48 (10**8, t = 4).
_SORT_NS = 8.0
_COMPARE_NS = 0.2
MOST_TOGETHER = 6
_HASH_BYTES = 8

Keyed = tuple[int, bytes]
RunJob = Callable[[str, beam.PTransform, int], None]

KEY_COUNT = np.dtype([("key", "<i8"), ("members", "<i8")])


class Pass(NamedTuple):
    """The keys from `start` up to `stop`; `size` is their bytes in the shuffle."""

    start: int
    stop: int
    size: int


def nanoseconds(radius: int, together: int, pictures: int) -> float:
    """The time a picture takes: into every table, and compared with half of a bin in each."""
    tables = comb(radius + together, together)
    half = pictures / 2 ** (64 * together / (radius + together)) / 2
    return tables * (_SORT_NS + half * _COMPARE_NS)


def plan_blocks(pictures: int, radius: int) -> Plan:
    """The fastest number of blocks together, and keys of about `WANTED_MEMBERS`."""
    # Bins of random hashes must stay far below the size from which only neighbours are compared.
    fits = [
        together
        for together in range(1, MOST_TOGETHER + 1)
        if pictures / 2 ** (64 * together / (radius + together)) <= DENSE / 4
    ]
    together = min(fits or [MOST_TOGETHER], key=lambda t: nanoseconds(radius, t, pictures))
    wanted = max(0, -(-pictures // WANTED_MEMBERS) - 1).bit_length()
    plan = Plan(radius, together, 0)
    return replace(plan, key_bits=min(wanted, plan.blocks[0].bits))


def one_pass(plan: Plan, pictures: int) -> Pass:
    """The whole join in one pass, no key split: each picture is sent to radius + 1 keys."""
    return Pass(0, KEY_END, pictures * (plan.radius + 1) * SIGNATURE.itemsize)


def split_hot(plan: Plan, counts: Array, ranges: int) -> Plan:
    """The plan with the keys split that have too many members; an equal plan if none has."""
    found = counts["key"][counts["members"] > MOST_MEMBERS]
    if not len(found):
        return plan
    hot = tuple(sorted({*plan.hot, *found.tolist()}))
    return replace(plan, hot=hot, cut=max(1, MOST_MEMBERS // ranges))


def plan_passes(counts: Array, limit: int) -> list[Pass]:
    """Passes that shuffle at most `limit` bytes each, or one key.

    Args:
        counts: `KEY_COUNT` of all keys, in order.
    """
    ends = np.cumsum(counts["members"]) * SIGNATURE.itemsize
    passes: list[Pass] = []
    place = start = done = 0
    while place < len(counts):
        place = max(place + 1, int(np.searchsorted(ends, done + limit, side="right")))
        stop = int(counts["key"][place]) if place < len(counts) else KEY_END
        end = int(ends[place - 1])
        passes.append(Pass(start, stop, end - done))
        start, done = stop, end
    return passes or [Pass(0, KEY_END, 0)]


def _counts(keys: Any, members: Any) -> Array:
    counts = np.zeros(len(keys), dtype=KEY_COUNT)
    counts["key"], counts["members"] = keys, members
    return counts


def _sum_counts(packed: Iterable[bytes]) -> Array:
    """`KEY_COUNT` records of equal keys added up, by key."""
    counts = from_bytes(packed, KEY_COUNT)
    keys, places = np.unique(counts["key"], return_inverse=True)
    members = np.zeros(len(keys), dtype=np.int64)
    np.add.at(members, places, counts["members"])
    return _counts(keys, members)


class PlanFiles(NamedTuple):
    """Where the plan of a join is kept while it is made, and afterwards.

    Each count of the keys has files of its own: a runner may run an earlier one again.
    """

    job: MatchJob

    @property
    def final(self) -> str:
        """The keys and the passes. A restarted build has the same passes."""
        return self.job.marker("join", 0)

    def tried(self, number: int) -> str:
        """The plan whose keys are counted for the `number`-th time."""
        return self.job.temporary(f"plan-{number}.json")

    def counts(self, number: int) -> str:
        return self.job.temporary(f"keys-{number}.parquet")


def _count_keys(element: int, job: MatchJob, number: int) -> Iterator[Keyed]:
    plan, _ = read_plan(storage.read_json(PlanFiles(job).tried(number)))
    records = prepare_range(element, job, within_crowds=False).records
    for sent in plan.assign(records["phash"]):
        if len(sent.keys):
            keys, members = np.unique(sent.keys, return_counts=True)
            yield int(keys[0]) >> 32, _counts(keys, members).tobytes()


def _add_up(element: tuple[int, Iterable[bytes]]) -> Keyed:
    return 0, _sum_counts(element[1]).tobytes()


def _write_counts(element: tuple[int, Iterable[bytes]], job: MatchJob, number: int) -> int:
    return int(write_array(PlanFiles(job).counts(number), _sum_counts(element[1]))["rows"])


class CountKeys(beam.PTransform):
    """Numbers of ranges in; the number of members of each key of a plan is written to a file."""

    def __init__(self, job: MatchJob, number: int) -> None:
        super().__init__()
        self._job, self._number = job, number

    def expand(self, ranges: beam.PCollection[int]) -> beam.PCollection[int]:
        return (
            ranges
            | "Spread ranges" >> beam.Reshuffle()
            | "Count keys"
            >> beam.FlatMap(_count_keys, self._job, self._number).with_output_types(Keyed)
            | "Group by blocks" >> beam.GroupByKey()
            | "Add up" >> beam.Map(_add_up).with_output_types(Keyed)
            | "Group all" >> beam.GroupByKey()
            | "Write counts" >> beam.Map(_write_counts, self._job, self._number)
        )


def most_counts(pictures: int) -> int:
    """How often keys are counted at most: for every length of a prefix that may be split, and once
    more to see that no key is too large."""
    return MOST_TOGETHER + 1 if pictures > MOST_MEMBERS else 0


def begin_plan(job: MatchJob, pictures: int, limit: int) -> None:
    """Write the plan, or one to count the keys of.

    Args:
        pictures: how many there are.
        limit: bytes that one job may shuffle.
    """
    files, plan = PlanFiles(job), plan_blocks(pictures, job.radius)
    passes = [one_pass(plan, pictures)]
    counted = pictures > MOST_MEMBERS or passes[0].size > limit
    storage.write_json(files.tried(0) if counted else files.final, plan_values(plan, passes))


def advance_plan(job: MatchJob, number: int, limit: int) -> None:
    """Write the plan if no counted key is too large, or else one with these keys split."""
    files = PlanFiles(job)
    plan, passes = read_plan(storage.read_json(files.tried(number)))
    counts = read_array(files.counts(number), KEY_COUNT)
    split = split_hot(plan, counts, job.ranges)
    if split == plan:
        storage.write_json(files.final, plan_values(plan, plan_passes(counts, limit)))
    else:
        storage.write_json(files.tried(number + 1), plan_values(split, passes))


def plan_join(job: MatchJob, pictures: int, limit: int, run: RunJob) -> tuple[Plan, list[Pass]]:
    """The keys and the passes, unless a build has planned them before. Arguments as in
    `begin_plan`.

    Args:
        run: runs a transform that takes the numbers of all ranges. Its other arguments are the
            job's name and the bytes that it reads.
    """
    final, number = PlanFiles(job).final, 0
    if not storage.exists(final):
        begin_plan(job, pictures, limit)
    while not storage.exists(final):
        run("count keys", CountKeys(job, number), pictures * _HASH_BYTES)
        advance_plan(job, number, limit)
        number += 1
    return read_plan(storage.read_json(final))


def plan_values(plan: Plan, passes: list[Pass]) -> dict[str, Any]:
    """A plan and its passes in JSON."""
    names = ("radius", "together", "key_bits", "hot", "cut")
    values = {name: getattr(plan, name) for name in names}
    return {"plan": values, "passes": [list(one) for one in passes]}


def read_plan(values: Any) -> tuple[Plan, list[Pass]]:
    """The inverse of `plan_values`."""
    plan = Plan(**{**values["plan"], "hot": tuple(values["plan"]["hot"])})
    return plan, [Pass(*keys) for keys in values["passes"]]
