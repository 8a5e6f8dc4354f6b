"""The project: bytes to clusters, in this process."""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.duplicates.ours import find


def pairs_in(folder: Path) -> list[tuple[int, int]]:
    paths = sorted(folder.iterdir())
    numbers = [int(path.stem) for path in paths]
    merged = find([path.read_bytes() for path in paths]).found.merged
    return [(numbers[a], numbers[b]) for a, b in merged.tolist()]


def main(folder: Path, result: Path) -> None:
    pairs_in(folder / "warm")
    start, busy = time.perf_counter(), time.process_time()
    pairs = pairs_in(folder / "all")
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    told = {"version": version("cauldron-vlm"), "seconds": seconds, "busy": busy, "pairs": pairs}
    result.write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
