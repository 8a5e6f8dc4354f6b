"""How much faster two Dask workers ingest than one.

    python benchmarks/dask_workers.py --folder /tmp/bench-dask --gigabytes 1 --repetitions 3

The corpus of `corpus.py` is ingested by the real job on a Dask cluster of one worker process of one
thread, then of two, and so on in turn; which goes first alternates. A cluster is started, and its
workers have imported what they need, before the clock runs. Beside each time stands the load of the
machine when it began: with other work on it the ratio is that of the machine, not of the project.
The last line is the ratio of the medians; wanted is 1.6 on a quiet machine with two cores. See
README.md for the figures.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from benchmarks.corpus import write_corpus
from benchmarks.ingest import request
from cauldron.core import storage
from cauldron.pipeline.corpora import plan_corpora
from cauldron.pipeline.ingest import ingest
from cauldron.pipeline.runners.runner import Launcher

WORKERS = (1, 2)
WANTED = 1.6


def import_all() -> None:
    """Have a worker import what ingest needs; tokenizers and models are loaded in the job."""


def ingest_seconds(root: str, output: str, workers: int) -> float:
    """Seconds of one job, in this process."""
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.run(import_all)
        asked = request(root, output)
        planned, _ = plan_corpora(asked)
        address = f"--dask_client_address={cluster.scheduler_address}"
        began = time.monotonic()
        ingest(planned, asked, Launcher(["--runner=DaskRunner", address], lambda line: None))
        return time.monotonic() - began


def measured(root: str, output: str, workers: int) -> float:
    """The same in a process of its own, which writes into an empty folder."""
    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, os.path.abspath(__file__), "--folder", root, "--only", str(workers)]
    done = subprocess.run([*command, output], stdout=subprocess.PIPE, text=True, check=True)
    shutil.rmtree(output)
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(ingest_seconds(options.folder, options.only[1], int(options.only[0])))
        return
    root = storage.join(os.path.abspath(options.folder), "root")
    output = storage.join(os.path.abspath(options.folder), "out")
    write_corpus(root, int(options.gigabytes * 1e9))
    seconds: dict[int, list[float]] = {workers: [] for workers in WORKERS}
    print("| repetition | workers | load before | s |")
    print("|---:|---:|---:|---:|")
    for repetition in range(options.repetitions):
        for workers in WORKERS if repetition % 2 == 0 else WORKERS[::-1]:
            load = os.getloadavg()[0]
            seconds[workers].append(measured(root, output, workers))
            took = seconds[workers][-1]
            print(f"| {repetition + 1} | {workers} | {load:.1f} | {took:.1f} |", flush=True)
    medians = {workers: statistics.median(times) for workers, times in seconds.items()}
    one, two = (medians[workers] for workers in WORKERS)
    print(f"medians: one worker {one:.1f} s, two {two:.1f} s")
    print(f"two workers against one: {one / two:.2f} (wanted: {WANTED})")


if __name__ == "__main__":
    main()
