"""How fast pictures within a Hamming radius are found, and in how much memory.

    python benchmarks/join.py --folder /tmp/bench-join

Signatures are drawn (64 bits of which 32 are set, as a perceptual hash has), pairs planted at
distances 0 to 8, and joined as a build does it: pictures files written, Beam jobs through the
local runner, candidates read back. Every size runs in a process of its own; memory is that of
the process and all its workers, sampled. The last column is the work of the keys without Beam: what
is left when the shuffle costs nothing. See README.md for the figures.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from cauldron.transforms.arrays import Array, read_array, split_by, write_array
from cauldron.transforms.matching.pictures import PICTURES_PER_RANGE
from cauldron.transforms.matching.records import PAIR, PICTURE, SIGNATURE, TRAINING, MatchJob

from cauldron.pipeline.runners.options import DISK_SHUFFLE_BYTES

RADIUS, RADIUS256, ASPECT, NEIGHBOURS = 8, 56, 0.035, 64
PLANTED = 5_000


def match_job(folder: str, pictures: int) -> MatchJob:
    ranges = -(-pictures // PICTURES_PER_RANGE)
    return MatchJob((), folder, ranges, RADIUS, RADIUS256, ASPECT, NEIGHBOURS)


def balanced(rng: np.random.Generator, number: int) -> np.ndarray:
    """Hashes of which 32 bits are set: random ones, bits flipped until they are."""
    hashes = rng.integers(0, 2**64, number, dtype=np.uint64)
    todo = np.arange(number)
    while len(todo):
        bit = np.uint64(1) << rng.integers(0, 64, len(todo), dtype=np.uint64)
        few = np.bitwise_count(hashes[todo]) < 32
        helps = few == ((hashes[todo] & bit) == 0)
        hashes[todo[helps]] ^= bit[helps]
        todo = todo[np.bitwise_count(hashes[todo]) != 32]
    return hashes


def drawn(rng: np.random.Generator, number: int) -> Array:
    pictures = np.zeros(number, dtype=PICTURE)
    pictures["phash"] = balanced(rng, number)
    pictures["phash256"] = rng.integers(0, 2**64, (number, 4), dtype=np.uint64)
    pictures["kind"] = TRAINING
    pictures["width"] = rng.integers(200, 2000, number)
    pictures["height"] = rng.integers(200, 2000, number)
    return pictures


def planted(rng: np.random.Generator, number: int) -> tuple[Array, Array]:
    """Pictures and their near-duplicates: 0 to 8 of 64 and 0 to 56 of 256 bits differ."""
    first = drawn(rng, number)
    second = first.copy()
    for row in range(number):
        hash_, flips = int(first["phash"][row]), rng.integers(0, RADIUS // 2 + 1)
        for value in (0, 1):
            places = [bit for bit in range(64) if hash_ >> bit & 1 == value]
            for bit in rng.choice(places, flips, replace=False):
                second["phash"][row] ^= np.uint64(1 << int(bit))
        for bit in rng.choice(256, rng.integers(0, RADIUS256 + 1), replace=False):
            second["phash256"][row, bit // 64] ^= np.uint64(1 << int(bit % 64))
    return first, second


def write_pictures(job: MatchJob, pictures: int) -> tuple[np.ndarray, float]:
    """Write the pictures files; returns the numbers of the planted pairs, and the seconds that
    writing took (drawing them is not part of the join)."""
    halves = planted(np.random.default_rng(0), min(PLANTED, pictures // 4))
    count = len(halves[0])
    homes = [np.arange(count) % job.ranges, (7 * np.arange(count) + 3) % job.ranges]
    numbers = np.zeros((count, 2), dtype=np.uint64)
    seconds = 0.0
    for number in range(job.ranges):
        size = (number + 1) * pictures // job.ranges - number * pictures // job.ranges
        rows = drawn(np.random.default_rng(1 + number), size)
        place = 0
        for half in (0, 1):
            here = np.flatnonzero(homes[half] == number)
            rows[place : place + len(here)] = halves[half][here]
            index = np.arange(place, place + len(here), dtype=np.uint64)
            numbers[here, half] = np.uint64(number << 32) | index
            place += len(here)
        start = time.perf_counter()
        write_array(job.pictures(number), rows)
        seconds += time.perf_counter() - start
    return np.sort(numbers, axis=1), seconds


def beam_join(folder: str, pictures: int, limit: int, beam_args: list[str]) -> dict[str, Any]:
    """The join as a build does it."""
    import apache_beam as beam
    from cauldron.transforms.matching.join import find_candidates

    from cauldron.pipeline.runners import runner

    job = match_job(folder, pictures)
    wanted, seconds = write_pictures(job, pictures)
    parts: dict[str, float] = {}

    def run(name: str, transform: beam.PTransform, size: int) -> None:
        def build(pipeline: beam.Pipeline) -> None:
            _ = pipeline | beam.Create(range(job.ranges), reshuffle=False) | transform

        start = time.perf_counter()
        runner.run(name, build, beam_args, size, output=folder)
        parts[name] = round(time.perf_counter() - start, 1)

    start = time.perf_counter()
    found = find_candidates(job, pictures, limit, run)
    pairs = np.concatenate([read_array(path, PAIR) for paths in found.files for path in paths])
    seconds += time.perf_counter() - start
    told = set(zip(pairs["first"].tolist(), pairs["second"].tolist(), strict=True))
    hits = sum((first, second) in told for first, second in wanted.tolist())
    counts = {"planted": len(wanted), "hits": hits, "told": len(told), **found.counts}
    return {"seconds": seconds, "parts": parts, **counts}


def bare_join(folder: str, pictures: int) -> dict[str, Any]:
    """The work of all keys in one process, without Beam; reads what `beam_join` left."""
    from cauldron.transforms.matching.join.crowds import prepare_range
    from cauldron.transforms.matching.join.pipeline import join_key
    from cauldron.transforms.matching.join.plan import plan_join

    job = match_job(folder, pictures)
    plan, _ = plan_join(job, pictures, 1 << 62, lambda *_: None)
    _warm(plan, job)
    ranges = [prepare_range(number, job, False).records for number in range(job.ranges)]
    # One first block at a time, as its members are held twice.
    seconds = 0.0
    firsts = [place for place, prefix in enumerate(plan.prefixes) if len(prefix) == 1]
    ends = [*firsts[1:], len(plan.prefixes)]
    for first, end in zip(firsts, ends, strict=True):
        keys: dict[int, list[bytes]] = defaultdict(list)
        for records in ranges:
            for sent in plan.assign(records["phash"], first << 32, end << 32):
                for key, piece in split_by(records[sent.rows], sent.keys):
                    keys[key].append(piece)
        for key in sorted(keys):
            start = time.process_time()
            join_key(key, keys.pop(key), plan, job)
            seconds += time.process_time() - start
    return {"core_seconds": seconds, "together": plan.together, "key_bits": plan.key_bits}


def _warm(plan: Any, job: MatchJob) -> None:
    """Compiling is not part of the work."""
    from cauldron.transforms.matching.join.pipeline import join_key

    few = np.zeros(4, dtype=SIGNATURE)
    few["number"] = np.arange(4)
    join_key(0, [few.tobytes()], plan, job)


def tree(root: int) -> Iterator[int]:
    """A process and all below it."""
    children: dict[int, list[int]] = defaultdict(list)
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            children[parent].append(int(name))
    todo = [root]
    while todo:
        process = todo.pop()
        yield process
        todo += children[process]


def peak_bytes(process: int) -> int:
    """The largest resident set of a process so far; 0 if it has ended."""
    try:
        with open(f"/proc/{process}/status") as file:
            lines = [line for line in file if line.startswith("VmHWM:")]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(lines[0].split()[1]) * 1024 if lines else 0


def memory(root: int) -> int:
    """Bytes that a process and all below it hold; shared pages count once."""
    total = 0
    for process in tree(root):
        try:
            with open(f"/proc/{process}/smaps_rollup") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total * 1024


def measured(arguments: list[str]) -> dict[str, Any]:
    """Run this file in a process of its own; its result, with its peak of memory."""
    command = [sys.executable, os.path.abspath(__file__), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak, over = 0, threading.Event()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.2):
            peak = max(peak, memory(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, _ = process.communicate()
    over.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cores = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    (line,) = (line for line in output.splitlines() if line.startswith("{"))
    return {"core_seconds": cores, "gib": peak / 2**30, **json.loads(line)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--pictures", nargs="*", type=float, default=[1e5, 1e6, 1e7])
    parser.add_argument("--limit", type=float, default=DISK_SHUFFLE_BYTES, help="bytes of a pass")
    parser.add_argument("--only", choices=["beam", "bare"])
    options, beam_args = parser.parse_known_args()
    if options.only:
        run_one(options, beam_args)
        return
    results = []
    for pictures in map(int, options.pictures):
        folder = os.path.join(options.folder, str(pictures))
        shutil.rmtree(folder, ignore_errors=True)
        common = ["--folder", folder, "--pictures", str(pictures), "--limit", str(options.limit)]
        found = measured([*common, "--only", "beam", *beam_args])
        bare = measured([*common, "--only", "bare"])
        shutil.rmtree(folder)
        results.append({"pictures": pictures, **found, "bare_seconds": bare["core_seconds"]})
        print(json.dumps(results[-1]), flush=True)
    report(results)


def run_one(options: argparse.Namespace, beam_args: list[str]) -> None:
    pictures = int(options.pictures[0])
    if options.only == "beam":
        print(json.dumps(beam_join(options.folder, pictures, int(options.limit), beam_args)))
    else:
        print(json.dumps(bare_join(options.folder, pictures)))


def report(results: list[dict[str, Any]]) -> None:
    titles = [
        "pictures",
        "s",
        "core-s",
        "GiB",
        "planted",
        "found",
        "all pairs",
        "keys alone, core-s",
    ]
    print("\n| " + " | ".join(titles) + " |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for one in results:
        print(
            f"| {one['pictures']:,} | {one['seconds']:.1f} | {one['core_seconds']:.0f} "
            f"| {one['gib']:.2f} | {one['planted']} | {one['hits']} | {one['told']} "
            f"| {one['bare_seconds']:.1f} |"
        )
    first, last = results[0], results[-1]
    if first is last:
        return
    growth = math.log(last["pictures"] / first["pictures"])
    for name in ("seconds", "core_seconds", "bare_seconds"):
        print(f"growth exponent of {name}: {math.log(last[name] / first[name]) / growth:.2f}")


if __name__ == "__main__":
    main()
