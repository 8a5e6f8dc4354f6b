"""IIW-400: 400 photographs with descriptions by people, long and checked (Google, ImageInWords).

Where: ``google/imageinwords``, ``datasets/IIW-400/data.jsonl``, 980 kB, as in the project's
repository on GitHub; the hub's repository of that name holds a loading script and no data.
Licence: CC-BY-4.0.

The images are not in it. They belong to DOCCI-AAR:
https://storage.googleapis.com/docci/data/docci_images_aar.tar.gz with members
``images_aar/<key>.jpg``. Option ``docci_images`` says where that file, a tar or zip of the same
members, or a folder of them is: an absolute path or URL, or a path relative to the root. The
default is ``docci/docci_images_aar.tar.gz``, if it is there. Without images every row is
``image_not_shipped``.

A row is ``{"image/key", "IIW", "objects", …}``: the answer is ``IIW``; the other captions and
ratings, present in 100 rows only, are not used. The question is one of 20 requests for a
detailed description, drawn by a hash of the key: the data has none (the authors of Idefics3 drew
from 20 as well, at random).

A tar cannot be read by range. So it is read once, from start to end, while the rows (1 MB) are held
in memory; rows come in the tar's order. There is one piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, ClassVar, NamedTuple

from cauldron.sources.base import BadRow, Options, Piece, RawImage, RawTurn, Row
from cauldron.sources.formats.archives import (
    ArchiveError,
    Member,
    iter_tar,
    member_names,
    open_zip,
    read_member,
)
from cauldron.sources.formats.jsonio import json_pieces, read_json
from cauldron.sources.formats.jsonlines import JsonRow
from cauldron.sources.repos.files import FileInfo, Repo, Root, is_inside
from cauldron.sources.repos.folders import is_folder, list_at, open_at
from cauldron.sources.values.conversations import text_of
from cauldron.sources.values.images import MAX_IMAGE_BYTES, ImagesElsewhere
from cauldron.sources.values.prompts import draw
from cauldron.sources.values.rows import RowProblem

from cauldron.core import storage
from cauldron.core.errors import SourceUnavailable
from cauldron.core.schema import Origin

PATHS = ("datasets/IIW-400/data.jsonl", "IIW-400/data.jsonl", "data.jsonl")
DEFAULT_IMAGES = "docci/docci_images_aar.tar.gz"

PROMPTS = (
    "Describe this photo down to its smallest details.",
    "Write a detailed description of the image.",
    "What can be seen here? Leave nothing out.",
    "Give a full account of this picture: objects, colours, positions, background.",
    "Describe the scene so that someone who cannot see it could picture it.",
    "Go through the image and describe each part of it.",
    "Please describe this image at length.",
    "I would like a long and precise description of this photograph.",
    "Tell me everything that the picture shows.",
    "Write an exhaustive caption for this image.",
    "Describe what is in the foreground, in the middle and in the background.",
    "Put this picture into words as completely as you can.",
    "Look closely at the image and report all you notice.",
    "Provide a careful, detailed description of the photo.",
    "Describe the setting, the objects and how they relate to each other.",
    "Compose a paragraph that captures every visible detail of this image.",
    "How would you describe this photograph in full detail?",
    "Explain in detail what this picture contains.",
    "Write a rich description of the image, including textures, light and text, if any.",
    "Describe the picture thoroughly, from the main subject to minor details.",
)

_NAMES = ("image/key", "IIW")


class _Waiting(NamedTuple):
    """A row whose image has not been read yet."""

    origin: Origin
    turn: RawTurn


@dataclass(frozen=True)
class Iiw400(ImagesElsewhere):
    """IIW-400. Option ``docci_images``: a folder, tar, tar.gz or zip of the images."""

    images_option: ClassVar[str] = "docci_images"

    def files(self, repo: Repo, options: Options) -> list[FileInfo]:
        self.settled(options)
        there = {file.path: file for file in repo.list()}
        found = [there[path] for path in PATHS if path in there]
        if not found:
            remedy = f"put the project's {PATHS[0]} there"
            raise SourceUnavailable(self.repo, f"no {PATHS[0]}", remedy)
        return found[:1]

    def pieces(self, root: Root, repo: Repo, options: Options, limit: int = -1) -> list[Piece]:
        file = self.files(repo, options)[0]
        extra = sum(info.size for info in self.extra_files(root, options))
        pieces = json_pieces(self.name, repo, file, limit, max(1, file.size))
        return [piece._replace(size=piece.size + extra) for piece in pieces]

    def rows(
        self, root: Root, repo: Repo, piece: Piece, options: Options
    ) -> Iterator[Row | BadRow]:
        waiting: dict[str, list[_Waiting]] = {}
        for item in read_json(repo, piece, _NAMES):
            row = _waiting(item, self.name) if isinstance(item, JsonRow) else item
            if isinstance(row, BadRow):
                yield row
            else:
                waiting.setdefault(f"{row.origin.key}.jpg", []).append(row)
        yield from _join(waiting, self.images_at(root, options))


def _waiting(item: JsonRow, source: str) -> _Waiting | BadRow:
    try:
        key = text_of(item.value.get("image/key"))
        if not key or "IIW" not in item.value:
            raise RowProblem("bad_row", "no image/key or no IIW")
        answer = text_of(item.value["IIW"])
    except RowProblem as problem:
        return problem.bad_row(item.origin)
    origin = item.origin.model_copy(update={"key": key})
    if not is_inside(key) or "/" in key:
        return BadRow(origin, "unsafe_member", f"the row asks for image {key[:200]!r}")
    return _Waiting(origin, RawTurn(draw(PROMPTS, key), answer, source))


def _join(waiting: dict[str, list[_Waiting]], location: str | None) -> Iterator[Row | BadRow]:
    """Rows with the images at `location`, then the rows without one."""
    why = ArchiveError("image_not_shipped", "the images are DOCCI's: option docci_images")
    if location is not None:
        why = ArchiveError("image_not_shipped", f"{location} does not have it")
        try:
            for member in _members(location, frozenset(waiting)):
                for row in waiting.pop(PurePosixPath(member.name).name, []):
                    yield _joined(row, member)
                if not waiting:
                    return
        except ArchiveError as error:
            why = error
    for rows in waiting.values():
        for row in rows:
            yield why.bad_row(row.origin)


def _joined(row: _Waiting, member: Member) -> Row | BadRow:
    if member.error:
        return member.error.bad_row(row.origin)
    return Row(row.origin, [RawImage(member.data, member.name)], [row.turn])


def _members(location: str, names: frozenset[str]) -> Iterator[Member]:
    """The members with one of these file names, in a folder, zip or tar. Raises ArchiveError."""
    if is_folder(location):
        yield from _folder_members(location, names)
        return
    with open_at(location) as file:
        is_zip = file.read(2) == b"PK"
        file.seek(0)
        if is_zip:
            yield from _zip_members(file, names)
        else:
            yield from iter_tar(file, MAX_IMAGE_BYTES, lambda name: _base(name) in names)


def _folder_members(location: str, names: frozenset[str]) -> Iterator[Member]:
    for info in list_at(location):
        if _base(info.path) in names:
            if info.size > MAX_IMAGE_BYTES:
                message = f"{info.path} has {info.size} bytes, more than {MAX_IMAGE_BYTES}"
                yield Member(info.path, b"", ArchiveError("member_too_large", message))
                continue
            with open_at(storage.join(location, info.path)) as file:
                yield Member(info.path, file.read())


def _zip_members(file: BinaryIO, names: frozenset[str]) -> Iterator[Member]:
    archive = open_zip(file)
    for name in member_names(archive):
        if _base(name) in names:
            try:
                yield Member(name, read_member(archive, name, MAX_IMAGE_BYTES))
            except ArchiveError as error:
                yield Member(name, b"", error)


def _base(path: str) -> str:
    return PurePosixPath(path).name


SOURCE = Iiw400(
    name="iiw_400",
    repo="google/imageinwords",
    title="IIW-400: photographs described in detail by people",
    license="cc-by-4.0",
    published_rows=400,
    published_bytes=980_175,
    ships_images=False,
    default_options={"docci_images": DEFAULT_IMAGES},
)
