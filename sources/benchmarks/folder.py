"""A folder of image files, with or without ``metadata.jsonl`` or ``metadata.csv``.

The layout of ``datasets``' imagefolder: a metadata file is in a folder above the images and names
them relative to itself (``file_name``, ``file_names`` or any ``…_file_name``). Here every image is
a row, named or not, because every one can leak. Each line about an image is one of its turns.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple

from cauldron.sources import base
from cauldron.sources.base import BadRow, Piece, RawImage, RawTurn, Row
from cauldron.sources.benchmarks.delimited import COMMA, read_records
from cauldron.sources.benchmarks.layouts import Roles, roles_of, text_kinds
from cauldron.sources.benchmarks.values import first_text, no_question, text_of, turn_of
from cauldron.sources.formats.jsonlines import JsonRow, read_lines
from cauldron.sources.repos.files import FileInfo, Repo, is_inside
from cauldron.sources.values.images import read_image
from cauldron.sources.values.rows import RowProblem

from cauldron.core.schema import Origin

IMAGES = "images"
METADATA = ("metadata.jsonl", "metadata.csv")

# A piece lists its files, so that no worker lists the folder again.
_FILES_IN_A_PIECE = 1_000
# Reading small files is mostly waiting, so more threads than cores help.
_READERS = 8
_NAMED = 4


class Metadata(NamedTuple):
    """The content of a metadata file.

    Attributes:
        lines: its lines as values, by image path.
        broken: lines that cannot be read, or name no image.
    """

    lines: dict[str, list[dict[str, Any]]]
    broken: list[str]


def image_pieces(name: str, repo: Repo, images: list[FileInfo], metadata: list[str]) -> list[Piece]:
    """Pieces of a folder, and one for each kind of problem in its metadata."""
    pieces = []
    for run in _runs(images):
        paths = [file.path for file in run]
        above = [path for path in metadata if _is_above(path, paths)]
        detail = json.dumps({"images": paths, "metadata": above})
        size = sum(file.size for file in run)
        pieces.append(Piece(name, paths[0], IMAGES, size=size, detail=detail))
    there = {file.path for file in images}
    for path in metadata:
        found = read_metadata(repo, path)
        lost = sorted(found.lines.keys() - there)
        problems = (("missing_image", "no such file", lost), ("bad_row", "unread", found.broken))
        for reason, why, items in problems:
            if items:
                message = f"{why}: {', '.join(items[:_NAMED])}"[:300]
                problem = Piece(name, path, IMAGES, limit=len(items))
                pieces.append(problem._replace(reason=reason, message=message))
    return pieces


def _runs(images: list[FileInfo]) -> Iterator[list[FileInfo]]:
    run: list[FileInfo] = []
    size = 0
    for file in images:
        if run and (size + file.size > base.PIECE_BYTES or len(run) == _FILES_IN_A_PIECE):
            yield run
            run, size = [], 0
        run.append(file)
        size += file.size
    if run:
        yield run


def _is_above(metadata: str, paths: Iterable[str]) -> bool:
    folder = posixpath.dirname(metadata)
    return not folder or any(path.startswith(f"{folder}/") for path in paths)


def read_images(repo: Repo, piece: Piece, name: str) -> Iterator[Row | BadRow]:
    """A row for each image of a piece made by `image_pieces`."""
    detail = json.loads(piece.detail)
    found = [read_metadata(repo, path).lines for path in detail["metadata"]]

    def read(path: str) -> Row | BadRow:
        values = [line for lines in found for line in lines.get(path, [])]
        return _row(repo, path, values, name)

    with ThreadPoolExecutor(_READERS) as pool:
        yield from pool.map(read, detail["images"])


def _row(repo: Repo, path: str, lines: list[dict[str, Any]], name: str) -> Row | BadRow:
    roles = [_roles(values) for values in lines]
    keys = [text_of(line.get(role.key)) for line, role in zip(lines, roles, strict=True)]
    key = first_text(*keys, path)
    origin = Origin(file=path, key=key)
    try:
        image = RawImage(read_image(repo, path), path)
    except RowProblem as problem:
        return problem.bad_row(origin)
    turns = [turn_of(line, role, name, key) for line, role in zip(lines, roles, strict=True)]
    return Row(origin, [image], turns or [RawTurn(key, key, no_question(name))])


def _roles(values: Mapping[str, Any]) -> Roles:
    return roles_of(text_kinds(key for key in values if not _names_files(key)), "")


def read_metadata(repo: Repo, path: str) -> Metadata:
    """Read a metadata file."""
    found = Metadata({}, [])
    folder = posixpath.dirname(path)
    for values in _lines(repo, path):
        names = list(_file_names(values)) if isinstance(values, dict) else []
        if not names:
            found.broken.append(values if isinstance(values, str) else "a line that names no file")
        for name in names:
            plain = posixpath.normpath(posixpath.join(folder, name))
            if is_inside(name) and is_inside(plain):
                found.lines.setdefault(plain, []).append(values)  # type: ignore[arg-type]
            else:
                found.broken.append(f"{name[:100]!r} leads out of the folder")
    return found


def _lines(repo: Repo, path: str) -> Iterator[dict[str, Any] | str]:
    """The lines of a metadata file as values, or as text if one cannot be read."""
    with repo.open(path) as file:
        if path.endswith(".jsonl"):
            for line in read_lines(file, path):
                yield line.value if isinstance(line, JsonRow) else line.message
            return
        records = read_records(file, COMMA)
        columns = [_text(item) for record in islice(records, 1) for item in record.fields]
        for record in records:
            if record.problem or len(record.fields) > len(columns):
                yield f"the line at byte {record.offset}"
            else:
                yield dict(zip(columns, map(_text, record.fields), strict=False))


def _text(field: bytes) -> str:
    return field.decode("utf-8", "replace")


def _names_files(column: str) -> bool:
    return column.endswith(("file_name", "file_names"))


def _file_names(values: Mapping[str, Any]) -> Iterator[str]:
    for column, value in values.items():
        if _names_files(column):
            names = value if isinstance(value, list) else [value]
            yield from (name for name in names if isinstance(name, str) and name)
