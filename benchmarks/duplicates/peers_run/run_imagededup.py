"""imagededup as its documentation shows it: PHash, default distance 10; workers in this process."""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

from imagededup.methods import PHash


def find(folder: Path) -> list[tuple[int, int]]:
    hasher = PHash(verbose=False)
    codes = hasher.encode_images(image_dir=str(folder), num_enc_workers=0)
    found = hasher.find_duplicates(
        encoding_map=codes, max_distance_threshold=10, num_dist_workers=0
    )
    return [
        (int(Path(name).stem), int(Path(other).stem))
        for name, others in found.items()
        for other in others
    ]


def main(folder: Path, result: Path) -> None:
    find(folder / "warm")
    start, busy = time.perf_counter(), time.process_time()
    pairs = find(folder / "all")
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    told = {"version": version("imagededup"), "seconds": seconds, "busy": busy, "pairs": pairs}
    result.write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
