"""The project: bytes to clusters, in this process."""

from pathlib import Path

from clock import Found, main

from benchmarks.duplicates.ours import find as find_all


def find(folder: Path) -> Found:
    paths = sorted(folder.iterdir())
    numbers = [int(path.stem) for path in paths]
    run = find_all([path.read_bytes() for path in paths])
    pairs = [(numbers[a], numbers[b]) for a, b in run.found.merged.tolist()]
    return {"ours": pairs}, {"pairs compared": len(run.found.candidates), **run.seconds}


if __name__ == "__main__":
    main("cauldron-vlm", find)
