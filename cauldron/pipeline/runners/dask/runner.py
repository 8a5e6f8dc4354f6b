"""Beam pipelines on a Dask cluster.

Beam's own DaskRunner (2.77) cannot run this project: elements of all tagged outputs arrive in every
consumer, what `finish_bundle` emits is lost, and of several ends of a pipeline only the last is
computed. This runner takes its options, and translates what our pipelines are made of: Create,
ParDo with side inputs and tagged outputs, GroupByKey, Flatten and Reshuffle, all in the global
window. Anything else is refused.

A PCollection is a list of partitions, each the result of one task. Dask keeps results in the memory
of workers, spills them to disk, and computes again what a worker held that died. A task that fails
is repeated. Our steps write the same files whenever they run, so neither changes a byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import distributed
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.dask.dask_runner import DaskOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.runner import PipelineResult, PipelineState

from cauldron.core.errors import CauldronError, UsageError
from cauldron.pipeline.runners.dask.translation import Translation, Users
from cauldron.pipeline.runners.remote.versions import check_same, versions

# Of a task that fails, in all. The scheduler counts deaths of workers apart, four by default.
ATTEMPTS = 3
# Pieces of work differ in size; more partitions than threads even that out.
PARTITIONS_PER_THREAD = 4
MOST_PARTITIONS = 256


class DaskRunner(BundleBasedDirectRunner):  # type: ignore[misc]
    """Runs a pipeline on the cluster of ``--dask_client_address`` or ``--dask_scheduler_file``, or
    on worker processes of this machine if neither is given."""

    @staticmethod
    def is_fnapi_compatible() -> bool:
        return False

    def run_pipeline(self, pipeline: beam.Pipeline, options: PipelineOptions) -> DaskResult:
        given = options.view_as(DaskOptions).get_all_options(drop_default=True, current_only=True)
        count = given.pop("npartitions", None)
        if given.pop("partition_size", None) is not None:
            raise UsageError("--dask_partition_size is not used; give --dask_npartitions")
        client = distributed.Client(**given)
        threads = sum(client.nthreads().values())
        if not threads:
            raise CauldronError("the Dask cluster has no worker")
        # One that dies meanwhile is checked by what it loads (`remote/workers.py`).
        check_same(client.run(versions, on_error="ignore"))
        users = Users()
        pipeline.visit(users)
        count = count or min(MOST_PARTITIONS, PARTITIONS_PER_THREAD * threads)
        translation = Translation(count, users.used)
        pipeline.visit(translation)
        graph, ends = translation.graph, translation.ends
        return DaskResult(client, client.get(graph, ends, sync=False, retries=ATTEMPTS - 1))


class DaskResult(PipelineResult):  # type: ignore[misc]
    """A pipeline that runs on a cluster."""

    def __init__(self, client: distributed.Client, ends: Sequence[Any]) -> None:
        super().__init__(PipelineState.RUNNING)
        self._client = client
        self._ends = ends

    def wait_until_finish(self, duration: int | None = None) -> str:
        """Wait for the end, however long it takes. Raises what a worker raised."""
        try:
            # With results: without them, errors of workers are not raised here.
            for _ in distributed.as_completed(self._ends, with_results=True):
                pass
            # Without a scheduler futures are cancelled, which is no error to `as_completed`.
            if any(end.status != "finished" for end in self._ends):
                raise CauldronError("the Dask scheduler is gone, or has cancelled the job")
        except Exception:
            self._state = PipelineState.FAILED
            raise
        else:
            self._state = PipelineState.DONE
        finally:
            if self._state != PipelineState.RUNNING:
                self._client.close()
        return str(self._state)

    def cancel(self) -> str:
        self._client.cancel(self._ends)
        self._client.close()
        self._state = PipelineState.CANCELLED
        return str(self._state)
