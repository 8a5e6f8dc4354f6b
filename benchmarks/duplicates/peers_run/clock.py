"""What is common to all tools: warm up, run, and write down pairs and times.

Beside the scripts, so that it can be imported where the project is not installed.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

# Pairs of file numbers by setting, the default first, and what else there is to tell.
Found = tuple[dict[str, list[tuple[int, int]]], dict[str, float]]


def main(package: str, find: Callable[[Path], Found]) -> None:
    """Find pairs of file numbers among the pictures of a folder, timed after a warm-up.

    Args:
        package: whose version is told.
    """
    folder, result = Path(sys.argv[1]), Path(sys.argv[2])
    find(folder / "warm")
    start, before = time.perf_counter(), _busy()
    pairs, more = find(folder / "all")
    told = {
        "version": version(package),
        "starting": before,
        "seconds": time.perf_counter() - start,
        "busy": _busy() - before,
        "pairs": pairs,
        "more": more,
    }
    result.write_text(json.dumps(told))


def _busy() -> float:
    """Seconds of CPU of this process and of the workers that it waited for."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
