"""`cauldron docmatix` on 1,000 PDFs, real and made, killed three times and gone on.

``python benchmarks/docmatix.py --real FOLDER --work DIR [--documents N] [--endless N]``

The documents: the real ones, repeated with another comment at their end so that their bytes differ,
then made ones (`cauldron.sample.pdfs`), the last of them endless. A model server that answers by
rule takes 50 ms for each answer. Three runs are ended with SIGKILL: one while the model is asked,
one when about half of the answers are there, one while pages are drawn. The fourth goes on. An
undisturbed run into another folder must give the same bytes, and no question whose answer was kept
may stand in the server's log again. Those that were in flight at a kill do, as nobody has their
answers.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from cauldron.transforms.docmatix.ask import question_of
from cauldron.transforms.models.store import AnswerStore, answers_folder

from cauldron.core.output.docmatix import work_folder
from cauldron.core.sections.models import ModelRules
from cauldron.sample.model_server import Behaviour, ModelServer
from cauldron.sample.pdfs import made_pdfs, write_pdfs

Ready = Callable[[], bool]
MODEL = ModelRules(name="rules")
# Requests in flight of a worker process, the command's default. Asking takes one process.
CONCURRENCY = 32


def write_documents(folder: Path, real: Path | None, count: int, endless: int) -> int:
    """Write the PDFs; returns how many of them are real."""
    folder.mkdir(parents=True)
    originals = sorted(real.glob("*.pdf")) if real else []
    number = count // 2 if originals else 0
    for copy, path in zip(range(number), itertools.cycle(originals), strict=False):
        data = path.read_bytes() + b"\n%% copy %d\n" % copy
        (folder / f"real-{copy:05d}.pdf").write_bytes(data)
    write_pdfs(folder, made_pdfs(count - number, endless=endless))
    return number


def command(pdfs: Path, output: Path, url: str) -> list[str]:
    arguments = ["docmatix", str(pdfs), "--output", str(output), "--endpoint", url]
    return [sys.executable, "-m", "cauldron", *arguments, "--model", MODEL.name]


def killed(arguments: list[str], ready: Ready) -> bool:
    """Run a command in a session of its own and kill all of it once `ready`."""
    process = subprocess.Popen(
        arguments, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not ready():
        time.sleep(0.05)
    was_alive = process.poll() is None
    if was_alive:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return was_alive


def digests(output: Path) -> dict[str, str]:
    """Of every file of a dataset; answers are in another order each time."""
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.rglob("*"))
        if path.is_file() and "answers" not in path.parts
    }


def timed(arguments: list[str]) -> tuple[float, float]:
    """Seconds, and seconds of processor time, of a run to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - start, used


def kept_questions(output: Path) -> set[str]:
    """The questions whose answers are kept, by the digests that the server logs."""
    work = work_folder(str(output))
    store = AnswerStore(answers_folder(work))
    found: set[str] = set()
    for path in Path(work).glob("selection/*/part-*.parquet"):
        for document in pq.read_table(path).to_pylist():
            for chunk in document["chunks"]:
                question = question_of(document, chunk)
                if store.get(question.key(MODEL)) is not None:
                    body = question.body(MODEL)
                    found.add(hashlib.blake2b(body, digest_size=16).hexdigest())
    assert len(found) == len(store), "an answer belongs to no question of the selection"
    return found


def disturbed(pdfs: Path, output: Path, server: ModelServer) -> dict[str, Any]:
    """Three killed runs and one to its end, and what each of them asked."""
    arguments = command(pdfs, output, server.url)
    documents = len(list(pdfs.iterdir()))
    asked = [lambda: len(server.answered) >= documents // 20]
    asked += [lambda: len(server.answered) >= documents // 4]
    drawing = [lambda: bool(list((output / "_done").glob("write-*")))]
    kills, again = 0, 0
    kept: set[str] = set()
    kept_at_kills = []
    for ready in [*asked, *drawing, None]:
        before = len(server.asked)
        if ready is None:
            subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
        else:
            kills += killed(arguments, ready)
            time.sleep(0.5)  # the server ends the answers that nobody waits for
        again += len(kept & {line.question for line in server.asked[before:]})
        kept = kept_questions(output)
        kept_at_kills.append(len(kept))
    different = len({line.question for line in server.asked})
    return {
        "kills": kills,
        "answers kept after each run": kept_at_kills,
        "different requests": different,
        "asked again, whose answer was kept": again,
        "asked again, in flight at a kill": len(server.asked) - different,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--documents", type=int, default=1_000)
    parser.add_argument("--endless", type=int, default=2)
    options = parser.parse_args()
    shutil.rmtree(options.work, ignore_errors=True)
    pdfs = options.work / "pdfs"
    real = write_documents(pdfs, options.real, options.documents, options.endless)
    with ModelServer(Behaviour(delay=0.05)) as server:
        asked = disturbed(pdfs, options.work / "killed", server)
        seconds, used = timed(command(pdfs, options.work / "whole", server.url))
    whole, other = digests(options.work / "whole"), digests(options.work / "killed")
    manifest = json.loads((options.work / "whole" / "manifest.json").read_text())
    documents = manifest["documents"]
    result = {
        "documents": sum(documents.values()),
        "real": real,
        "outcomes": documents,
        "pairs": manifest["pairs"],
        "pages": manifest["pages"],
        "requests": manifest["requests"],
        **asked,
        "same bytes": whole == other,
        "undisturbed seconds": round(seconds),
        "undisturbed processor seconds": round(used),
    }
    print(json.dumps(result, indent=1))
    assert sum(documents.values()) == options.documents, "documents vanished"
    assert asked["kills"] == 3, "a run ended before it was killed"
    assert not asked["asked again, whose answer was kept"], "a kept answer was paid for twice"
    assert asked["asked again, in flight at a kill"] <= 2 * CONCURRENCY, "more than was in flight"
    assert whole == other, "the killed runs gave other bytes"


if __name__ == "__main__":
    main()
