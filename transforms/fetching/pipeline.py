"""Fetching as a Beam transform: lists of URLs, then the images, then what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, wait
from contextlib import ExitStack
from typing import Any

import apache_beam as beam
from cauldron.sources.catalog import registry
from cauldron.sources.repos.roots import open_root
from cauldron.transforms.fetching.answers import Answers
from cauldron.transforms.fetching.engine import AHEAD, FetchJob, shared_engine
from cauldron.transforms.fetching.lists import list_name, urls_of, write_list
from cauldron.transforms.graph import After
from cauldron.transforms.ingest import PieceWork, SourceJob, read_work

from cauldron.core import storage
from cauldron.core.output.markers import Markers

# Part of every fingerprint of lists. Raise it if a change alters them or the order of URLs.
FETCH_VERSION = 2

# Not .json: tallies are.
TOTAL = "total.txt"


def list_markers(folder: str, pieces: int) -> Markers:
    return Markers(folder, "urls", pieces, with_count=True)


def summary_path(source: Answers) -> str:
    return storage.join(source.place, "summary.json")


def list_piece(work: PieceWork, job: SourceJob) -> int:
    """Write the URLs of a piece; returns their number. The same piece gives the same file."""
    source = job.source or registry()[job.settings.source]
    root = open_root(job.root)
    repo = job.repo or root.repo_at(source.repo, job.commit)
    rows = source.read(root, repo, work.piece, job.settings.options)
    path = storage.join(work.corpus, list_name(work.part, work.parts))
    count = write_list(path, urls_of(rows))
    storage.write_json(list_markers(work.corpus, work.parts).path(work.part), {"urls": count})
    return count


def _list(work: PieceWork, jobs: Mapping[str, SourceJob]) -> int:
    return list_piece(work, jobs[work.corpus])


def _partitions(job: FetchJob) -> Iterator[int]:
    """The partitions with something to settle. The launcher finds their URLs counted in a file."""
    total, numbers = 0, set()
    for source in job.sources:
        unsettled = source.unsettled()
        numbers.update(unsettled)
        total += source.count(unsettled)
    storage.write_json(storage.join(job.progress, TOTAL), total)
    yield from sorted(numbers)


def _summaries(sources: tuple[Answers, ...]) -> Iterator[str]:
    for source in sources:
        storage.write_json(summary_path(source), source.summary())
        yield summary_path(source)


class _Fetch(beam.DoFn):  # type: ignore[misc]
    """Fetches the partitions of a bundle, several at a time."""

    def __init__(self, job: FetchJob) -> None:
        super().__init__()
        self._job = job

    def start_bundle(self) -> None:
        self._stack, self._pending = ExitStack(), list[Future[None]]()
        self._engine = self._stack.enter_context(shared_engine(self._job))

    def process(self, number: int) -> Iterator[Any]:
        # Taken as there is room for them: what is left of the bundle may go to another worker.
        while len(self._pending) >= AHEAD:
            done, left = wait(self._pending, return_when=FIRST_COMPLETED)
            self._pending = list(left)
            self._check(done)
        self._pending.append(self._engine.fetch(number))
        return iter(())

    def finish_bundle(self) -> None:
        with self._stack:
            done, left = wait(self._pending, return_when=FIRST_EXCEPTION)
            self._pending = list(left)
            self._check(done)

    def _check(self, done: Iterable[Future[None]]) -> None:
        """Raise the error of a partition, and give up the others."""
        for item in done:
            if item.exception() is not None:
                for other in self._pending:
                    other.cancel()
                self._stack.close()
                item.result()


class FetchImages(beam.PTransform):  # type: ignore[misc]
    """Anything in, the paths of the summaries of all sources out.

    Args:
        work: path of the list of pieces whose URLs are not listed yet; `PieceWork.corpus` is the
            folder of the lists.
        jobs: by that folder.
        job: what is to be fetched.
    """

    def __init__(self, work: str, jobs: Mapping[str, SourceJob], job: FetchJob) -> None:
        super().__init__()
        self._work, self._jobs, self._job = work, jobs, job

    def expand(self, begin: beam.PCollection[Any]) -> beam.PCollection[str]:
        return (
            begin
            | "List of work" >> After(read_work, self._work)
            | "Spread pieces" >> beam.Reshuffle()
            | "List URLs" >> beam.Map(_list, self._jobs).with_output_types(int)
            | "All listed" >> After(_partitions, self._job)
            | "Spread partitions" >> beam.Reshuffle()
            | "Fetch" >> beam.ParDo(_Fetch(self._job)).with_output_types(int)
            | "All fetched" >> After(_summaries, self._job.sources)
        )
