"""CLEVR-Math in the Cauldron: 70,000 rows of text whose images are only paths.

A path ends in the file name of a CLEVR image, ``CLEVR_train_000123.png``. The configuration
``clevr`` ships those images with the same names, so the rows are joined to them. The images are
13 GB and the rows 2 MB; therefore a piece is a run of ``clevr``'s row groups, streamed once, and
yields the rows that ask for an image in it. If ``clevr`` has a name twice, the first counts. A row
with bytes of its own uses those. One more piece yields the rest: rows that cannot be used, rows
with bytes of their own, and rows whose image is not in ``clevr`` or that find no ``clevr`` under
the root (``image_not_shipped``).

Planning reads the rows and the names (not the images) of ``clevr``, about 20 MB.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from cauldron.sources import base
from cauldron.sources.base import BadRow, Options, Piece, Row
from cauldron.sources.formats.parquet import ParquetRow, parquet_pieces, read_parquet
from cauldron.sources.formats.parquet_files import Columns
from cauldron.sources.formats.parquet_source import split_shards
from cauldron.sources.formats.shards import Missing, Shards
from cauldron.sources.repos.files import FileInfo, Repo, Root
from cauldron.sources.the_cauldron.names import names_by_group
from cauldron.sources.the_cauldron.reader import COLUMNS, TheCauldron
from cauldron.sources.values.images import base_name
from cauldron.sources.values.rows import RowProblem, image_of, turns_of

from cauldron.core.schema import Origin

JOIN = "join"
REST = "rest"
_CLEVR = "clevr"
_IMAGES = Columns(("images",))
# Every join piece reads all rows of clevr_math, so it takes more images than other pieces.
_JOIN_PIECES = 4
_READERS = 8


class _Claim(NamedTuple):
    """What a row group of clevr is read for.

    Attributes:
        size: compressed bytes of its images.
        names: wanted images whose first place is here.
        taken: wanted images that are here but also in an earlier row group.
    """

    file: str
    group: int
    size: int
    names: set[str]
    taken: set[str]


@dataclass(frozen=True, kw_only=True)
class ClevrMath(TheCauldron):
    """CLEVR-Math, joined to the images of CLEVR; takes no options."""

    def files(self, repo: Repo, options: Options) -> list[FileInfo]:
        self.settled(options)
        found = self.shards(repo, options).files + _clevr(repo).files
        return sorted(found, key=lambda file: file.path)

    def notes(self, repo: Repo, options: Options) -> list[str]:
        return [*super().notes(repo, options), *_clevr_notes(_clevr(repo))]

    def pieces(self, root: Root, repo: Repo, options: Options, limit: int = -1) -> list[Piece]:
        options = self.settled(options)
        planned = self._published_pieces(repo, limit)
        readable = [piece for piece in planned if not piece.reason]
        pieces = [piece for piece in planned if piece.reason]
        if readable:
            size = sum(piece.size for piece in readable)
            pieces.append(Piece(self.name, self.config, REST, size=size, limit=limit))
            wanted = {name for row in self._published(repo, limit) if (name := _wanted_name(row))}
            pieces += self._joins(_claims(repo, wanted, in_parallel=limit < 0), limit)
        return pieces

    def rows(
        self, root: Root, repo: Repo, piece: Piece, options: Options
    ) -> Iterator[Row | BadRow]:
        if piece.kind == REST:
            return self._rest(repo, piece, options)
        return self._join(repo, piece)

    def _joins(self, claims: list[_Claim], limit: int) -> Iterator[Piece]:
        """A piece for each run of adjoining row groups that hold a wanted image."""
        run: list[_Claim] = []
        for claim in claims:
            if run and not _follows(run, claim):
                yield self._join_piece(run, limit)
                run = []
            run.append(claim)
        if run:
            yield self._join_piece(run, limit)

    def _join_piece(self, run: list[_Claim], limit: int) -> Piece:
        start, stop = run[0].group, run[-1].group + 1
        taken = {name for claim in run for name in claim.taken}
        taken -= {name for claim in run for name in claim.names}
        return Piece(self.name, run[0].file, JOIN, start, stop, limit=limit)._replace(
            size=sum(claim.size for claim in run),
            detail=json.dumps(sorted(taken)) if taken else "",
        )

    def _join(self, repo: Repo, piece: Piece) -> Iterator[Row | BadRow]:
        groups = names_by_group(repo, piece.file, piece.start, piece.stop)
        names = dict(numbered for group in groups for numbered in group.numbered())
        taken = set(json.loads(piece.detail)) if piece.detail else set()
        here = {name for row in names.values() for name in row} - taken
        wanted: dict[str, list[ParquetRow]] = {}
        for row in self._published(repo, piece.limit):
            if isinstance(row, ParquetRow) and (name := _wanted_name(row)) in here:
                wanted.setdefault(name, []).append(row)
        wanted.pop("", None)
        lost = BadRow(Origin(file=piece.file), "unreadable_row_group", "it ends early")
        for found in read_parquet(repo, piece._replace(limit=-1), _IMAGES):
            lost = found if isinstance(found, BadRow) else lost
            for number, name in enumerate(names.get(found.origin.row, [])):
                for row in wanted.pop(name, []):
                    yield self._joined(row, found, number)
        for rows in wanted.values():
            yield from (self._joined(row, lost, 0) for row in rows)

    def _joined(self, row: ParquetRow, found: ParquetRow | BadRow, number: int) -> Row | BadRow:
        if isinstance(found, BadRow):
            message = f"its image is in {found.origin.file}: {found.message}"
            return BadRow(row.origin, found.reason, message)
        try:
            image = image_of(found.values["images"][number], number)
            return Row(row.origin, [image], turns_of(row.values["texts"], self.name))
        except RowProblem as problem:
            return problem.bad_row(row.origin)

    def _rest(self, repo: Repo, piece: Piece, options: Options) -> Iterator[Row | BadRow]:
        published = self._published(repo, piece.limit)
        wanted = {name for row in published if (name := _wanted_name(row))}
        claims = _claims(repo, wanted, in_parallel=piece.limit < 0)
        claimed = {name for claim in claims for name in claim.names}
        why = "clevr has no image" if _clevr(repo).files else "clevr is not there, which has image"
        for row in self._published(repo, piece.limit):
            name = _wanted_name(row)
            if isinstance(row, BadRow):
                yield row
            elif not name:
                yield self.outcome(row, options)
            elif name not in claimed:
                yield BadRow(row.origin, "image_not_shipped", f"{why} {name!r}")

    def _published_pieces(self, repo: Repo, limit: int) -> list[Piece]:
        shards = self.shards(repo, {})
        return parquet_pieces(self.name, repo, shards, COLUMNS, limit)

    def _published(self, repo: Repo, limit: int) -> Iterator[ParquetRow | BadRow]:
        """The rows of clevr_math itself, in file order, without files that cannot be read."""
        for piece in self._published_pieces(repo, limit):
            if not piece.reason:
                yield from read_parquet(repo, piece, COLUMNS)


def _wanted_name(row: ParquetRow | BadRow) -> str:
    """The name of the one image that a row wants from clevr, "" for a row that wants none."""
    images = row.values["images"] if isinstance(row, ParquetRow) else None
    if not isinstance(images, list) or len(images) != 1 or not isinstance(images[0], dict):
        return ""
    data, path = images[0].get("bytes"), images[0].get("path")
    if data is not None or not isinstance(path, str) or not path:
        return ""
    try:
        return base_name(path)
    except RowProblem:
        return ""


def _clevr(repo: Repo) -> Shards:
    return split_shards(repo.list(_CLEVR), _CLEVR, "train")


def _clevr_notes(clevr: Shards) -> list[str]:
    missing = [name for slot in clevr.slots if isinstance(slot, Missing) for name in slot.names()]
    if not clevr.files:
        return [f"{_CLEVR} is not there, whose images are needed"]
    lacking = [f"{len(missing)} shards of {_CLEVR}, whose images are needed, are missing"]
    return [*clevr.notes, *(lacking if missing else [])]


def _claims(repo: Repo, wanted: set[str], in_parallel: bool) -> list[_Claim]:
    """The row groups of clevr in which a wanted name comes first, in file order."""
    files = _clevr(repo).files
    with ThreadPoolExecutor(_READERS) as pool:
        each = pool.map if in_parallel else map
        every = each(lambda file: names_by_group(repo, file.path), files)
        claims = []
        left = set(wanted)
        for file, groups in zip(files, every, strict=False):
            for number, group in enumerate(groups):
                there = {name for row in group.rows for name in row} & wanted
                if fresh := there & left:
                    claims.append(_Claim(file.path, number, group.size, fresh, there - fresh))
                    left -= fresh
            if not left:
                break
    return claims


def _follows(run: list[_Claim], claim: _Claim) -> bool:
    """Whether a row group goes into the same piece as the run before it."""
    last = run[-1]
    size = sum(item.size for item in run) + claim.size
    adjoins = (claim.file, claim.group) == (last.file, last.group + 1)
    return adjoins and size <= _JOIN_PIECES * base.PIECE_BYTES
