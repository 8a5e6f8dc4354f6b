"""The reader of all text-only sets: finds the files and reads each by its format."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from cauldron.sources.base import BadRow, Options, Piece, Row, Source
from cauldron.sources.formats.jsonio import EXTENSIONS, json_pieces, read_json
from cauldron.sources.formats.jsonlines import JsonRow
from cauldron.sources.formats.parquet import (
    PARQUET,
    ParquetRow,
    parquet_pieces,
    read_parquet,
)
from cauldron.sources.formats.parquet_files import Columns
from cauldron.sources.formats.shards import choose_shards
from cauldron.sources.repos.files import FileInfo, Repo, Root
from cauldron.sources.text_only.layouts import Layout
from cauldron.sources.text_only.members import MEMBERS, read_zip, zip_pieces
from cauldron.sources.values.conversations import key_of
from cauldron.sources.values.rows import RowProblem

from cauldron.core.errors import SourceUnavailable
from cauldron.core.schema import Origin

# Files of copies of a set: those that `push_to_hub` and the hub's own conversion write, then any
# parquet or JSON file.
MIRRORS = (
    "data/train-*.parquet",
    "default/train/*.parquet",
    "*train*.parquet",
    "*.parquet",
    "*train*.jsonl",
    "*.jsonl",
    "*.json",
)
# Rows held out for testing are not training data, and card files have no rows.
_OTHER_SPLIT = re.compile(r"(^|[-_./])(test|val|valid|validation|eval|dev)([-_./]|$)", re.I)
_CARD = re.compile(r"(^|/)(dataset_infos?|config|state|package(-lock)?)\.json$")


@dataclass(frozen=True, kw_only=True)
class TextOnly(Source):
    """A set of conversations without images. Sets of chats have the option ``system_prompts``.

    Attributes:
        layout: where a row has its conversation.
        published: patterns of the publisher's file names, tried before those of `MIRRORS`; the
            first pattern that any file matches decides.
    """

    layout: Layout
    published: tuple[str, ...]
    ships_images: bool | None = None

    def files(self, repo: Repo, options: Options) -> list[FileInfo]:
        self.settled(options)
        found = self._found(repo)
        return choose_shards(found).files if _is_parquet(found[0]) else found

    def notes(self, repo: Repo, options: Options) -> list[str]:
        found = self._found(repo)
        return list(choose_shards(found).notes) if _is_parquet(found[0]) else []

    def _found(self, repo: Repo) -> list[FileInfo]:
        """The files of the first pattern that any file matches, all of one format."""
        there = [
            file
            for file in repo.list()
            if not _OTHER_SPLIT.search(file.path) and not _CARD.search(file.path)
        ]
        for pattern in self.published + MIRRORS:
            found = [file for file in there if fnmatchcase(file.path, pattern)]
            if found:
                return found
        wanted = self.published[0]
        raise SourceUnavailable(self.repo, f"no {wanted}", "put the files there as published")

    def pieces(self, root: Root, repo: Repo, options: Options, limit: int = -1) -> list[Piece]:
        files = self.files(repo, options)
        if _is_parquet(files[0]):
            return parquet_pieces(self.name, repo, choose_shards(files), self._columns, limit)
        pieces: list[Piece] = []
        for file in files:
            cut = json_pieces if file.path.endswith(EXTENSIONS) else zip_pieces
            found = cut(self.name, repo, file, limit)
            pieces += found
            if limit >= 0:
                limit -= sum(max(piece.limit, 0) for piece in found)
                if limit <= 0:
                    break
        return pieces

    def rows(
        self, root: Root, repo: Repo, piece: Piece, options: Options
    ) -> Iterator[Row | BadRow]:
        for item in self._items(repo, piece):
            if isinstance(item, BadRow):
                yield item
            elif isinstance(item, JsonRow):
                yield self._row(item.origin, item.value, options)
            else:
                yield self._row(item.origin, item.values, options)

    def _items(self, repo: Repo, piece: Piece) -> Iterator[JsonRow | ParquetRow | BadRow]:
        if piece.kind == PARQUET:
            return read_parquet(repo, piece, self._columns)
        if piece.kind == MEMBERS:
            return read_zip(repo, piece)
        return read_json(repo, piece, self.layout.names)

    @property
    def _columns(self) -> Columns:
        return Columns(required=(), optional=self.layout.columns)

    def _row(self, origin: Origin, values: Mapping[str, Any], options: Options) -> Row | BadRow:
        try:
            system, turns = self.layout.conversation(values, self.name)
        except RowProblem as problem:
            return problem.bad_row(origin)
        if not origin.key and (key := key_of(values.get("id"))):
            origin = origin.model_copy(update={"key": key})
        return Row(origin, [], turns, system if options.get("system_prompts") else None)


def _is_parquet(file: FileInfo) -> bool:
    return file.path.endswith(".parquet")
