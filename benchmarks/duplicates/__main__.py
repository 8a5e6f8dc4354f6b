"""``python -m benchmarks.duplicates``: precision and recall of the project's matching.

Draws the labelled set (or reads real tables and receipts with ``--real``), takes it through
signatures, join, verification and clusters, and prints what was merged rightly and wrongly.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from benchmarks.duplicates.labelled import CLASSES, Labelled, labelled
from benchmarks.duplicates.measure import measured
from benchmarks.duplicates.ours import find
from benchmarks.duplicates.real import real
from benchmarks.duplicates.report import as_json, as_text, dump


def main() -> int:
    options = _options()
    start = time.perf_counter()
    pictures = _pictures(options)
    print(f"{len(pictures):,} pictures in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    run = find([picture.data for picture in pictures])
    report = measured(pictures, run.found)
    if options.json:
        print(json.dumps({**as_json(report, pictures), "seconds": run.seconds}, indent=1))
    else:
        print(as_text(report, pictures))
        steps = ", ".join(f"{name} {seconds:.1f}" for name, seconds in run.seconds.items())
        pairs = len(run.found.candidates)
        print(f"\n{len(pictures):,} pictures, {pairs:,} pairs compared; seconds: {steps}")
    if options.dump:
        written = dump(report, pictures, options.dump)
        print(f"{written} pairs judged wrongly are in {options.dump}", file=sys.stderr)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.duplicates", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--families", type=int, default=40, help="per class, of 25 pictures each")
    parser.add_argument("--classes", nargs="+", choices=CLASSES, default=CLASSES, metavar="CLASS")
    parser.add_argument("--real", type=Path, metavar="HUB", help="real pictures, not drawn ones")
    parser.add_argument("--copies", type=int, default=2, help="altered copies of a real picture")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--dump", type=Path, metavar="DIR", help="errors as pictures")
    return parser.parse_args()


def _pictures(options: argparse.Namespace) -> list[Labelled]:
    if options.real:
        return list(real(options.real, options.seed, options.copies))
    return list(labelled(options.seed, options.families, options.classes))


if __name__ == "__main__":
    sys.exit(main())
