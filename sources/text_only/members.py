"""A zip of JSON files, one row each: pieces are runs of members in the order of the archive.

In that order a run is one range of the file, so it takes one request over a network.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from cauldron.sources.base import BadRow, Piece
from cauldron.sources.formats.archives import ArchiveError, Zip, members_of, open_zip, read_member
from cauldron.sources.formats.jsonlines import JsonError, JsonRow, kind_of, parse_json
from cauldron.sources.repos.files import FileInfo, Repo

from cauldron.core.schema import Origin

MEMBERS = "zip_members"
# Compressed bytes of a piece: small, because the cost is per member rather than per byte.
_RUN_BYTES = 8 * 1024 * 1024
_RUN_MEMBERS = 10_000
_MAX_MEMBER = 16 * 1024 * 1024
_HEADERS = 8192  # more than the headers of one member take


def zip_pieces(source: str, repo: Repo, file: FileInfo, limit: int = -1) -> list[Piece]:
    """Pieces of the zip, at most `limit` rows in all (-1: all)."""
    try:
        with repo.open(file.path) as stream:
            archive = open_zip(stream)
            sizes = [member.compress_size for member in _rows_in(archive)]
    except ArchiveError as error:
        return [Piece(source, file.path, MEMBERS, reason=error.reason, message=error.message)]
    if limit >= 0:
        sizes = sizes[:limit]
    return [
        Piece(source, file.path, MEMBERS, start, stop, sum(sizes[start:stop]), limit=stop - start)
        for start, stop in _runs(sizes)
    ]


def _runs(sizes: list[int]) -> Iterator[tuple[int, int]]:
    start = held = 0
    for number, size in enumerate(sizes):
        if number > start and (held + size > _RUN_BYTES or number - start == _RUN_MEMBERS):
            yield start, number
            start, held = number, 0
        held += size
    if sizes:
        yield start, len(sizes)


def read_zip(repo: Repo, piece: Piece) -> Iterator[JsonRow | BadRow]:
    """The rows of a piece made by `zip_pieces`; `origin.row` counts members, the key names one."""
    with repo.open(piece.file) as stream:
        try:
            archive = open_zip(stream)
        except ArchiveError as error:
            yield BadRow(Origin(file=piece.file), error.reason, error.message)
            return
        members = _rows_in(archive)[piece.start : piece.stop]
        _prefetch(stream, members)
        for number, member in enumerate(members, piece.start):
            origin = Origin(file=piece.file, row=number, key=member.filename)
            yield _row_of(archive, member, origin)


def _row_of(archive: Zip, member: zipfile.ZipInfo, origin: Origin) -> JsonRow | BadRow:
    try:
        value = parse_json(read_member(archive, member, _MAX_MEMBER))
    except ArchiveError as error:
        return BadRow(origin, error.reason, error.message)
    except JsonError as error:
        return BadRow(origin, "bad_json", str(error))
    if not isinstance(value, dict):
        return BadRow(origin, "bad_row", f"the member holds {kind_of(value)}, not an object")
    return JsonRow(origin, value)


def _rows_in(archive: Zip) -> list[zipfile.ZipInfo]:
    """Members that are rows, without the files that file managers add to an archive."""
    return [
        member
        for member in members_of(archive)
        if member.filename.endswith(".json")
        and not member.filename.startswith("__MACOSX/")
        and not PurePosixPath(member.filename).name.startswith(".")
    ]


def _prefetch(stream: BinaryIO, members: list[zipfile.ZipInfo]) -> None:
    prefetch = getattr(stream, "prefetch", None)
    if prefetch is None or not members:
        return
    first, last = members[0], members[-1]
    length = last.header_offset + last.compress_size + _HEADERS - first.header_offset
    # If other files are in between, members are fetched one by one instead.
    if length <= 2 * _RUN_BYTES:
        stream.seek(first.header_offset)
        prefetch(length)
