"""Ingest: from pieces of published files to corpus parts.

A piece is the unit of work: a worker reads it row by row, normalises each row and writes one part.
Only the small descriptions of pieces cross a shuffle, never rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
from cauldron.sources.base import BadRow, Piece, Row, Source
from cauldron.sources.catalog import registry
from cauldron.sources.repos.files import Repo
from cauldron.sources.repos.roots import open_root
from cauldron.transforms.normalise import Kept, Rejected, SourceSettings, normalise
from cauldron.transforms.parts import PartNames, PartWriter

# Part of every corpus fingerprint. Raise it if a change alters the bytes of corpora; the golden
# test of the sample hub fails until that is done.
INGEST_VERSION = 4


class PieceWork(NamedTuple):
    """One piece and the number of the part it becomes."""

    source: str
    part: int
    parts: int
    piece: Piece


@dataclass(frozen=True)
class SourceJob:
    """The settings that a worker needs to ingest the pieces of a source.

    Attributes:
        source, repo: for a source that is not in the registry, or not under the root.
    """

    settings: SourceSettings
    root: str | None
    commit: str | None
    corpus: str
    quarantine: str
    source: Source | None = None
    repo: Repo | None = None


def ingest_piece(work: PieceWork, job: SourceJob) -> PartNames:
    """Read a piece and write its part. The same piece gives the same files."""
    source = job.source or registry()[work.source]
    root = open_root(job.root)
    repo = job.repo or root.repo_at(source.repo, job.commit)
    names = PartNames(job.corpus, job.quarantine, work.part, work.parts)
    with PartWriter(names, work.source) as writer:
        writer.counts.bytes_in = work.piece.size
        for row in source.read(root, repo, work.piece, job.settings.options):
            writer.add(_outcome(row, job.settings), row.rows)
    return names


def _outcome(row: Row | BadRow, settings: SourceSettings) -> Kept | Rejected:
    return Rejected(row) if isinstance(row, BadRow) else normalise(row, settings)


def _ingest(work: PieceWork, jobs: Mapping[str, SourceJob]) -> str:
    return ingest_piece(work, jobs[work.source]).marker


class IngestPieces(beam.PTransform):
    """`PieceWork` in, the path of each finished part's marker out."""

    def __init__(self, jobs: Mapping[str, SourceJob]) -> None:
        super().__init__()
        self._jobs = jobs

    def expand(self, pieces: beam.PCollection[PieceWork]) -> beam.PCollection[str]:
        return (
            pieces
            # Without it, all elements of a Create stay on one worker.
            | "Spread pieces" >> beam.Reshuffle()
            | "Read, normalise, write" >> beam.Map(_ingest, self._jobs)
        )
