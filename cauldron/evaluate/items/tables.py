"""The tables of a benchmark's split, and their rows as values by column."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from cauldron.core.errors import SourceUnavailable
from cauldron.core.schema import Origin
from cauldron.evaluate.items.layouts import Layout
from cauldron.sources.base import BadRow
from cauldron.sources.benchmarks import Place
from cauldron.sources.benchmarks.layouts import Roles
from cauldron.sources.benchmarks.selection import TABLE_SUFFIXES
from cauldron.sources.benchmarks.tables import survey
from cauldron.sources.benchmarks.tsv import tsv_values
from cauldron.sources.formats.parquet import parquet_pieces, read_parquet
from cauldron.sources.formats.parquet_files import Columns
from cauldron.sources.formats.shards import Missing, choose_shards
from cauldron.sources.repos.files import FileInfo

# A split as file names spell it.
_VALIDATION = {"validation", "val", "valid"}
_SPELLINGS = {"validation": _VALIDATION, "val": _VALIDATION, "test": {"test"}, "dev": {"dev"}}
_NUMBERED = re.compile(r"-\d{5}-of-\d{5}")
_SPLIT = "split"
_NAMED = 6


class TableRow(NamedTuple):
    """A row of a table.

    Attributes:
        roles: the role of each column of the table.
    """

    origin: Origin
    values: dict[str, Any]
    roles: Roles


def read_tables(name: str, layout: Layout, place: Place) -> Iterator[TableRow | BadRow]:
    """The rows of the split, file by file.

    Raises:
        SourceUnavailable: the split is not there, or a shard of it is missing.
    """
    for file in split_files(layout, place):
        table = survey(place.repo, file, name)
        if table.reason:
            yield BadRow(Origin(file=file.path), table.reason, table.message)
            continue
        roles = table.roles
        more = tuple(c for c in (*layout.columns, _SPLIT) if c in table.columns)
        wanted = tuple(dict.fromkeys((*roles.columns, *more)))
        if file.path.lower().endswith(".tsv"):
            rows: Iterator[Any] = tsv_values(place.repo, file.path, wanted, roles.images)
        else:
            rows = _parquet(name, place, file, roles, wanted)
        for row in rows:
            if isinstance(row, BadRow):
                yield row
            elif _is_in(layout.split, row.values.get(_SPLIT)):
                yield TableRow(row.origin, row.values, roles)


def _parquet(
    name: str, place: Place, file: FileInfo, roles: Roles, wanted: tuple[str, ...]
) -> Iterator[Any]:
    columns = Columns(roles.images, tuple(c for c in wanted if c not in roles.images))
    for piece in parquet_pieces(name, place.repo, choose_shards([file]), columns):
        if piece.reason:
            yield BadRow(Origin(file=piece.file), piece.reason, piece.message)
        else:
            yield from read_parquet(place.repo, piece, columns)


def split_files(layout: Layout, place: Place) -> list[FileInfo]:
    """The tables of the split: parquet if there is any, else TSV; each shard once.

    Raises:
        SourceUnavailable: as for `read_tables`.
    """
    there = [file for file in place.files() if file.path.lower().endswith(TABLE_SUFFIXES)]
    inside = [file for file in there if layout.config in PurePosixPath(file.path).parts[:-1]]
    tables = inside or there
    if not place.only:
        tables = [file for file in tables if _is_of(layout.split, file.path)]
    if not tables:
        names = ", ".join(file.path for file in there[:_NAMED]) or "no parquet or TSV file"
        why = f"it has no {layout.split} split ({names})"
        raise SourceUnavailable(place.repo.id, why, "complete the download, or name one file")
    parquet = [file for file in tables if file.path.lower().endswith(".parquet")]
    numbered = [file for file in parquet if _NUMBERED.search(file.path)]
    shards = choose_shards(numbered)
    missing = [name for slot in shards.slots if isinstance(slot, Missing) for name in slot.names()]
    if missing and not place.only:
        why = f"{len(missing)} shards are missing ({', '.join(missing[:_NAMED])})"
        raise SourceUnavailable(place.repo.id, why, "complete the download")
    plain = [file for file in parquet or tables if file not in numbered]
    return sorted([*(numbered if place.only else shards.files), *plain], key=lambda f: f.path)


def _is_of(split: str, path: str) -> bool:
    """Whether a file is of a split, by its own name or that of its folder. A file whose name holds
    no split is of every split: VLMEvalKit's files and MMStar's."""
    *folders, name = PurePosixPath(path.lower()).parts
    first = re.split(r"[^a-z]+", name, maxsplit=1)[0]
    named = {first, *folders[-1:]} & _ANY_SPLIT
    return not named or bool(named & _SPELLINGS.get(split, {split}))


def _is_in(split: str, said: Any) -> bool:
    """Whether a row is of a split; VLMEvalKit's file of MMMU holds two and has a column for it."""
    return said not in _ANY_SPLIT or said in _SPELLINGS.get(split, {split})


_ANY_SPLIT = {"train", "validation", "val", "valid", "test", "testmini", "dev"}
