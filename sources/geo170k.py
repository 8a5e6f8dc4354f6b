"""Geo170K: geometry figures with descriptions, questions and solutions (Gao et al., G-LLaVA).

Where: ``Luckyjhg/Geo170K``, ``data/{alignment,qa_tuning}-<i>-of-<n>-<hash>.parquet`` and
``images.zip``. Licence: none stated. Size: 60,252 + 117,205 rows on 9,067 images, 171 MB, of which
the zip is 147 MB.

A row is ``{image, conversations: [{from: human|gpt, value}]}``; `image` is a path such as
``geoqa_plus/1234.png``, found in the zip as ``images/geoqa_plus/1234.png``. Quirks handled here:

- Neither split is called train; both are read.
- An image has about twenty rows. All rows of an image become one conversation, alignment first,
  then qa_tuning, in the order of the files, as the authors of Idefics3 merged them. `Row.rows`
  is their number and `origin` the place of the first.
- A question has ``<image>`` before or after it; the transforms remove it.
- A row in which human and gpt do not alternate is a ``bad_row``; the image's other rows stay.

A piece has the images whose path hashes to its number. Every piece reads all rows, 24 MB, and
keeps its own. Images are read from the zip by range.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cauldron.sources import base
from cauldron.sources.base import BadRow, Options, Piece, RawImage, RawTurn, Row
from cauldron.sources.formats.parquet import ParquetRow, parquet_pieces, read_parquet
from cauldron.sources.formats.parquet_files import Columns
from cauldron.sources.formats.parquet_source import ParquetSource
from cauldron.sources.repos.files import FileInfo, Repo, Root
from cauldron.sources.values.images import ImageZip
from cauldron.sources.values.rows import RowProblem, turns_of

from cauldron.core.errors import SourceUnavailable
from cauldron.core.schema import Origin

IMAGES = "images.zip"
SPLITS = ("alignment", "qa_tuning")
MERGED = "images_modulo"

_COLUMNS = Columns(("image", "conversations"))
_FOLDERS = ("images/", "")


@dataclass(slots=True)
class _Merged:
    """The rows of one image."""

    origin: Origin
    turns: list[RawTurn] = field(default_factory=list)
    rows: int = 0


@dataclass(frozen=True)
class Geo170k(ParquetSource):
    """Geo170K, a conversation per image; takes no options."""

    def columns(self, options: Options) -> Columns:
        return _COLUMNS

    def splits(self, options: Options) -> tuple[str, ...]:
        return SPLITS

    def files(self, repo: Repo, options: Options) -> list[FileInfo]:
        images = [file for file in repo.list() if file.path == IMAGES]
        if not images:
            remedy = "download the whole dataset repository"
            raise SourceUnavailable(self.repo, f"no {IMAGES}", remedy)
        return sorted(super().files(repo, options) + images, key=lambda file: file.path)

    def pieces(self, root: Root, repo: Repo, options: Options, limit: int = -1) -> list[Piece]:
        files = self.files(repo, options)
        planned = super().pieces(root, repo, options, limit)
        broken = [piece for piece in planned if piece.reason]
        if len(broken) == len(planned):
            return broken
        size = sum(file.size for file in files)
        count = -(-size // base.PIECE_BYTES)
        merged = Piece(self.name, IMAGES, MERGED, stop=count, size=size // count, limit=limit)
        return broken + [merged._replace(start=number) for number in range(count)]

    def rows(
        self, root: Root, repo: Repo, piece: Piece, options: Options
    ) -> Iterator[Row | BadRow]:
        """The images whose path hashes to `piece.start`, modulo `piece.stop`."""
        images: dict[str, _Merged] = {}
        for row in self._published(repo, piece.limit):
            bad = self._merge(row, piece, images)
            if bad is not None:
                yield bad
        with repo.open(IMAGES) as file:
            archive = ImageZip(file, IMAGES, _FOLDERS)
            for path, merged in images.items():
                yield _row(path, merged, archive)

    def row(self, row: ParquetRow, options: Options) -> Row:
        """One published row, without its image."""
        turns = _turns(row.values["conversations"], self.name)
        return Row(row.origin, [], turns)

    def _published(self, repo: Repo, limit: int) -> Iterator[ParquetRow | BadRow]:
        shards = self.shards(repo, {})
        for piece in parquet_pieces(self.name, repo, shards, _COLUMNS, limit):
            if not piece.reason:
                yield from read_parquet(repo, piece, _COLUMNS)

    def _merge(
        self, row: ParquetRow | BadRow, piece: Piece, images: dict[str, _Merged]
    ) -> BadRow | None:
        """Add a row to its image if the piece has it. Rows without an image belong to piece 0."""
        path = row.values["image"] if isinstance(row, ParquetRow) else ""
        if not isinstance(path, str) or not path:
            if piece.start:
                return None
            return row if isinstance(row, BadRow) else _no_image(row)
        assert isinstance(row, ParquetRow)
        if _number(path, piece.stop) != piece.start:
            return None
        outcome = self.outcome(row, {})
        if isinstance(outcome, BadRow):
            return outcome
        origin = row.origin.model_copy(update={"key": path})
        merged = images.setdefault(path, _Merged(origin))
        merged.turns += outcome.turns
        merged.rows += 1
        return None


def _row(path: str, merged: _Merged, archive: ImageZip) -> Row | BadRow:
    try:
        data = archive.read(path)
    except RowProblem as problem:
        return problem.bad_row(merged.origin, merged.rows)
    if not data:
        return BadRow(merged.origin, "missing_image", f"{path} is empty", merged.rows)
    return Row(merged.origin, [RawImage(data, path)], merged.turns, rows=merged.rows)


def _no_image(row: ParquetRow) -> BadRow:
    value = row.values["image"]
    if value is None or value == "":
        return BadRow(row.origin, "no_images", "the row names no image")
    return BadRow(row.origin, "bad_row", f"the image is a {type(value).__name__}, not a path")


def _turns(conversations: Any, source: str) -> list[RawTurn]:
    """Questions and answers. Raises RowProblem (``bad_row``) unless human and gpt alternate."""
    messages = turns_of(conversations, source, "from", "value")  # here pairs of speaker and text
    speakers = [turn.user for turn in messages]
    if not messages or speakers != ["human", "gpt"] * (len(messages) // 2):
        raise RowProblem("bad_row", f"human and gpt do not alternate: {speakers[:6]}")
    pairs = zip(messages[::2], messages[1::2], strict=True)
    return [RawTurn(question.assistant, answer.assistant, source) for question, answer in pairs]


def _number(path: str, count: int) -> int:
    digest = hashlib.blake2b(path.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) % count


SOURCE = Geo170k(
    name="geo170k",
    repo="Luckyjhg/Geo170K",
    title="Geo170K: geometry figures described, asked about and solved",
    license="unknown",
    license_note="the dataset's page states none",
    published_rows=177_457,
    published_bytes=170_755_000,
)
