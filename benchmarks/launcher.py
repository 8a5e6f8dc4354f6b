"""What the process that submits jobs does by itself at 10^9 rows: seconds, memory, requests.

    python benchmarks/launcher.py --folder /tmp/bench-launcher --files 3e3 3e4 3e5

A source of so many published files of 500 MB (10^9 pictures of 150 kB are 300,000) is planned,
ingested, curated and mixed by the project's own launcher. Instead of a job another process writes
what the job's workers would leave for the launcher: summaries of the markers, which workers remove
themselves. No picture and no shard is written, and a listing of the markers of a job that runs is
made up: all of them are there. A listing takes no request here, on a store one for each 1,000
names; so the table counts the names that were listed and the files that were deleted. The published
files are a list in this process, as after asking a store or the hub. See README.md for the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from unittest.mock import patch

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from cauldron.sources.repos.files import FileInfo, Repo, Root
from cauldron.transforms.curate.pipeline import ROWS_PER_BUCKET
from cauldron.transforms.ingest import IngestPieces, read_work
from cauldron.transforms.matching.pictures import PICTURES_PER_RANGE
from cauldron.transforms.mixing.pipeline import MixRows
from cauldron.transforms.mixing.plan import MixPlan, sum_markers, write_summary
from cauldron.transforms.parts import PartCounts, PartNames

from benchmarks.corpus import SCHEMA
from benchmarks.join import peak_bytes
from cauldron.core import storage
from cauldron.core.output.counts import CurationCounts
from cauldron.core.output.manifests import MANIFEST, CurationManifest, RowFile
from cauldron.core.output.markers import Markers, marker_folder
from cauldron.core.shares import SourceCounts
from cauldron.pipeline import corpora, ingest
from cauldron.pipeline.build import BuildOptions
from cauldron.pipeline.mix import MixRequest, mix
from cauldron.pipeline.runners import runner
from cauldron.pipeline.runners.runner import Launcher
from cauldron.recipe import Recipe

# Ten sources; names of shards have five digits, so none may have more than 99,999 files.
NAMES = "vqav2 ocrvqa plotqa dvqa docvqa tqa ai2d iam cocoqa vsr"
SOURCES = tuple(f"the_cauldron/{name}" for name in NAMES.split())
FILE_BYTES, PICTURE_BYTES = 500_000_000, 150_000
GROUPS = 33  # of 100 rows, in a file of 3,333
SHARD_BYTES = 400_000_000
DIGEST = "0123456789abcdef" * 4


class MadeUp(Root, Repo):
    """A root and each of its repositories: any folder has so many shards."""

    def __init__(self, files: int, folder: str) -> None:
        """`files` in each source; those that are opened are one small parquet file in `folder`."""
        self.id, self.commit, self._files, self.opened = "", "0" * 40, files, 0
        self._footer = storage.join(folder, "footer.parquet")
        with storage.atomic_write(self._footer) as file, pq.ParquetWriter(file, SCHEMA) as writer:
            for _ in range(GROUPS):
                writer.write_table(pa.Table.from_pylist([{}] * 100, schema=SCHEMA))

    @property
    def url(self) -> str:  # type: ignore[override]
        return "hub"

    def repo(self, repo_id: str, revision: str | None = None) -> Repo:
        return self

    def repo_at(self, repo_id: str, commit: str | None) -> Repo:
        return self

    def extra(self, path: str) -> str | None:
        return None

    def list(self, prefix: str = "") -> list[FileInfo]:
        # Versions and paths are strings of their own, as those that a store sends.
        return [
            FileInfo(
                f"{prefix}/train-{number:05d}-of-{self._files:05d}.parquet",
                FILE_BYTES,
                f"{number:064x}",
            )
            for number in range(self._files)
        ]

    def open(self, path: str) -> BinaryIO:
        self.opened += 1
        return storage.open_read(self._footer)

    def exists(self, path: str) -> bool:
        return True


def recipe() -> Recipe:
    share = {"share": 1 / len(SOURCES)}
    budget = {"epochs_of": {SOURCES[0]: 1}}
    return Recipe.model_validate(
        {
            "name": "launcher",
            "tokenizer": "estimate",
            "language": {"identify": False},
            "stages": {"sft": {"mixture": dict.fromkeys(SOURCES, share), "budget": budget}},
        }
    )


def leave(transform: beam.PTransform, rows: int) -> None:
    """Write what the workers of a job leave for its launcher, in another process."""
    command = [sys.executable, os.path.abspath(__file__), "--leave", str(rows)]
    subprocess.run(command, input=pickle.dumps(_work(transform)), check=True)


def shown(transform: beam.PTransform, rows: int) -> dict[str, Markers]:
    """The markers of a job that is nearly done, by their folder."""
    if isinstance(transform, IngestPieces):
        every = list(transform._markers.values())
    else:
        assert isinstance(transform, MixRows)
        every = [Markers(transform._run.job.folder, "", shards_of(rows), with_count=True)]
    return {marker_folder(one.folder): one for one in every}


def shards_of(rows: int) -> int:
    return max(1, rows * PICTURE_BYTES // SHARD_BYTES)


def _work(transform: beam.PTransform) -> tuple[Any, ...]:
    if isinstance(transform, IngestPieces):
        return transform._work, transform._markers
    assert isinstance(transform, MixRows)
    return (transform._run,)


def leave_parts(work: str, markers: Any, rows: int) -> None:
    every = list(read_work(work))
    each, lines = rows // len(every), {}
    for item in every:
        names = PartNames(item.corpus, "", item.part, item.parts)
        entry = {"bytes": FILE_BYTES, "sha256": f"{item.part:064x}"}
        counts = PartCounts(rows_in=each, kept=each, images=each, answer_tokens=each * 20)
        marker = {
            "part": item.part,
            "parquet": entry | {"name": names.parquet, "rows": each},
            "pack": entry | {"name": names.record_file},
            "quarantine": entry | {"name": names.parquet, "rows": 1},
            "counts": counts.to_json(),
            "lost_bytes": 0,
        }
        lines[item.corpus, item.part] = json.dumps(marker)
    for folder, one in markers.items():
        own = "\n".join(lines[folder, number] for number in range(one.count))
        storage.write_bytes(one.summary, f"{own}\n".encode())


def leave_shards(run: Any, rows: int) -> None:
    shards = shards_of(rows)
    each = SourceCounts(rows // len(SOURCES), rows * 2.0, rows * 2.0)
    plan = MixPlan(dict.fromkeys(SOURCES, each), rows * PICTURE_BYTES, shards)
    storage.write_bytes(run.plan_path, plan.text().encode())
    marks = []
    for shard in range(shards):
        entry = {"name": f"train-{shard:05d}-of-{shards:05d}.parquet", "bytes": SHARD_BYTES}
        entry |= {"sha256": f"{shard:064x}", "rows": rows // shards}
        sources = {name: {"rows": 100, "answer_tokens": 2_000} for name in SOURCES}
        marks.append({"shards": [(shard, entry)], "sources": sources})
    write_summary(run.summary_path, sum_markers(marks))


class Counts:
    """Names that were listed and files that were read and deleted by this process.

    Attributes:
        shown: how many markers of which kind a listing shows, by folder.
    """

    def __init__(self) -> None:
        self.listed = self.read = self.deleted = 0
        self.shown: dict[str, Markers] = {}

    def _made_up(self, folder: str) -> list[str]:
        markers = self.shown.get(folder)
        return [path.rpartition("/")[2] for path in markers.paths()] if markers else []

    @contextmanager
    def installed(self) -> Iterator[None]:
        names, opened, remove = storage._names, storage.open_read, storage.remove

        def listing(folder: str, kind: str) -> list[str]:
            found = names(folder, kind) + self._made_up(folder)
            self.listed += len(found)
            return found

        def reading(path: str) -> BinaryIO:
            self.read += 1
            return opened(path)

        def removing(path: str) -> None:
            self.deleted += sum(len(files) for _, _, files in os.walk(path))
            remove(path)

        with (
            patch.object(storage, "_names", listing),
            patch.object(storage, "open_read", reading),
            patch.object(storage, "remove", removing),
        ):
            yield


def launch(folder: str, files: int) -> list[dict[str, Any]]:
    """Plan, ingest and mix; a line for each."""
    rows = files * (FILE_BYTES // PICTURE_BYTES)
    lines: list[dict[str, Any]] = []
    waited, graph = [0.0], [0]
    root = MadeUp(-(-files // len(SOURCES)), folder)
    counts = Counts()

    def run(*args: Any) -> None:
        transform = current[0]
        began, cores = time.monotonic(), time.process_time()
        pipeline = beam.Pipeline()
        args[1](pipeline)
        graph[0] = len(pipeline.to_runner_api().SerializeToString())
        counts.shown = shown(transform, rows)
        leave(transform, rows)
        counts.shown = {}
        # Of the wait nothing counts but what this process works: it looks at the markers.
        waited[0] += time.monotonic() - began - (time.process_time() - cores)

    current: list[Any] = []
    submit = Launcher.submit

    def submitted(launcher: Launcher, job: Any) -> None:
        current[:] = [job.transform]
        submit(launcher, job)

    def measured(name: str, work: Callable[[], Any]) -> Any:
        waited[0] = graph[0] = 0
        footers = root.opened
        before = (counts.listed, counts.read, counts.deleted)
        began, cores = time.monotonic(), time.process_time()
        made = work()
        after = (counts.listed, counts.read, counts.deleted)
        lines.append(
            {
                "step": name,
                "seconds": time.monotonic() - began - waited[0],
                "core_seconds": time.process_time() - cores,
                "peak": peak_bytes(os.getpid()),
                "counts": [new - old for old, new in zip(before, after, strict=True)],
                "footers": root.opened - footers,
                "graph": graph[0],
            }
        )
        return made

    launcher = Launcher((), lambda line: None)
    options = BuildOptions(recipe(), (), "hub", folder)
    with (
        counts.installed(),
        patch.object(corpora, "open_root", lambda url: root),
        patch.object(ingest, "open_root", lambda url: root),
        patch.object(runner, "run", run),
        patch.object(Launcher, "submit", submitted),
    ):
        planned = measured("plan", lambda: corpora.plan_corpora(options)[0])
        made = measured("ingest", lambda: ingest.ingest(planned, options, launcher))
        names = [corpus.source.name for corpus in planned]
        curation = curated(folder, names, rows)
        request = MixRequest(
            recipe(), "sft", folder, dict(zip(names, made, strict=True)), curation, [], False
        )
        mixture = measured("mix", lambda: mix(request, launcher))
    assert len(mixture.shards) == shards_of(rows)
    return lines


def curated(folder: str, names: list[str], rows: int) -> CurationManifest:
    """A curation's manifest; what its launcher does grows with ranges, 500,000 rows each."""
    assert ROWS_PER_BUCKET == PICTURES_PER_RANGE
    buckets = -(-rows // ROWS_PER_BUCKET)
    files = [RowFile(name=f"d-{n:05d}", bytes=1, sha256=DIGEST, rows=1) for n in range(buckets)]
    counts = CurationCounts(rows_in=rows // len(names), kept=rows // len(names))
    manifest = CurationManifest(
        fingerprint="made-up",
        corpora=dict.fromkeys(names, "made-up"),
        buckets=files,
        counts=dict.fromkeys(names, counts),
    )
    place = storage.join(folder, "curation", "made-up", MANIFEST)
    storage.write_json(place, manifest.model_dump(mode="json"))
    return manifest


def measured_alone(folder: str, files: int) -> list[dict[str, Any]]:
    """In a process of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, os.path.abspath(__file__), "--folder", folder, "--only", str(files)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    shutil.rmtree(folder)
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(files: int, lines: list[dict[str, Any]]) -> None:
    rows = files * (FILE_BYTES // PICTURE_BYTES)
    for line in lines:
        listed, read, deleted = line["counts"]
        read += line["footers"]
        print(
            f"| {line['step']} | {files:,} | {rows:,} | {line['seconds']:.1f} "
            f"| {line['core_seconds']:.1f} | {line['peak'] / 2**20:.0f} "
            f"| {listed:,} | {read:,} | {deleted:,} | {line['graph'] / 1e3:.0f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=lambda path: str(Path(path).absolute()))
    parser.add_argument("--files", nargs="*", type=float, default=[3e3, 3e4, 3e5])
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--leave", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.leave is not None:
        work = pickle.load(sys.stdin.buffer)
        (leave_parts if len(work) == 2 else leave_shards)(*work, options.leave)
    elif options.only is not None:
        print(json.dumps(launch(options.folder, options.only)))
    else:
        print("| step | files | rows | s | core-s | peak so far, MiB | listed | read | deleted "
              "| graph, kB |")  # fmt: skip
        print("|---|" + "---:|" * 9)
        for files in options.files:
            report(int(files), measured_alone(options.folder, int(files)))


if __name__ == "__main__":
    main()
