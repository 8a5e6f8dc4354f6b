"""What each step of a build costs, by the number of rows.

    python benchmarks/scale.py --folder /tmp/bench-scale --rows 1e3 1e4 1e5
    python benchmarks/scale.py --folder /tmp/bench-scale --rows 1e5 1e6 1e7 --made-up

A row has one picture of 64 x 64 pixels, drawn for it alone or, for one in five, a copy of an
earlier one at another JPEG quality; a benchmark holds fifty of the pictures. All of it goes through
a whole build with merging and decontamination, on the local runner with two worker processes, each
step a job. The table has a line for each step: core-seconds of all its processes, those without
what a build of 100 rows takes (starts and imports), the largest memory of the submitting process
(which is also Beam's runner here, and holds what is shuffled) and of a worker, and the bytes that
were grouped by key, from the sizes that Beam samples. With ``--store`` the output is a bucket on a
local double of Google Cloud Storage, and requests to it are counted; use it up to 1e4 rows. With
``--made-up`` corpora are written without pictures (`made_rows.py`) and go through matching and
curation alone; of the mix see `scale_mix.py`. See README.md for the figures.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import re
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from benchmarks.corpus import PHOTOS, REPO, SCHEMA
from benchmarks.join import peak_bytes, tree
from benchmarks.made_rows import FINGERPRINT, write_corpus
from cauldron.core import storage
from cauldron.core.output.manifests import CorpusManifest, corpus_folder, read_manifest
from cauldron.pipeline.build import BuildOptions, build
from cauldron.pipeline.curate import CurateRequest, curate_stage
from cauldron.pipeline.runners import runner
from cauldron.pipeline.runners.local import runner as local_runner
from cauldron.recipe import Recipe

NAME = "scale"
SOURCE = f"the_cauldron/{PHOTOS}"
ROWS_PER_FILE = 10_000
LEAKED = 50
START = 100  # rows that cost nothing beside what starts
LEAST = 1.0  # core-seconds of work; how less of it grows is noise
COPY_EVERY = 5
BEAM = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
GROUP_BY_KEY = "beam:transform:group_by_key:v1"
SAMPLED = "beam:metric:sampled_byte_size:v1"
MEMORY = ("launcher", "worker")
COUNTED = "beam:metric:element_count:v1"


def picture(number: int) -> Image.Image:
    """64 x 64 pixels of a pattern of its own, as far from others as unlike photographs are."""
    noise = np.random.default_rng(number).normal(size=(9, 9, 3)) * 60 + 128
    small = Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))
    return small.resize((64, 64), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def row(number: int) -> dict[str, Any]:
    is_copy = number % COPY_EVERY == COPY_EVERY - 1
    data = jpeg(picture(number - 1 if is_copy else number), 80 if is_copy else 90)
    turn = {"user": f"Which pattern is number {number}?", "assistant": f"Pattern {number}."}
    return {
        "images": [{"bytes": data, "path": None}],
        "texts": [turn | {"source": PHOTOS}],
    }


def write_world(folder: str, rows: int) -> None:
    """``hub`` in the layout of the Cauldron, and ``benchmark``, a folder of pictures."""
    place = os.path.join(folder, "hub", REPO, PHOTOS)
    os.makedirs(place)
    files = -(-rows // ROWS_PER_FILE)
    for file in range(files):
        numbers = range(file * ROWS_PER_FILE, min(rows, (file + 1) * ROWS_PER_FILE))
        table = pa.Table.from_pylist([row(number) for number in numbers], schema=SCHEMA)
        name = f"train-{file:05d}-of-{files:05d}-{file:016x}.parquet"
        pq.write_table(table, os.path.join(place, name), row_group_size=1_000)
    benchmark = os.path.join(folder, "benchmark")
    os.makedirs(benchmark)
    for number in range(0, rows, max(1, rows // LEAKED)):
        with open(os.path.join(benchmark, f"{number}.jpg"), "wb") as out:
            out.write(jpeg(picture(number), 70))


def recipe(folder: str, made_up: bool) -> Recipe:
    against = {"ours": os.path.join(folder, "benchmark")}
    return Recipe.model_validate(
        {
            "name": NAME,
            "duplicates": {"action": "drop" if made_up else "merge"},
            **({} if made_up else {"against": {"benchmarks": against}}),
            "stages": {
                "sft": {
                    "mixture": {SOURCE: {"share": 1.0}},
                    "budget": {"epochs_of": {SOURCE: 1}},
                    "max_epochs": 1,
                }
            },
        }
    )


class Meter:
    """Measures each job of a build that runs in this process.

    Attributes:
        steps: a line for each job so far.
    """

    def __init__(self, requests: list[Any] | None) -> None:
        self.steps: list[dict[str, Any]] = []
        self._requests = requests
        self._proto: Any = None
        self._result: Any = None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Wrap what submits, translates and awaits jobs."""
        submit, wait = runner.Launcher.submit, runner._wait
        translate = local_runner.LocalRunner.run_via_runner_api

        def measured(launcher: runner.Launcher, job: runner.Job) -> None:
            with self._step(step_of(job)):
                submit(launcher, job)

        def kept(own: Any, proto: Any, options: Any) -> Any:
            self._proto = proto
            return translate(own, proto, options)

        def waited(name: str, result: Any) -> Any:
            self._result = result
            return wait(name, result)

        runner.Launcher.submit, runner._wait = measured, waited  # type: ignore[method-assign]
        local_runner.LocalRunner.run_via_runner_api = kept  # type: ignore[method-assign]
        try:
            yield
        finally:
            runner.Launcher.submit, runner._wait = submit, wait  # type: ignore[method-assign]
            local_runner.LocalRunner.run_via_runner_api = translate  # type: ignore[method-assign]

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the peak of this process starts anew
        asked = len(self._requests or ())
        began, cores = time.monotonic(), core_seconds()
        with peaks() as workers:
            yield
        self.steps.append(
            {
                "step": name,
                "seconds": time.monotonic() - began,
                "core_seconds": core_seconds() - cores,
                "launcher": peak_bytes(os.getpid()),
                "worker": max(workers.values(), default=0),
                "shuffled": grouped_bytes(self._proto, self._result),
                "requests": len(self._requests or ()) - asked,
            }
        )


def step_of(job: runner.Job) -> str:
    """``ingest``, ``match compare``: without names of recipes, outputs and passes."""
    part = re.sub(r"-\d+-of-\d+$", "", job.name)
    return job.step if part.startswith(f"{NAME}-") else f"{job.step} {part}"


def core_seconds() -> float:
    """Of this process and of those it started that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in both)


@contextmanager
def peaks() -> Iterator[dict[int, int]]:
    """The largest resident sets of the processes below this one, looked at four times a second."""
    found: dict[int, int] = {}
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.25):
            for process in tree(os.getpid()):
                if process != os.getpid():
                    found[process] = max(found.get(process, 0), peak_bytes(process))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def grouped_bytes(proto: Any, result: Any) -> float:
    """Bytes of all elements that a job grouped by key: their number times the mean size."""
    grouped = {
        name
        for transform in proto.components.transforms.values()
        if transform.spec.urn == GROUP_BY_KEY
        for name in transform.inputs.values()
    }
    counts: dict[str, int] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for info in result.monitoring_infos():
        name = info.labels.get("PCOLLECTION", "")
        if name not in grouped:
            continue
        value = integers(info.payload)
        if info.urn == COUNTED:
            counts[name] = counts.get(name, 0) + value[0]
        elif info.urn == SAMPLED:
            before = sizes.get(name, (0, 0))
            sizes[name] = (before[0] + value[0], before[1] + value[1])
    return sum(
        counts.get(name, 0) * total / number for name, (number, total) in sizes.items() if number
    )


def integers(payload: bytes) -> list[int]:
    """The variable-length integers of a metric: a count, or number, sum, least and most."""
    found, value, shift = [], 0, 0
    for byte in payload:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            found.append(value)
            value = shift = 0
    return found


def build_once(folder: str, store: bool, made_up: bool) -> dict[str, Any]:
    """Build from a written world, and measure.

    Args:
        made_up: the world is a corpus in the output; match and curate it.
    """
    if store:
        from tests.doubles.gcs import FakeGcs

    with FakeGcs() if store else nullcontext() as double:
        if store:
            os.environ |= {"STORAGE_EMULATOR_HOST": double.url, "NO_PROXY": "127.0.0.1"}
        output = "gs://bucket/out" if store else storage.join(folder, "out")
        meter = Meter(double.log if store else None)
        wanted = recipe(folder, made_up)
        before = core_seconds()
        with meter.installed():
            kept = curated(wanted, output) if made_up else built(wanted, folder, output)
        whole = core_seconds() - before
    jobs = sum(step["core_seconds"] for step in meter.steps)
    names = dict.fromkeys(("seconds", "launcher", "worker", "shuffled", "requests"), 0)
    between = names | {"step": "between jobs", "core_seconds": whole - jobs}
    return {"kept": kept, "steps": [*meter.steps, between]}


def built(wanted: Recipe, folder: str, output: str) -> int:
    """A whole build; returns the rows of the mixture."""
    hub = os.path.join(folder, "hub")
    (mixture,) = build(BuildOptions(wanted, (), hub, output, beam_args=BEAM), lambda line: None)
    return mixture.totals.rows


def curated(wanted: Recipe, output: str) -> int:
    """Match and curate the corpus that is there; returns the rows that are kept."""
    folder = corpus_folder(output, SOURCE, FINGERPRINT)
    corpora = {SOURCE: read_manifest(CorpusManifest, folder)}
    launcher = runner.Launcher(BEAM, lambda line: None, output=output)
    request = CurateRequest(wanted, output, corpora, {})
    return curate_stage(request, "sft", launcher).counts[SOURCE].kept


def measured(folder: str, rows: int, store: bool, made_up: bool) -> dict[str, Any]:
    """Write a world and build from it, in a process of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    if made_up:
        write_corpus(storage.join(folder, "out"), SOURCE, rows)
    else:
        write_world(folder, rows)
    command = [sys.executable, os.path.abspath(__file__), "--folder", folder, "--only"]
    command += ["--store"] * store + ["--made-up"] * made_up
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    shutil.rmtree(folder)
    return {"rows": rows, **json.loads(done.stdout.splitlines()[-1])}


HEAD = ("step", "rows", "s", "core-s", "without start", "exponent", "launcher, MiB",
        "largest worker, MiB", "grouped, MB", "requests")  # fmt: skip


def sums(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A build's steps by name; the passes of one are added up, of memory the largest is taken."""
    found: dict[str, dict[str, Any]] = {}
    for step in result["steps"]:
        one = found.setdefault(step["step"], dict.fromkeys(step, 0) | {"step": step["step"]})
        for key, value in step.items():
            if key != "step":
                one[key] = max(one[key], value) if key in MEMORY else one[key] + value
    return found


def report(results: list[dict[str, Any]]) -> None:
    """A table of all steps, and how each grows from one size to the next.

    Args:
        results: the first of them tells what starts cost.
    """
    print("| " + " | ".join(HEAD) + " |")
    print("|---|" + "---:|" * (len(HEAD) - 1))
    start, *builds = [(result["rows"], sums(result)) for result in results]
    for name in start[1]:
        before: tuple[int, float] | None = None
        for rows, steps in builds:
            step, exponent = steps[name], ""
            work = step["core_seconds"] - start[1][name]["core_seconds"]
            if before and work > 0 and before[1] >= LEAST:
                exponent = f"{math.log(work / before[1]) / math.log(rows / before[0]):.2f}"
            before = (rows, work)
            cells = [name, f"{rows:,}", f"{step['seconds']:.1f}", f"{step['core_seconds']:.1f}"]
            cells += [f"{work:.1f}", exponent]
            cells += [f"{step[key] / 2**20:.0f}" for key in MEMORY]
            cells += [f"{step['shuffled'] / 1e6:.2f}", f"{step['requests']:,}"]
            print("| " + " | ".join(cells) + " |")
    for result in results[1:]:
        print(f"{result['rows']:,} rows: {result['kept']:,} are kept")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--rows", nargs="*", type=float, default=[1e3, 1e4, 1e5])
    parser.add_argument("--store", action="store_true")
    parser.add_argument("--made-up", action="store_true")
    parser.add_argument("--only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(build_once(options.folder, options.store, options.made_up)))
        return
    sizes = [int(rows) for rows in options.rows]
    how = (options.store, options.made_up)
    measured(options.folder, START, *how)  # compiles what is kept for later processes
    report([measured(options.folder, rows, *how) for rows in (START, *sizes)])


if __name__ == "__main__":
    main()
