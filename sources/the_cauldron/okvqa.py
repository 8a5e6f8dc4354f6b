"""OK-VQA in the Cauldron: 8,998 rows whose images are only paths, ``…/COCO_train2014_*.jpg``.

The pixels are COCO's. Option ``coco_train2014`` says where they are: the published
``train2014.zip``, a zip of the images without that folder, the folder ``train2014``, or a folder
that holds it; an absolute path or URL, or relative to the root. By default
``coco/train2014.zip`` below the root is used when it is there; without images every row is
``image_not_shipped``. The zip is read by range; its directory, 8 MB, is read once per piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cauldron.sources.base import BadRow, Options, Piece, Row
from cauldron.sources.files import FileInfo, Repo, Root
from cauldron.sources.images import open_images
from cauldron.sources.parquet import ParquetRow, read_parquet
from cauldron.sources.rows import Find, RowProblem, images_of, turns_of
from cauldron.sources.the_cauldron.reader import TheCauldron

from cauldron.core.errors import UsageError

DEFAULT_IMAGES = "coco/train2014.zip"
_FOLDER = "train2014"


@dataclass(frozen=True, kw_only=True)
class OkVqa(TheCauldron):
    """OK-VQA. Option ``coco_train2014``: a folder or zip of COCO's train2014 images."""

    def extra_files(self, root: Root, options: Options) -> list[FileInfo]:
        location = self._location(root, self.settled(options))
        info = root.extra_info(location) if location else None
        return [info] if info else []

    def read(
        self, root: Root, repo: Repo, piece: Piece, options: Options
    ) -> Iterator[Row | BadRow]:
        options = self.settled(options)
        with open_images(self._location(root, options), _FOLDER) as find:
            for row in read_parquet(repo, piece, self.columns(options)):
                yield row if isinstance(row, BadRow) else self._resolved(row, find)

    def _resolved(self, row: ParquetRow, find: Find | None) -> Row | BadRow:
        try:
            turns = turns_of(row.values["texts"], self.name)
            return Row(row.origin, images_of(row.values["images"], find), turns)
        except RowProblem as problem:
            return BadRow(row.origin, problem.reason, problem.message)

    def _location(self, root: Root, options: Options) -> str | None:
        path = options["coco_train2014"]
        if path is None:
            return None
        if not isinstance(path, str):
            raise UsageError(f"{self.name}: coco_train2014 must be a path, not {path!r}")
        location = root.extra(path)
        if location is None and path != DEFAULT_IMAGES:
            raise UsageError(f"{self.name}: coco_train2014 {path} does not exist")
        return location
