"""Thumbnails of stored pictures, for an audit without the record files.

256 pixels on the longest side, JPEG at quality 80: a generated photograph of 640 x 480 takes 3.9 ms
on one core and becomes 5.6 kB. They are enough to judge photographs. Of a page they show the layout
but not the words; the origins in the evidence lead to the files. Pictures are read by reference,
decoded with the same limits as at ingest, and cached: a picture in a million rows is decoded once
for each file of evidence.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cauldron.sources.base import RawImage
from cauldron.transforms.pictures.opening import ImageProblem
from cauldron.transforms.pictures.prepare import prepare_image
from PIL import Image

from cauldron.core.errors import CauldronError
from cauldron.core.sections.rules import ImageRules
from cauldron.core.stores.ranges import Range, read_ranges

LONGEST_SIDE = 256
QUALITY = 80

# Stored bytes that are read at a time.
_FETCH_BYTES = 64 * 1024 * 1024


class Place(NamedTuple):
    """A stored picture.

    Attributes:
        path, offset, length: its bytes in a record file.
        pixels: how many it has; bytes that announce more are not decoded.
    """

    path: str
    offset: int
    length: int
    pixels: int


def thumbnail(data: bytes, pixels: int) -> bytes:
    """A small JPEG of a stored picture; equal bytes for equal pictures.

    Args:
        pixels: the most pixels that are decoded.

    Raises:
        ImageProblem: the picture cannot be decoded.
    """
    rules = ImageRules(max_side=LONGEST_SIDE, hard_max_pixels=max(1, pixels))
    small = prepare_image(RawImage(data), rules)
    # `prepare_image` returns one of these formats, complete and within the limits.
    with Image.open(io.BytesIO(small.data), formats=("JPEG", "PNG", "WEBP")) as image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=QUALITY, subsampling="4:2:0")
    return buffer.getvalue()


class Thumbnails:
    """Makes thumbnails and caches those used last.

    Args:
        kept: how many to cache.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._made: dict[Place, bytes] = {}

    def get(self, places: Sequence[Place]) -> list[bytes]:
        """The thumbnails of pictures, in the order asked; each is made once.

        Raises:
            CauldronError: a picture cannot be read or decoded.
        """
        wanted = dict.fromkeys(places)
        result = {place: self._made[place] for place in wanted if place in self._made}
        for batch in _batches(place for place in wanted if place not in result):
            ranges = [Range(place.path, place.offset, place.length) for place in batch]
            for place, data in zip(batch, read_ranges(ranges), strict=True):
                result[place] = _made_of(data, place)
        for place in wanted:
            self._made.pop(place, None)  # used last, removed last
            self._made[place] = result[place]
        for place in list(self._made)[: -self._kept]:
            del self._made[place]
        return [result[place] for place in places]


def _made_of(data: bytes, place: Place) -> bytes:
    try:
        return thumbnail(data, place.pixels)
    except ImageProblem as problem:
        where = f"{place.path}: {place.length} bytes at {place.offset}"
        raise CauldronError(
            f"{where} are no picture any more ({problem}); `cauldron verify` tells what changed"
        ) from problem


def _batches(places: Iterable[Place]) -> Iterable[list[Place]]:
    """Pictures whose stored bytes are read together."""
    batch: list[Place] = []
    size = 0
    for place in places:
        if batch and size + place.length > _FETCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(place)
        size += place.length
    if batch:
        yield batch
