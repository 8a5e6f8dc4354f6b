"""imagededup, Daft, Data-Juicer and the project on the same image files, each on one core.

    python -m benchmarks.duplicates.peers [--venv DIR]

Every tool runs in a process of its own, pinned to one core and told to use one thread, from files
to pairs; on a shared machine the seconds of CPU are what to compare. A first run over 48 files,
which imports and compiles, is timed apart. The peers live in a virtual environment of their own
(6 GB, with torch), which is made if DIR has none.

A family has one altered copy here beside its look-alikes, and most pictures are alone (`--alone`),
so that there is about one pair to compare for each picture, as in a mixed corpus. Where everything
is a copy of something else, comparing pairs would be all that is timed.

  - imagededup: ``PHash().encode_images`` and ``find_duplicates`` with its default distance, 10;
    from the same search, pairs at distance 4 and at equal hashes. Its pairs are taken as they are:
    put together into groups they would only be less precise.
  - Daft: files downloaded, ``imagehash.phash`` in a function of its own (UDF), equal hashes.
  - Data-Juicer: its op ``image_deduplicator``, method phash: equal hashes.
  - the project: bytes, signatures, join, verification, clusters.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.duplicates.alterations import opened
from benchmarks.duplicates.labelled import CLASSES, Labelled, labelled
from benchmarks.duplicates.measure import Found, Report, as_pairs, measured
from benchmarks.duplicates.peers_report import as_json, as_text

HERE = Path(__file__).parent
# What each peer is installed from and imports. Data-Juicer installs what it misses while it runs;
# ray it misses as soon as it is imported.
PACKAGES = {
    "imagededup": ("imagededup==0.3.3.post2",),
    "daft": ("daft==0.7.26", "ImageHash==4.3.2"),
    "data_juicer": ("py-data-juicer==1.6.1", "aiohttp", "ray"),
}
MODULES = {
    "imagededup": ("imagededup",),
    "daft": ("daft", "imagehash"),
    "data_juicer": ("data_juicer", "aiohttp", "ray"),
}
TOOLS = ("imagededup", "daft", "data_juicer", "ours")
WARM = 48
# What the pictures depend on.
_DRAWN_BY = ("seed", "families", "copies", "alone", "classes")
_MOST_OF_CLASS = 100_000  # file numbers
_ONE_THREAD = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA", "RAYON", "OPENCV_FOR")


def main() -> int:
    options = _options()
    python = _environment(options.venv, [tool for tool in PACKAGES if tool in options.tools])
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="duplicates-") as place:
        folder = options.keep or Path(place)
        pictures = _drawn(options, folder)
        print(f"{len(pictures):,} pictures in {time.perf_counter() - start:.0f} s", file=sys.stderr)
        results = {
            tool: _run(tool, python, folder, options.core)
            for tool in TOOLS
            if tool in options.tools
        }
    reports = {
        tool: {setting: _report(pictures, pairs) for setting, pairs in result["pairs"].items()}
        for tool, result in results.items()
    }
    told = as_json(results, reports) if options.json else as_text(results, reports, len(pictures))
    print(json.dumps(told, indent=1) if options.json else told)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.duplicates.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    place = Path(tempfile.gettempdir()) / "cauldron-peers"
    parser.add_argument("--venv", type=Path, default=place, metavar="DIR", help=f"now {place}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--families", type=int, default=12)
    parser.add_argument("--copies", type=int, default=1, help="altered copies in a family")
    parser.add_argument("--alone", type=int, default=60, help="pictures of a class without family")
    parser.add_argument("--classes", nargs="+", choices=CLASSES, default=CLASSES, metavar="CLASS")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="draw pictures here, or reuse them"
    )
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=TOOLS, metavar="TOOL")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _environment(folder: Path, peers: Sequence[str]) -> Path:
    """The python of the peers' environment, made and filled with what is not there.

    Raises:
        subprocess.CalledProcessError: pip could not install a peer; its error is printed.
    """
    python = folder / "bin" / "python"
    if peers and not python.exists():
        venv.create(folder, with_pip=True)
    for peer in peers:
        probe = [str(python), "-c", f"import {', '.join(MODULES[peer])}"]
        if subprocess.run(probe, capture_output=True, check=False).returncode:
            print(f"installing {', '.join(PACKAGES[peer])} into {folder}", file=sys.stderr)
            subprocess.run([str(python), "-m", "pip", "install", "-q", *PACKAGES[peer]], check=True)
    return python


def _drawn(options: argparse.Namespace, folder: Path) -> dict[int, Labelled]:
    """The labelled set by file number, without data; drawn into `folder` unless it is there.

    A class at a time on every core. Every picture is ``all/<number>.<format>``; some of all classes
    are also in ``warm``.

    Raises:
        SystemExit: the folder has other pictures.
    """
    truth = folder / "truth.json"
    asked = {name: getattr(options, name) for name in _DRAWN_BY}
    if truth.exists():
        told = json.loads(truth.read_text())
        if told["asked"] != json.loads(json.dumps(asked)):
            raise SystemExit(f"{folder} has other pictures: {told['asked']}")
        return {int(number): Labelled(*fields, b"") for number, fields in told["pictures"]}
    for part in ("all", "warm"):
        shutil.rmtree(folder / part, ignore_errors=True)
        (folder / part).mkdir(parents=True)
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        of_classes = pool.map(partial(_draw_class, asked, folder / "all"), options.classes)
        pictures = {number: one for some in of_classes for number, one in some}
    for path in sorted((folder / "all").iterdir())[:: max(1, len(pictures) // WARM)]:
        shutil.copy(path, folder / "warm")
    fields = [
        (number, (one.class_name, one.family, one.variant, one.content))
        for number, one in pictures.items()
    ]
    truth.write_text(json.dumps({"asked": asked, "pictures": fields}))
    return pictures


def _draw_class(asked: dict[str, Any], folder: Path, name: str) -> list[tuple[int, Labelled]]:
    """Write the pictures of a class; returns their numbers and what is true of them."""
    pictures, start = [], CLASSES.index(name) * _MOST_OF_CLASS
    drawn = labelled(asked["seed"], asked["families"], [name], asked["copies"], asked["alone"])
    for number, picture in enumerate(drawn, start):
        kind = str(opened(picture.data).format).lower()
        (folder / f"{number:06d}.{kind}").write_bytes(picture.data)
        pictures.append((number, replace(picture, data=b"")))
    return pictures


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


def _report(pictures: dict[int, Labelled], pairs: list[list[int]]) -> Report:
    places = {number: place for place, number in enumerate(pictures)}
    merged = as_pairs((places[first], places[second]) for first, second in pairs)
    return measured(list(pictures.values()), Found(merged, merged, merged))


if __name__ == "__main__":
    sys.exit(main())
