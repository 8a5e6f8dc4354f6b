"""A benchmark as a source: found, cut into pieces and read like any other.

Its purpose differs: its rows are not trained on, so nothing is filtered. A picture that cannot be
read is a loss, because its copies then stay in the training data.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from cauldron.sources.base import BadRow, Options, Piece, Row, Source
from cauldron.sources.benchmarks.folder import IMAGES, image_pieces, read_images
from cauldron.sources.benchmarks.layouts import Roles, known_layout
from cauldron.sources.benchmarks.places import Place
from cauldron.sources.benchmarks.selection import Selection, select
from cauldron.sources.benchmarks.tables import Table, columns_of, cut, named, survey
from cauldron.sources.benchmarks.tsv import TSV, read_tsv
from cauldron.sources.benchmarks.values import find_in, row_of
from cauldron.sources.formats.parquet import ParquetRow, read_parquet
from cauldron.sources.repos.files import FileInfo, Repo, Root
from cauldron.sources.values.rows import Find, RowProblem

from cauldron.core.errors import CauldronError

# Reading headers and footers is mostly waiting, so more threads than cores help.
_SURVEYORS = 8


@dataclass(frozen=True, kw_only=True)
class BenchmarkSource(Source):
    """A benchmark, under the name that the user gives it; it is not in the catalog.

    Attributes:
        place: where its files are.
    """

    place: Place
    _surveyed: list[Table] = field(default_factory=list, init=False, repr=False, compare=False)

    def selection(self) -> Selection:
        """The files to read. Raises UsageError, SourceUnavailable."""
        return select(self.place)

    def files(self, repo: Repo, options: Options) -> list[FileInfo]:
        return self.selection().files

    def pieces(self, root: Root, repo: Repo, options: Options, limit: int = -1) -> list[Piece]:
        """As in `Source.pieces`, but always all: a part of a benchmark protects little.

        Raises:
            CauldronError: no table has a column of pictures or of questions.
        """
        selected = self.selection()
        if selected.images:
            metadata = [file.path for file in selected.metadata]
            return image_pieces(self.name, repo, selected.images, metadata)
        tables = self._tables(repo, selected)
        readable = [table for table in tables if table.columns]
        wanted = [table for table in tables if table.reason or _used(table, tables)]
        if readable and all(table.reason for table in wanted):
            columns = named(dict.fromkeys(name for table in readable for name in table.columns))
            raise CauldronError(
                f"benchmark {self.name}: no column of {self.place.repo.id} holds pictures or "
                f"questions as it is published; its columns: {columns}"
            )
        with ThreadPoolExecutor(_SURVEYORS) as pool:
            found = pool.map(lambda table: cut(repo, table, self.name), wanted)
            return [piece for pieces in found for piece in pieces]

    def rows(
        self, root: Root, repo: Repo, piece: Piece, options: Options
    ) -> Iterator[Row | BadRow]:
        if piece.kind == IMAGES:
            return read_images(repo, piece, self.name)
        if piece.kind == TSV:
            return read_tsv(repo, piece, self.name, Roles.from_json(piece.detail))
        return self._read_parquet(repo, piece)

    def notes(self, repo: Repo, options: Options) -> list[str]:
        selected = self.selection()
        tables = self._tables(repo, selected)
        left = [t.file.path for t in tables if not t.reason and not _used(t, tables)]
        more = [f"not read, because no column holds pictures: {named(left)}"] if left else []
        return [*selected.notes, *more]

    def pictured(self, repo: Repo) -> bool:
        """Whether it is published with pictures, read or not."""
        selected = self.selection()
        if selected.images:
            return True
        return any(table.roles.images for table in self._tables(repo, selected))

    def _read_parquet(self, repo: Repo, piece: Piece) -> Iterator[Row | BadRow]:
        roles = Roles.from_json(piece.detail)
        find = find_in(repo, piece.file)
        for row in read_parquet(repo, piece, columns_of(roles)):
            yield row if isinstance(row, BadRow) else self._outcome(row, roles, find)

    def _outcome(self, row: ParquetRow, roles: Roles, find: Find) -> Row | BadRow:
        try:
            return row_of(row.values, roles, row.origin, self.name, find)
        except RowProblem as problem:
            return problem.bad_row(row.origin)

    def _tables(self, repo: Repo, selected: Selection) -> list[Table]:
        """The tables with the roles of their columns; surveyed once."""
        if not self._surveyed:
            layout = known_layout(self.name)
            with ThreadPoolExecutor(_SURVEYORS) as pool:
                found = pool.map(lambda file: survey(repo, file, layout), selected.tables)
                self._surveyed.extend(found)
        return self._surveyed


def _used(table: Table, tables: list[Table]) -> bool:
    """Whether a table is read: it has pictures, or no table has any and it has questions."""
    if any(other.roles.images for other in tables):
        return bool(table.roles.images)
    return bool(table.roles.question)
