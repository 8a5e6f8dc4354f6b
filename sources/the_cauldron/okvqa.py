"""OK-VQA in the Cauldron: 8,998 rows whose images are only paths, ``…/COCO_train2014_*.jpg``.

The images are COCO's. Option ``coco_train2014`` says where they are: the published
``train2014.zip``, a zip of the images without that folder, the folder ``train2014``, or a folder
that holds it; an absolute path or URL, or a path relative to the root. The default is
``coco/train2014.zip``, if it is there. Without images every row is ``image_not_shipped``. The zip
is read by range; its directory, 8 MB, is read once per piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from cauldron.sources.base import BadRow, Options, Piece, Row
from cauldron.sources.formats.parquet import ParquetRow, read_parquet
from cauldron.sources.repos.files import Repo, Root
from cauldron.sources.the_cauldron.reader import TheCauldron
from cauldron.sources.values.images import ImagesElsewhere, open_images
from cauldron.sources.values.rows import Find, RowProblem, images_of, turns_of

DEFAULT_IMAGES = "coco/train2014.zip"
_FOLDER = "train2014"


@dataclass(frozen=True, kw_only=True)
class OkVqa(ImagesElsewhere, TheCauldron):
    """OK-VQA. Option ``coco_train2014``: a folder or zip of COCO's train2014 images."""

    images_option: ClassVar[str] = "coco_train2014"

    def rows(
        self, root: Root, repo: Repo, piece: Piece, options: Options
    ) -> Iterator[Row | BadRow]:
        with open_images(self.images_at(root, options), _FOLDER) as find:
            for row in read_parquet(repo, piece, self.columns(options)):
                yield row if isinstance(row, BadRow) else self._resolved(row, find)

    def _resolved(self, row: ParquetRow, find: Find | None) -> Row | BadRow:
        try:
            turns = turns_of(row.values["texts"], self.name)
            return Row(row.origin, images_of(row.values["images"], find), turns)
        except RowProblem as problem:
            return problem.bad_row(row.origin)
