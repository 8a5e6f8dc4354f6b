"""The join as a part of one graph: planned, counted and run without the submitting process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from cauldron.transforms.graph import After
from cauldron.transforms.matching.join.pipeline import CandidatePairs, PassJob
from cauldron.transforms.matching.join.plan import (
    CountKeys,
    PlanFiles,
    advance_plan,
    begin_plan,
    most_counts,
    read_plan,
)
from cauldron.transforms.matching.records import MatchJob

from cauldron.core import storage

# The passes of one graph shuffle whatever they have to: its runner has room on disk.
_NO_LIMIT = 1 << 62


def _begin_plan(job: MatchJob) -> None:
    pictures = sum(mark["pictures"]["rows"] for mark in job.markers("pictures").read())
    begin_plan(job, pictures, _NO_LIMIT)


def _ranges_to_count(job: MatchJob) -> Iterator[int]:
    if not storage.exists(PlanFiles(job).final):
        yield from range(job.ranges)


def _advance_plan(job: MatchJob, number: int) -> None:
    if not storage.exists(PlanFiles(job).final):
        advance_plan(job, number, _NO_LIMIT)


def passes_left(job: MatchJob) -> list[int]:
    """The numbers of the passes that are not done; one pass if none is planned yet."""
    final = PlanFiles(job).final
    passes = len(read_plan(storage.read_json(final))[1]) if storage.exists(final) else 1
    return [n for n in range(passes) if not storage.exists(PassJob(job, n).marker)]


class JoinPictures(beam.PTransform):
    """The passes that are left as a part of one graph. Anything in, when the pictures are there.

    How often keys must be counted is known only when they are. The graph has as many counts as
    could be needed; those after the plan is made are empty.

    Args:
        images: how many pictures there are at most.
    """

    def __init__(self, job: MatchJob, images: int) -> None:
        super().__init__()
        self._job, self._images = job, images

    def expand(self, done: beam.PCollection[Any]) -> beam.PCollection[Any]:
        job = self._job
        if not storage.exists(PlanFiles(job).final):
            done = self._plan(done)
        for number in passes_left(job):
            name = f"Pass {number + 1}"
            ranges = done | f"{name}: ranges" >> After(range, job.ranges)
            done = ranges | name >> CandidatePairs(PassJob(job, number))
        return done

    def _plan(self, done: beam.PCollection[Any]) -> beam.PCollection[Any]:
        job = self._job
        done = done | "Plan" >> After(_begin_plan, job)
        for number in range(most_counts(self._images)):
            name = f"Count {number + 1}"
            ranges = done | f"{name}: ranges" >> After(_ranges_to_count, job)
            counted = ranges | name >> CountKeys(job, number)
            done = counted | f"{name}: split" >> After(_advance_plan, job, number)
        return done
