"""How long keys are, and how much of the join one Beam job does at a time.

A local runner keeps what crosses a shuffle in memory, so a job may be asked to shuffle only so
many bytes. Keys have an order; a *pass* is a stretch of it. Small joins are one pass, without a
look at the data. For larger ones the members of every key are counted first: keys with too many
are split, and the stretches hold as many bytes as they may, whatever the data looks like.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import comb
from typing import Any, NamedTuple

import numpy as np
from cauldron.transforms.arrays import Array
from cauldron.transforms.matching.join.blocks import KEY_END, Plan
from cauldron.transforms.matching.join.search import DENSE
from cauldron.transforms.matching.records import SIGNATURE

# What a key's worker looks at stays in the processor's caches; 160,000 and 310,000 members take the
# same time each (10**7 pictures, t = 3).
WANTED_MEMBERS = 1 << 17
# A key with more members is split; one of 3,100,000 took its worker 550 MB.
MOST_MEMBERS = 4_000_000

# Nanoseconds of one core: putting a picture into a table, and comparing it there. Fitted to random
# hashes, radius 8: 27 ns a table at 79 comparisons each (10**6 pictures, t = 2), 14 at 32 (10**7,
# t = 3), 14 at 15 and 24 at 48 (10**8, t = 4).
_SORT_NS = 8.0
_COMPARE_NS = 0.2
_LONGEST = 6

KEY_COUNT = np.dtype([("key", "<i8"), ("members", "<i8")])


class Pass(NamedTuple):
    """The keys from `start` up to `stop`; `size` is what they take in a shuffle, in bytes."""

    start: int
    stop: int
    size: int


def nanoseconds(radius: int, together: int, pictures: int) -> float:
    """What a picture costs: putting it into every table, and comparing it with half of a bin."""
    tables = comb(radius + together, together)
    half = pictures / 2 ** (64 * together / (radius + together)) / 2
    return tables * (_SORT_NS + half * _COMPARE_NS)


def plan_blocks(pictures: int, radius: int) -> Plan:
    """The cheapest number of blocks together, and keys of about `WANTED_MEMBERS`."""
    # Bins of random hashes stay far below the size at which not all pairs are compared.
    fits = [
        together
        for together in range(1, _LONGEST + 1)
        if pictures / 2 ** (64 * together / (radius + together)) <= DENSE / 4
    ]
    together = min(fits or [_LONGEST], key=lambda t: nanoseconds(radius, t, pictures))
    wanted = max(0, -(-pictures // WANTED_MEMBERS) - 1).bit_length()
    plan = Plan(radius, together, 0)
    return replace(plan, key_bits=min(wanted, plan.blocks[0].bits))


def plan_values(plan: Plan) -> dict[str, Any]:
    """A plan as JSON has it."""
    names = ("radius", "together", "key_bits", "hot", "cut")
    return {name: getattr(plan, name) for name in names}


def read_plan(values: Mapping[str, Any]) -> Plan:
    return Plan(**{**values, "hot": tuple(values["hot"])})


def one_pass(plan: Plan, pictures: int) -> Pass:
    """The whole join while no key is split: a picture goes to radius + 1 keys."""
    return Pass(0, KEY_END, pictures * (plan.radius + 1) * SIGNATURE.itemsize)


def split_hot(plan: Plan, counts: Array, ranges: int) -> Plan:
    """The plan with the keys split that have too many members; the same plan if none has."""
    found = counts["key"][counts["members"] > MOST_MEMBERS]
    if not len(found):
        return plan
    hot = tuple(sorted({*plan.hot, *found.tolist()}))
    return replace(plan, hot=hot, cut=max(1, MOST_MEMBERS // ranges))


def plan_passes(counts: Array, limit: int) -> list[Pass]:
    """Stretches that shuffle at most `limit` bytes each, or one key.

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
