"""VLMEvalKit's TSV files: one benchmark, one file, pictures as base64 text in its rows.

A row may have another row's index instead of a picture (MMBench asks each question four times and
stores the picture once). The picture is then read again from that row; only places are kept in
memory. Rows that refer to a later row come last.

A file is one piece, read by one worker: quotes may contain line ends, so a line can only be found
from the beginning of the file.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, NamedTuple

from cauldron.sources.base import BadRow, Piece, Row
from cauldron.sources.benchmarks.delimited import TAB, Record, read_records
from cauldron.sources.benchmarks.layouts import Roles
from cauldron.sources.benchmarks.values import find_in, row_of
from cauldron.sources.repos.files import Repo
from cauldron.sources.values.rows import RowProblem

from cauldron.core.schema import Origin

TSV = "tsv"
_IMAGE, _INDEX = "image", "index"
# VLMEvalKit's own rule: longer values are pictures, shorter ones indices. In characters.
_LONGEST_INDEX = 64


class TsvRow(NamedTuple):
    """A row as text by column."""

    origin: Origin
    values: dict[str, str]


def read_header(repo: Repo, path: str) -> list[str]:
    """The names of a table's columns; empty for a file without a line. Raises RowProblem."""
    with repo.open(path) as file:
        first = next(read_records(file, TAB), None)
    if first is None:
        return []
    if first.problem:
        raise RowProblem("unreadable_file", f"the first line is {first.problem}")
    return [name.decode("utf-8", "replace").strip() for name in first.fields]


def read_tsv(repo: Repo, piece: Piece, name: str, roles: Roles) -> Iterator[Row | BadRow]:
    """The rows of a file; `origin.row` counts them from 0, the first line not included."""
    find = find_in(repo, piece.file)
    for row in tsv_values(repo, piece.file, roles.columns, roles.images):
        if isinstance(row, BadRow):
            yield row
            continue
        try:
            yield row_of(row.values, roles, row.origin, name, find)
        except RowProblem as problem:
            yield problem.bad_row(row.origin)


def tsv_values(
    repo: Repo, path: str, columns: tuple[str, ...], images: tuple[str, ...]
) -> Iterator[TsvRow | BadRow]:
    """The rows of a file as text by column; `images` are those of `columns` that hold pictures."""
    with repo.open(path) as file, repo.open(path) as again:
        table = _Table(again, path, read_header(repo, path), columns, images)
        later: list[tuple[int, Record]] = []
        for number, record in enumerate(islice(read_records(file, TAB), 1, None)):
            if table.points_forward(record):
                later.append((number, record._replace(fields=[])))
            else:
                yield table.row(number, record)
        for number, record in later:
            yield table.row(number, table.read_again(record))


class _Table:
    """The columns of one file, and the places of rows with pictures of their own."""

    def __init__(
        self,
        file: BinaryIO,
        path: str,
        columns: list[str],
        wanted: tuple[str, ...],
        images: tuple[str, ...],
    ) -> None:
        self._file = file
        self._path = path
        self._columns = columns
        self._wanted = wanted
        self._images = images
        self._own: dict[bytes, Record] = {}

    def points_forward(self, record: Record) -> bool:
        """Whether the row uses the picture of a row that has not been read yet."""
        target = self._target(record)
        if not target:
            self._own.setdefault(self._field(record, _INDEX), record._replace(fields=[]))
        return bool(target) and target not in self._own

    def row(self, number: int, record: Record) -> TsvRow | BadRow:
        origin = Origin(file=self._path, row=number)
        try:
            values = self._values(record, self._wanted)
            target = self._target(record)
            if target:
                values |= self._values(self._row_of(target), self._images)
            return TsvRow(origin, values)
        except RowProblem as problem:
            return problem.bad_row(origin)

    def read_again(self, record: Record) -> Record:
        self._file.seek(record.offset)
        data = self._file.read(record.length)
        fields = next(read_records(io.BytesIO(data), TAB)).fields
        return record._replace(fields=fields)

    def _row_of(self, index: bytes) -> Record:
        if index not in self._own:
            what = f"it shows the picture of row {index.decode('utf-8', 'replace')!r}"
            raise RowProblem("missing_image", f"{what}, and there is no such row with one")
        return self.read_again(self._own[index])

    def _target(self, record: Record) -> bytes:
        """The index of the row whose picture this row uses, b"" if it has its own or none."""
        value = self._field(record, _IMAGE) if _IMAGE in self._images else b""
        if len(value) > _LONGEST_INDEX or value.startswith(b"[") or b"." in value:
            return b""
        is_own = value == self._field(record, _INDEX)
        return b"" if is_own or value.lower() == b"nan" else value

    def _field(self, record: Record, column: str) -> bytes:
        at = self._columns.index(column) if column in self._columns else len(record.fields)
        return record.fields[at].strip() if at < len(record.fields) else b""

    def _values(self, record: Record, columns: tuple[str, ...]) -> dict[str, str]:
        """Raises RowProblem: ``bad_row``."""
        where = f"the line at byte {record.offset}"
        if record.problem:
            raise RowProblem("bad_row", f"{where} is {record.problem}")
        if len(record.fields) > len(self._columns):
            count = f"{len(record.fields)} fields, the first line {len(self._columns)}"
            raise RowProblem("bad_row", f"{where} has {count}")
        pairs = zip(self._columns, record.fields, strict=False)
        try:
            return {name: field.decode() for name, field in pairs if name in columns}
        except UnicodeDecodeError as error:
            raise RowProblem("bad_row", f"{where} is not UTF-8 ({error.reason})") from error
