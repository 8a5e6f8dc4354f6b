"""ShareGPT-4o: photographs with long descriptions by GPT-4o (OpenGVLab).

Where: ``OpenGVLab/ShareGPT-4o``, ``image_conversations/gpt-4o.jsonl`` and ``images.zip``. The hub
asks for accepted terms. Licence: MIT. Size: 57,289 rows, about 6.5 GB, nearly all of it
``images.zip``; the authors of Idefics3 kept 57,259 (their filter is a rule of the recipe).

A row is ``{image, width, height, conversations: [{from: human|gpt, value}]}``; ``image`` is a bare
file name. Quirks handled here:

- Members are under the annotators' own path, ``mnt/petrelfs/wangwenhai/workspace_cef/4o/image/…``.
  Repacked archives with another or no folder are read too, if only one member has the name.
- Some images are not in the archive: such rows are ``image_not_shipped``.
- The first question contains ``<image>``; the transforms remove it.
- The repository's videos (``video_conversations/``) are not part of the mixture.

Members are read from the zip by range; nothing is unpacked to disk. The archive's directory,
about 7 MB, is read once per piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from cauldron.sources import base
from cauldron.sources.base import BadRow, Options, Piece, RawImage, Row, Source
from cauldron.sources.formats.archives import ArchiveError
from cauldron.sources.formats.jsonio import json_pieces, read_json
from cauldron.sources.formats.jsonlines import JsonRow
from cauldron.sources.repos.files import FileInfo, Repo, Root
from cauldron.sources.values.conversations import conversation_of
from cauldron.sources.values.images import ImageZip
from cauldron.sources.values.rows import RowProblem

from cauldron.core.errors import SourceUnavailable

ROWS = "image_conversations/gpt-4o.jsonl"
IMAGES = "images.zip"
MEMBER_PREFIX = "mnt/petrelfs/wangwenhai/workspace_cef/4o/image/"
# Where the images are in the archive as published, and in archives that users repacked.
FOLDERS = (MEMBER_PREFIX, "", "images/", "image/")

_NAMES = ("image", "conversations")


@dataclass(frozen=True)
class ShareGpt4o(Source):
    """The image part of ShareGPT-4o; takes no options."""

    def files(self, repo: Repo, options: Options) -> list[FileInfo]:
        self.settled(options)
        there = {file.path: file for file in repo.list()}
        missing = [path for path in (ROWS, IMAGES) if path not in there]
        if missing:
            why = f"no {' and no '.join(missing)}"
            raise SourceUnavailable(self.repo, why, "download the whole dataset repository")
        return [there[ROWS], there[IMAGES]]

    def pieces(self, root: Root, repo: Repo, options: Options, limit: int = -1) -> list[Piece]:
        rows, images = self.files(repo, options)
        # Cut the rows so that the images behind a piece are about as large as a piece should be.
        ratio = 1 + images.size / max(1, rows.size)
        pieces = json_pieces(self.name, repo, rows, limit, max(1, int(base.PIECE_BYTES / ratio)))
        return [piece._replace(size=int(piece.size * ratio)) for piece in pieces]

    def rows(
        self, root: Root, repo: Repo, piece: Piece, options: Options
    ) -> Iterator[Row | BadRow]:
        with repo.open(IMAGES) as file:
            images = _Images(file, IMAGES, FOLDERS)
            for item in read_json(repo, piece, _NAMES):
                yield self._row(item, images) if isinstance(item, JsonRow) else item

    def _row(self, item: JsonRow, images: _Images) -> Row | BadRow:
        name = item.value.get("image")
        if not isinstance(name, str) or not name:
            return BadRow(item.origin, "bad_row", "the row names no image")
        origin = item.origin.model_copy(update={"key": name})
        try:
            system, turns = conversation_of(item.value.get("conversations"), self.name)
            return Row(origin, [RawImage(images.read(name), name)], turns, system)
        except RowProblem as problem:
            return problem.bad_row(origin)


class _Images(ImageZip):
    """``images.zip``, in which a name is also found under other folders if it is unique."""

    def __init__(self, file: BinaryIO, name: str, folders: Sequence[str]) -> None:
        super().__init__(file, name, folders)
        self._by_name: dict[str, list[str]] = {}
        for member in sorted(self.members):
            self._by_name.setdefault(PurePosixPath(member).name, []).append(member)

    def member(self, path: str) -> str:
        for folder in self.folders:
            if folder + path in self.members:
                return folder + path
        namesakes = self._by_name.get(PurePosixPath(path).name, [])
        nearest = [member for member in namesakes if f"/{member}".endswith(f"/{path}")]
        found = nearest or namesakes
        if len(found) != 1:
            what = f"{len(found)} members called" if found else "no member"
            raise ArchiveError("image_not_shipped", f"{self.name} has {what} {path!r}")
        return found[0]


SOURCE = ShareGpt4o(
    name="sharegpt_4o",
    repo="OpenGVLab/ShareGPT-4o",
    title="ShareGPT-4o: images described in detail by GPT-4o",
    license="mit",
    published_rows=57_289,
    published_bytes=6_500_000_000,
    gated=True,
)
