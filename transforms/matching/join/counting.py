"""How many members each key has: what a large join must know before it cuts its passes.

Reading the signatures once more is the price: 4 s of two cores at ten million pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
from cauldron.transforms.arrays import Array, from_bytes, write_array
from cauldron.transforms.matching.join.blocks import Plan
from cauldron.transforms.matching.join.passes import KEY_COUNT
from cauldron.transforms.matching.join.ranges import prepare_range
from cauldron.transforms.matching.records import MatchJob

from cauldron.core import storage

Keyed = tuple[int, bytes]


class _CountKeys(beam.DoFn):
    def __init__(self, job: MatchJob, plan: Plan) -> None:
        self._job, self._plan = job, plan

    def process(self, element: int) -> Iterator[Keyed]:
        records = prepare_range(element, self._job, tell=False).records
        for stretch in self._plan.assign(records["phash"]):
            if not len(stretch.keys):
                continue
            keys, members = np.unique(stretch.keys, return_counts=True)
            yield int(keys[0]) >> 32, _counts(keys, members).tobytes()


def _counts(keys: Any, members: Any) -> Array:
    counts = np.zeros(len(keys), dtype=KEY_COUNT)
    counts["key"], counts["members"] = keys, members
    return counts


def sum_counts(packed: Iterable[bytes]) -> Array:
    """`KEY_COUNT` records of equal keys added up, by key."""
    counts = from_bytes(packed, KEY_COUNT)
    keys, places = np.unique(counts["key"], return_inverse=True)
    members = np.zeros(len(keys), dtype=np.int64)
    np.add.at(members, places, counts["members"])
    return _counts(keys, members)


def counts_path(job: MatchJob) -> str:
    return storage.join(job.folder, "candidates-keys.parquet")


def _write_counts(element: tuple[int, Iterable[bytes]], job: MatchJob) -> int:
    return int(write_array(counts_path(job), sum_counts(element[1]))["rows"])


class CountKeys(beam.PTransform):
    """Numbers of ranges in; how many members each key has goes into a file."""

    def __init__(self, job: MatchJob, plan: Plan) -> None:
        super().__init__()
        self._job, self._plan = job, plan

    def expand(self, ranges: beam.PCollection[int]) -> beam.PCollection[int]:
        return (
            ranges
            | "Spread ranges" >> beam.Reshuffle()
            | "Count keys" >> beam.ParDo(_CountKeys(self._job, self._plan)).with_output_types(Keyed)
            | "Group by blocks" >> beam.GroupByKey()
            | "Add up" >> beam.Map(_add_up).with_output_types(Keyed)
            | "Group all" >> beam.GroupByKey()
            | "Write counts" >> beam.Map(_write_counts, self._job)
        )


def _add_up(element: tuple[int, Iterable[bytes]]) -> Keyed:
    return 0, sum_counts(element[1]).tobytes()
