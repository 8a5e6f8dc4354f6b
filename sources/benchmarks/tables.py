"""A benchmark's tables before they are read: their columns and the role of each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pyarrow.parquet as pq
from cauldron.sources.base import Piece
from cauldron.sources.benchmarks.layouts import (
    IMAGE_COLUMNS,
    Roles,
    parquet_kinds,
    roles_of,
    text_kinds,
)
from cauldron.sources.benchmarks.tsv import TSV, read_header
from cauldron.sources.formats.parquet import parquet_pieces
from cauldron.sources.formats.parquet_files import Columns, ParquetError, unreadable
from cauldron.sources.formats.shards import Shards
from cauldron.sources.repos.files import FileInfo, Repo
from cauldron.sources.values.rows import RowProblem

_COLUMNS_NAMED = 20


class Table(NamedTuple):
    """A table whose header or footer has been read.

    Attributes:
        columns: their names, in order.
        reason, message: why it cannot be read, if so.
    """

    file: FileInfo
    columns: tuple[str, ...] = ()
    roles: Roles = Roles()
    reason: str = ""
    message: str = ""


def survey(repo: Repo, file: FileInfo, layout: str) -> Table:
    """Read a table's footer or first line."""
    try:
        kinds = _kinds(repo, file.path)
    except (ParquetError, RowProblem) as problem:
        return Table(file, reason=problem.reason, message=problem.message)
    roles = roles_of(kinds, layout)
    table = Table(file, tuple(kinds), roles)
    if roles.images or not layout:
        return table
    wanted = ", ".join(IMAGE_COLUMNS[layout])
    message = f"it has no column {wanted}; its columns: {named(kinds)}"
    return table._replace(reason="wrong_columns", message=message)


def _kinds(repo: Repo, path: str) -> dict[str, str]:
    """Raises ParquetError, RowProblem: ``unreadable_file``."""
    if _is_tsv(path):
        columns = read_header(repo, path)
        if not columns:
            raise RowProblem("unreadable_file", "the file is empty")
        return text_kinds(columns)
    with repo.open(path) as stream:
        try:
            schema = pq.read_schema(stream)
        except Exception as error:
            raise unreadable(error) from error
    return parquet_kinds(schema)


def _is_tsv(path: str) -> bool:
    return path.lower().endswith(".tsv")


def cut(repo: Repo, table: Table, source: str) -> list[Piece]:
    """The pieces of a table."""
    file, roles = table.file, table.roles
    if table.reason:
        piece = Piece(source, file.path, TSV, size=file.size)
        return [piece._replace(reason=table.reason, message=table.message)]
    if _is_tsv(file.path):
        return [Piece(source, file.path, TSV, size=file.size, detail=roles.to_json())]
    pieces = parquet_pieces(source, repo, Shards((file,)), columns_of(roles))
    return [piece._replace(detail=roles.to_json()) for piece in pieces]


def columns_of(roles: Roles) -> Columns:
    texts = tuple(name for name in roles.columns if name not in roles.images)
    return Columns(roles.images, texts)


def named(columns: Iterable[str]) -> str:
    """The names of columns, for a message."""
    listed = list(columns)
    more = [f"{len(listed) - _COLUMNS_NAMED} more"] if len(listed) > _COLUMNS_NAMED else []
    return ", ".join([*listed[:_COLUMNS_NAMED], *more]) or "none"
