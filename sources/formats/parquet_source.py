"""A source whose rows are in parquet shards."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass

from cauldron.sources.base import BadRow, Options, Piece, Row, Source
from cauldron.sources.formats.parquet import ParquetRow, parquet_pieces, read_parquet
from cauldron.sources.formats.parquet_files import Columns
from cauldron.sources.formats.shards import Missing, Shards, choose_shards
from cauldron.sources.repos.files import FileInfo, Repo, Root
from cauldron.sources.values.rows import RowProblem

from cauldron.core.errors import SourceUnavailable, UsageError


@dataclass(frozen=True)
class ParquetShards(Source):
    """Finds and cuts shards; a reader defines the columns, and how pieces are read.

    A reader with an option ``splits`` reads the splits that it names, else only ``train``.
    """

    @abc.abstractmethod
    def columns(self, options: Options) -> Columns:
        """The columns to read."""

    def folder(self, options: Options) -> str:
        """The folder that holds the shards."""
        return "data"

    def splits(self, options: Options) -> tuple[str, ...]:
        """The splits to read, in this order. Raises UsageError for an option that names none."""
        value = options.get("splits", "train")
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not names:
            raise UsageError(f"{self.name}: splits must be a list of names, not {value!r}")
        if not all(isinstance(name, str) and name.isidentifier() for name in names):
            raise UsageError(f"{self.name}: {names!r} are not names of splits")
        return tuple(dict.fromkeys(names))

    def shards(self, repo: Repo, options: Options) -> Shards:
        """The shards to read. Raises SourceUnavailable when there is none at all."""
        folder = self.folder(options)
        there = repo.list(folder)
        found = Shards()
        for split in self.splits(options):
            found += split_shards(there, folder, split)
        if not found.files:
            splits = " or ".join(f"{folder}/{split}-*.parquet" for split in self.splits(options))
            remedy = "download the whole dataset repository"
            raise SourceUnavailable(self.repo, f"no {splits} for {self.name}", remedy)
        return found

    def files(self, repo: Repo, options: Options) -> list[FileInfo]:
        options = self.settled(options)
        return sorted(self.shards(repo, options).files, key=lambda file: file.path)

    def notes(self, repo: Repo, options: Options) -> list[str]:
        return list(self.shards(repo, self.settled(options)).notes)

    def pieces(self, root: Root, repo: Repo, options: Options, limit: int = -1) -> list[Piece]:
        options = self.settled(options)
        shards = self.shards(repo, options)
        return parquet_pieces(self.name, repo, shards, self.columns(options), limit)


@dataclass(frozen=True)
class ParquetSource(ParquetShards):
    """A source of which each published row is one row; a reader defines what it means."""

    @abc.abstractmethod
    def row(self, row: ParquetRow, options: Options) -> Row:
        """A published row.

        Raises:
            cauldron.sources.values.rows.RowProblem: the row cannot be used.
        """

    def rows(
        self, root: Root, repo: Repo, piece: Piece, options: Options
    ) -> Iterator[Row | BadRow]:
        for row in read_parquet(repo, piece, self.columns(options)):
            yield row if isinstance(row, BadRow) else self.outcome(row, options)

    def outcome(self, row: ParquetRow, options: Options) -> Row | BadRow:
        """The row, or why it cannot be used."""
        try:
            return self.row(row, options)
        except RowProblem as problem:
            return problem.bad_row(row.origin)


def split_shards(there: list[FileInfo], folder: str, split: str) -> Shards:
    """The shards of one split; a split without any file is one missing shard.

    Takes ``<folder>/<split>-*.parquet`` and the hub's own conversion,
    ``<folder>/<split>/0000.parquet``.
    """
    stem = f"{folder}/{split}"
    mine = [
        file
        for file in there
        if file.path.endswith(".parquet")
        and file.path.startswith((f"{stem}-", f"{stem}/", f"{stem}."))
    ]
    return choose_shards(mine) if mine else Shards((Missing(f"{stem}-*", 0, 1),))
