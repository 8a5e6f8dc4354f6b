"""imagededup, Data-Juicer and the project on the same image files, each on one core.

    python -m benchmarks.duplicates.peers --venv DIR

Every tool runs in a process of its own, pinned to one core and told to use one thread, from files
to pairs; on a shared machine the seconds of CPU are what to compare. A first run over a few files,
not timed, imports and compiles. The peers live in a virtual environment of their own (about 6 GB,
with torch), which is made if DIR has none.

A family has one altered copy here beside its look-alikes, and most pictures are alone (`--alone`),
so that there is about one pair to compare for each picture, as in a mixed corpus. Where everything
is a copy of something else, comparing pairs would be all that is timed.

  - imagededup: ``PHash().encode_images`` and ``find_duplicates``, its defaults (distance 10).
  - Data-Juicer: its op ``image_deduplicator``, method phash: equal hashes.
  - the project: bytes, signatures, join, verification, clusters.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.duplicates.alterations import opened
from benchmarks.duplicates.labelled import CLASSES, Labelled, labelled
from benchmarks.duplicates.measure import Found, Report, as_pairs, measured
from benchmarks.duplicates.report import table

HERE = Path(__file__).parent
PACKAGES = ("imagededup", "py-data-juicer", "aiohttp")
TOOLS = ("imagededup", "data_juicer", "ours")
WARM = 48
_ONE_THREAD = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA", "RAYON", "OPENCV_FOR")


def main() -> int:
    options = _options()
    python = _environment(options.venv)
    pictures = list(
        labelled(options.seed, options.families, options.classes, options.copies, options.alone)
    )
    with tempfile.TemporaryDirectory(prefix="duplicates-") as place:
        folder = Path(place)
        _write(pictures, folder)
        results = {
            tool: _run(tool, python, folder, options.core)
            for tool in TOOLS
            if tool in options.tools
        }
    reports = {tool: _report(pictures, result["pairs"]) for tool, result in results.items()}
    if options.json:
        print(json.dumps(_as_json(results, reports), indent=1))
    else:
        print(_as_text(results, reports, len(pictures)))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.duplicates.peers", description=__doc__)
    parser.add_argument("--venv", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--families", type=int, default=20)
    parser.add_argument("--copies", type=int, default=1, help="altered copies in a family")
    parser.add_argument("--alone", type=int, default=100, help="pictures of a class without family")
    parser.add_argument("--classes", nargs="+", choices=CLASSES, default=CLASSES, metavar="CLASS")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=TOOLS, metavar="TOOL")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _environment(folder: Path) -> Path:
    """The python of the peers' environment, made and filled if it is not there.

    Raises:
        subprocess.CalledProcessError: pip could not install the peers; its error is printed.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    probe = [str(python), "-c", "import imagededup, data_juicer, aiohttp"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PACKAGES], check=True)
    return python


def _write(pictures: Sequence[Labelled], folder: Path) -> None:
    """Every picture as ``<number>.<format>``, and the first of them again to warm up with."""
    for part in ("all", "warm"):
        (folder / part).mkdir()
    for number, picture in enumerate(pictures):
        kind = str(opened(picture.data).format).lower()
        for part in ("all", "warm") if number < WARM else ("all",):
            (folder / part / f"{number:06d}.{kind}").write_bytes(picture.data)


def _run(tool: str, python: Path, folder: Path, core: int) -> dict[str, Any]:
    """Run a tool on ``all``, after ``warm``, pinned to a core; returns what it wrote."""
    result = folder / f"{tool}.json"
    threads = {f"{name}_NUM_THREADS": "1" for name in _ONE_THREAD}
    environment = {**os.environ, **threads, "CUDA_VISIBLE_DEVICES": "", "TQDM_DISABLE": "1"}
    environment["PYTHONPATH"] = str(HERE.parents[1]) if tool == "ours" else ""
    interpreter = sys.executable if tool == "ours" else str(python)
    log = folder / f"{tool}.log"
    with log.open("wb") as output:
        done = subprocess.run(
            [interpreter, str(HERE / "peers_run" / f"run_{tool}.py"), str(folder), str(result)],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"{tool} failed:\n{log.read_text(errors='replace')[-3000:]}")
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def _report(pictures: Sequence[Labelled], pairs: list[list[int]]) -> Report:
    merged = as_pairs((first, second) for first, second in pairs)
    return measured(pictures, Found(merged, merged, merged))


def _as_text(results: dict[str, Any], reports: dict[str, Report], pictures: int) -> str:
    tools = list(reports)
    names = [*next(iter(reports.values())).classes, "all"]
    scores = {tool: {**report.classes, "all": report.overall} for tool, report in reports.items()}
    rows = [["F1 % (precision / recall)", *tools]]
    for name in names:
        cells = [scores[tool][name] for tool in tools]
        rows.append(
            [
                name,
                *(f"{s.f1:.1%} ({s.precision:.1%} / {s.recall:.1%})" for s in cells),
            ]
        )
    rows.append(["version", *(str(results[tool]["version"]) for tool in tools)])
    for what, key in (("seconds", "seconds"), ("seconds of CPU", "busy")):
        rows.append([what, *(f"{results[tool][key]:.1f}" for tool in tools)])
    speeds = (pictures / results[tool]["busy"] for tool in tools)
    rows.append(["images/s of CPU", *(f"{speed:.0f}" for speed in speeds)])
    more = (
        f"{tool}: {name} {value:.1f}"
        for tool in tools
        for name, value in results[tool]["more"].items()
    )
    return f"{pictures:,} image files\n\n{table(rows)}\n\n" + "; ".join(more)


def _as_json(results: dict[str, Any], reports: dict[str, Report]) -> dict[str, Any]:
    return {
        tool: {
            "version": results[tool]["version"],
            "seconds": results[tool]["seconds"],
            "busy": results[tool]["busy"],
            "more": results[tool]["more"],
            "f1": {name: score.f1 for name, score in report.classes.items()},
            "f1_all": report.overall.f1,
        }
        for tool, report in reports.items()
    }


if __name__ == "__main__":
    sys.exit(main())
