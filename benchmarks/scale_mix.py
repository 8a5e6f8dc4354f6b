"""What planning a mixture costs, by the number of rows: everything but the shards themselves.

    python benchmarks/scale_mix.py --folder /tmp/bench-mix --rows 1e5 1e6

Decisions are made up (`made_corpora.py`). The real job reads them on a Dask cluster of worker
processes, so that what the launcher holds is not mixed with the work: tallies, shares, thresholds,
bounds, references, shuffled and sorted. The writer of shards only counts. Memory is the peak of
each process, core-seconds are those of all. See README.md for the figures.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsSingleton

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from cauldron.transforms.mixing import pipeline
from cauldron.transforms.mixing.pipeline import MixRows
from cauldron.transforms.mixing.plan import MixPlan, MixRun, MixSummary
from cauldron.transforms.mixing.selection import Terms
from cauldron.transforms.mixing.shuffle import MixJob, MixSource, in_order

from benchmarks.join import peak_bytes, tree
from benchmarks.made_corpora import SOURCES, write_decisions
from cauldron.core import storage
from cauldron.core.sections.stage import StageRecipe
from cauldron.pipeline.runners.runner import run

EPOCHS = 1.5


class PlanOnly(MixRows):
    """The job without reading records: its shards are counts of copies."""

    def write_shards(
        self, curation: beam.PCollection[str], files: beam.PCollection[str], ready: AsSingleton
    ) -> beam.PCollection[dict[str, Any]]:
        find = beam.FlatMap(pipeline.find_copies, ready)
        return (
            files
            | "Find copies" >> find.with_output_types(tuple[int, bytes])
            | "Group by position" >> beam.GroupByKey()
            | "Order" >> beam.MapTuple(_ordered)
        )


def _ordered(shard: int, pieces: Iterable[bytes]) -> dict[str, Any]:
    entry = {"name": str(shard), "bytes": 0, "sha256": "0" * 64, "rows": len(in_order(pieces))}
    return {"shards": [(shard, entry)], "sources": {}}


def plan_mixture(folder: str, workers: int) -> dict[str, Any]:
    """Run the job as a launcher does."""
    stage = StageRecipe.model_validate(
        {"promise": "epochs", "mixture": {name: {"epochs": EPOCHS} for name in SOURCES}}
    )
    sources = tuple(MixSource(name, f"corpus/{name}", 1, False) for name in SOURCES)
    data, curation = storage.join(folder, "data"), storage.join(folder, "decisions")
    job = MixJob(sources, stage, 0, data, curation, 1)
    mix = MixRun(Terms(stage, SOURCES, {}), job, None, "run")

    def build(p: beam.Pipeline) -> None:
        _ = p | beam.Create([curation], reshuffle=False) | PlanOnly(mix)

    import distributed

    with distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        address = f"--dask_client_address={cluster.scheduler_address}"
        began = time.monotonic()
        run("mix", build, ["--runner=DaskRunner", address], 0)
        seconds = time.monotonic() - began
        memory = {pid: peak_bytes(pid) for pid in tree(os.getpid())}
    summary = MixSummary.read(mix.summary_path)
    return {
        "seconds": seconds,
        "shards": MixPlan.read(mix.plan_path).shards,
        "copies": sum(shard.rows for shard in summary.shards),
        "launcher": memory.pop(os.getpid()),
        "worker": max(memory.values()),
    }


def measured(folder: str, rows: int, workers: int) -> dict[str, Any]:
    """Make decisions up, and plan from them in a process of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    write_decisions(storage.join(folder, "decisions"), rows)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [
        sys.executable,
        os.path.abspath(__file__),
        "--folder",
        folder,
        "--only",
        str(workers),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    shutil.rmtree(folder)
    cores = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"rows": rows, "core_seconds": cores, **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--rows", nargs="*", type=float, default=[1e5, 1e6, 1e7])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(plan_mixture(options.folder, options.only)))
        return
    # Without rows: starting processes, imports, the graph.
    results = [measured(options.folder, int(rows), options.workers) for rows in [50, *options.rows]]
    report(results)


def report(results: list[dict[str, Any]]) -> None:
    start = results[0]["core_seconds"]
    print("| rows | copies | shards | s | core-s | core-s without start | launcher, MiB "
          "| largest worker, MiB |")  # fmt: skip
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for one in results:
        print(
            f"| {one['rows']:,} | {one['copies']:,} | {one['shards']:,} | {one['seconds']:.1f} "
            f"| {one['core_seconds']:.1f} | {one['core_seconds'] - start:.1f} "
            f"| {one['launcher'] / 2**20:.0f} | {one['worker'] / 2**20:.0f} |"
        )
    for small, large in itertools.pairwise(results[1:]):
        growth = math.log(large["rows"] / small["rows"])
        work = (large["core_seconds"] - start) / (small["core_seconds"] - start)
        print(
            f"exponent from {small['rows']:,} to {large['rows']:,}: {math.log(work) / growth:.2f}"
        )


if __name__ == "__main__":
    main()
