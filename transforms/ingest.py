"""Ingest: from pieces of published files to corpus parts.

A piece is the unit of work: a worker reads it row by row, normalises each row and writes one part.
Only the small descriptions of pieces cross a shuffle, never rows. They come from a file in the
output, because a job that holds them would grow with the sources.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
from cauldron.sources.base import BadRow, Piece, Row, Source
from cauldron.sources.catalog import registry
from cauldron.sources.repos.files import Repo
from cauldron.sources.repos.roots import open_root
from cauldron.transforms.fetching.images import Fetched
from cauldron.transforms.graph import After
from cauldron.transforms.normalise import Kept, Rejected, SourceSettings, normalise
from cauldron.transforms.parts import PartNames, PartWriter

from cauldron.core import storage
from cauldron.core.output.markers import Markers

# Part of every corpus fingerprint. Raise it if a change alters the bytes of corpora; the golden
# test of the sample hub fails until that is done.
INGEST_VERSION = 7


class PieceWork(NamedTuple):
    """One piece, the folder of its corpus and the number of the part it becomes."""

    corpus: str
    part: int
    parts: int
    piece: Piece


@dataclass(frozen=True)
class SourceJob:
    """The settings that a worker needs to ingest the pieces of a source.

    Attributes:
        source, repo: for a source that is not in the registry, or not under the root.
        fetched: the images of a source by URL.
    """

    settings: SourceSettings
    root: str | None
    commit: str | None
    corpus: str
    quarantine: str
    source: Source | None = None
    repo: Repo | None = None
    fetched: Fetched | None = None


def ingest_piece(work: PieceWork, job: SourceJob) -> PartNames:
    """Read a piece and write its part. The same piece gives the same files."""
    source = job.source or registry()[job.settings.source]
    root = open_root(job.root)
    repo = job.repo or root.repo_at(source.repo, job.commit)
    names = PartNames(job.corpus, job.quarantine, work.part, work.parts)
    with PartWriter(names, job.settings.source) as writer:
        writer.counts.bytes_in = work.piece.size
        rows = source.read(root, repo, work.piece, job.settings.options)
        if job.fetched is not None:
            rows = job.fetched.fill(rows, work.part)
        for row in rows:
            if isinstance(row, BadRow) and row.whole_piece:
                writer.lost_bytes = work.piece.size
            writer.add(_outcome(row, job.settings), row.rows)
    return names


def _outcome(row: Row | BadRow, settings: SourceSettings) -> Kept | Rejected:
    return Rejected(row) if isinstance(row, BadRow) else normalise(row, settings)


def write_work(path: str, work: Iterable[PieceWork]) -> None:
    """Write the list of work, a JSON line for each piece."""
    with storage.atomic_write(path) as file:
        for item in work:
            file.write(json.dumps(item, ensure_ascii=False).encode() + b"\n")


def read_work(path: str) -> Iterator[PieceWork]:
    with storage.open_read(path) as file:
        for line in file:
            corpus, part, parts, piece = json.loads(line)
            yield PieceWork(corpus, part, parts, Piece(*piece))


def _ingest(work: PieceWork, jobs: Mapping[str, SourceJob]) -> tuple[str, int]:
    ingest_piece(work, jobs[work.corpus])
    return work.corpus, 1


def _sum_up(element: tuple[str, Iterable[int]], markers: Mapping[str, Markers]) -> Iterator[str]:
    markers[element[0]].sum_up()
    markers[element[0]].remove()
    yield markers[element[0]].summary


class IngestPieces(beam.PTransform):
    """Anything in, the paths of the summaries of all corpora out.

    Args:
        work: path of the list of work.
        jobs: by corpus folder.
        markers: of the parts of each corpus, by folder.
    """

    def __init__(
        self, work: str, jobs: Mapping[str, SourceJob], markers: Mapping[str, Markers]
    ) -> None:
        super().__init__()
        self._work, self._jobs, self._markers = work, jobs, markers

    def expand(self, begin: beam.PCollection[int]) -> beam.PCollection[str]:
        counted = tuple[str, int]
        every = begin.pipeline | "Every corpus" >> beam.Create(
            [(folder, 0) for folder in self._markers], reshuffle=False
        )
        parts = (
            begin
            | "List of work" >> After(read_work, self._work)
            # Without it, all pieces stay on one worker.
            | "Spread pieces" >> beam.Reshuffle()
            | "Read, normalise, write" >> beam.Map(_ingest, self._jobs).with_output_types(counted)
        )
        return (
            (every, parts)
            | "With finished corpora" >> beam.Flatten()
            | "Parts of a corpus" >> beam.GroupByKey()
            | "Sum up" >> beam.FlatMap(_sum_up, self._markers)
        )
