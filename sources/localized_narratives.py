"""Localized Narratives: photographs described aloud by people, the full set (Google Research).

Where: the project's page, ``google.github.io/localized-narratives``. Its files are in the bucket
``gs://localized-narratives/annotations`` and in no repository of the hub:
``HuggingFaceM4/LocalizedNarratives``, the name under a local root, holds a loading script only.
Put the files into ROOT/HuggingFaceM4/LocalizedNarratives, or name their folder by the option
``annotations``. Licence: CC-BY-4.0, for the annotations.

Size: 507,444 narratives on Open Images' training set, 849,000 images in all. For each split the
publisher has the captions alone, ``<split>_captions.jsonl``, and the captions with the traces of
the mouse, ``<split>_localized_narratives.jsonl`` or ``…-<i>-of-<n>.jsonl``. The latter are about
39 kB a row (ADE20k: 803 MB, 20,476 rows), 20 GB for the training set. The captions alone, which are
all that is read, are estimated at 280 bytes a row. If both are there, the captions file is read.

A line is ``{dataset_id, image_id, annotator_id, caption, …}``. The Cauldron's
``localized_narratives`` is 199,998 of these rows with their images; this source is for a recipe
that needs more. Images are fetched while the source is ingested:

- Open Images: ``https://open-images-dataset.s3.amazonaws.com/<train|validation|test>/<id>.jpg``
- COCO: ``http://images.cocodataset.org/<train2017|val2017>/<id with 12 digits>.jpg``
- Flickr30k and ADE20k give no addresses: their rows are dropped as ``image_not_shipped``.

Options: ``parts``, which splits (names of `PARTS`; default ``[open_images_train]``, as in the
paper); ``annotations``, the folder of the files, an absolute path or an address; ``document``: true
makes each row the document [image, caption] for pre-training, instead of a question and its answer.

Quirks handled here:

- ``dataset_id`` is ``open_images`` for all three splits, so the file's name tells the split.
- An image has up to five narratives, each a row: the curation brings those on one image together.
- COCO's ids are text without leading zeros; a number counts as one. An id that is not its dataset's
  (16 hex digits, or up to 12 digits) is ``bad_row``, so no row decides which address is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from cauldron.sources.base import (
    BadRow,
    Options,
    Piece,
    RawImage,
    RawTurn,
    Row,
    Source,
    missing_piece,
)
from cauldron.sources.formats.jsonio import json_pieces, read_json
from cauldron.sources.formats.jsonlines import JsonRow
from cauldron.sources.formats.shards import Missing, Shards, choose_shards
from cauldron.sources.repos.files import FileInfo, Repo, Root
from cauldron.sources.repos.folders import Folder, is_absolute
from cauldron.sources.values.conversations import key_of, text_of
from cauldron.sources.values.documents import described
from cauldron.sources.values.prompts import draw
from cauldron.sources.values.rows import RowProblem
from cauldron.sources.values.urls import image_at

from cauldron.core import storage
from cauldron.core.errors import SourceUnavailable, UsageError


class Part(NamedTuple):
    """A split of one of the four datasets.

    Attributes:
        files: how the names of its files begin.
        image: the address of an image, with ``{}`` for its id; "" if there is none.
        id: what an id looks like.
        digits: an id is filled with zeros to so many digits in the address.
    """

    files: str
    image: str = ""
    id: str = ""
    digits: int = 0


def _open_images(split: str, files: str = "") -> Part:
    address = f"https://open-images-dataset.s3.amazonaws.com/{split}/{{}}.jpg"
    return Part(files or f"open_images_{split}", address, "[0-9a-f]{16}")


def _coco(files: str, split: str) -> Part:
    return Part(files, f"http://images.cocodataset.org/{split}/{{}}.jpg", "[0-9]{1,12}", 12)


PARTS = {
    "open_images_train": _open_images("train", "open_images_train_v6"),
    "open_images_validation": _open_images("validation"),
    "open_images_test": _open_images("test"),
    "coco_train": _coco("coco_train", "train2017"),
    "coco_val": _coco("coco_val", "val2017"),
    "flickr30k_train": Part("flickr30k_train"),
    "flickr30k_val": Part("flickr30k_val"),
    "flickr30k_test": Part("flickr30k_test"),
    "ade20k_train": Part("ade20k_train"),
    "ade20k_validation": Part("ade20k_validation"),
}

PROMPTS = (
    "Describe what the photo shows.",
    "What is in this picture? Say where things are.",
    "Tell what you see, from one part of the image to the next.",
    "Give a description of the scene.",
    "Walk through this image and name what is there.",
    "Describe the people, things and places in the photograph.",
)

# Traces make a line of tens of kilobytes. A longer line than this is no narrative, and parsed it
# would take ten times its length of memory.
MAX_LINE = 16 * 1024 * 1024
_NAMES = ("image_id", "caption")


@dataclass(frozen=True)
class LocalizedNarratives(Source):
    """Localized Narratives. Options ``parts``, ``annotations`` and ``document``."""

    def settled(self, options: Options) -> Options:
        options = super().settled(options)
        parts, place = options["parts"], options["annotations"]
        listed = isinstance(parts, list | tuple) and len(parts) > 0
        if not listed or not all(isinstance(part, str) and part in PARTS for part in parts):
            raise UsageError(f"{self.name}: parts is a list out of {', '.join(PARTS)}")
        if place is not None and not (isinstance(place, str) and is_absolute(place)):
            what = "annotations is the absolute path or the address of a folder"
            raise UsageError(f"{self.name}: {what}, not {place!r}")
        if not isinstance(options["document"], bool):
            raise UsageError(f"{self.name}: document is true or false")
        return options

    def files(self, repo: Repo, options: Options) -> list[FileInfo]:
        options = self.settled(options)
        files = self._shards(repo, options).files
        if options["annotations"] is not None:
            base = _place(repo, options).url
            files = [_file_at(base, file) for file in files]
        return sorted(files, key=lambda file: file.path)

    def notes(self, repo: Repo, options: Options) -> list[str]:
        return list(self._shards(repo, self.settled(options)).notes)

    def _shards(self, repo: Repo, options: Options) -> Shards:
        """The files to read. Raises SourceUnavailable when one of the parts has none."""
        place = _place(repo, options)
        there = place.list()
        found = Shards()
        for name in dict.fromkeys(options["parts"]):
            mine = _shards_of(there, PARTS[name].files)
            if not mine.files:
                what = f"no {PARTS[name].files}_captions.jsonl in {place.url}"
                remedy = (
                    "download it from google.github.io/localized-narratives, and name its folder "
                    "by the option annotations"
                )
                raise SourceUnavailable(self.repo, what, remedy)
            found += mine
        return found

    def pieces(self, root: Root, repo: Repo, options: Options, limit: int = -1) -> list[Piece]:
        options = self.settled(options)
        place = _place(repo, options)
        pieces: list[Piece] = []
        for slot in self._shards(repo, options).slots:
            if limit == 0:
                break
            if isinstance(slot, Missing):
                pieces.append(missing_piece(self.name, slot))
                continue
            found = json_pieces(self.name, place, slot, limit)
            pieces += found
            if limit > 0:
                limit = max(0, limit - sum(max(piece.limit, 0) for piece in found))
        return pieces

    def rows(
        self, root: Root, repo: Repo, piece: Piece, options: Options
    ) -> Iterator[Row | BadRow]:
        part = _part_of(piece.file)
        for item in read_json(_place(repo, options), piece, _NAMES, MAX_LINE):
            if isinstance(item, BadRow):
                yield item
                continue
            try:
                yield self._row(item, part, options)
            except RowProblem as problem:
                yield problem.bad_row(item.origin)

    def _row(self, item: JsonRow, part: Part, options: Options) -> Row:
        image = key_of(item.value.get("image_id"))
        origin = item.origin.model_copy(update={"key": image[:200]})
        if "caption" not in item.value:
            raise RowProblem("bad_row", "the line has no caption")
        picture = _image(image, part)
        if options["document"]:
            return described(origin, picture, item.value["caption"], "caption")
        caption = text_of(item.value["caption"])
        # By annotator too, so that several narratives on one image answer several questions.
        question = draw(PROMPTS, f"{image} {key_of(item.value.get('annotator_id'))}")
        return Row(origin, [picture], [RawTurn(question, caption, self.name)])


def _place(repo: Repo, options: Options) -> Repo:
    """Where the annotations are."""
    return repo if options["annotations"] is None else Folder(options["annotations"])


def _file_at(folder: str, file: FileInfo) -> FileInfo:
    """A file of a folder outside the repository, by its whole path."""
    return FileInfo(storage.join(folder, file.path), file.size, file.version)


def _shards_of(there: list[FileInfo], begin: str) -> Shards:
    """The captions alone if they are there, else the narratives, whole or in shards."""
    found: list[Shards] = []
    for folder in ("", "annotations/"):
        for name in (f"{begin}_captions", f"{begin}_localized_narratives"):
            pattern = re.compile(rf"{folder}{name}(-[0-9]{{5}}-of-[0-9]{{5}})?\.jsonl")
            mine = choose_shards(file for file in there if pattern.fullmatch(file.path))
            found += [mine] if mine.files else []
    if not found:
        return Shards()
    twins = [file.path for copy in found[1:] for file in copy.files]
    why = f"not read, because {found[0].files[0].path} has the same rows: {', '.join(twins)}"
    return found[0] + Shards((), (why,) if twins else ())


def _part_of(path: str) -> Part:
    name = path.rpartition("/")[2]
    return next(part for part in PARTS.values() if name.startswith(f"{part.files}_"))


def _image(key: str, part: Part) -> RawImage:
    """The image with an id. Raises RowProblem (``image_not_shipped``, ``bad_row``)."""
    if not part.image:
        dataset = part.files.partition("_")[0]
        raise RowProblem("image_not_shipped", f"{dataset} gives no addresses of its images")
    if not re.fullmatch(part.id, key):
        raise RowProblem("bad_row", f"not an id of an image: {key[:200]!r}")
    return image_at(part.image.format(key.zfill(part.digits)))


SOURCE = LocalizedNarratives(
    name="localized_narratives",
    repo="HuggingFaceM4/LocalizedNarratives",
    title="Localized Narratives: photographs by URL, described aloud, the full set",
    license="cc-by-4.0",
    license_note="the project's page, for the annotations; the photographs are other sets'",
    published_rows=507_444,
    published_bytes=142_000_000,
    ships_images=False,
    by_url=True,
    default_options={"parts": ("open_images_train",), "annotations": None, "document": False},
)
