"""Thumbnails of stored pictures: what an auditor looks at instead of the packs.

256 pixels on the longest side, JPEG at quality 80: a generated photograph of 640 x 480 takes 3.9
ms on one core and becomes 5.6 kB. Photographs can be judged so; of a page of text the layout can,
not the words, and for these the origins in the evidence lead to the files. Pictures are read by
reference, decoded behind the same guards as at ingest, and kept: one that stands in a million
rows is decoded once per file of evidence.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cauldron.sources.base import RawImage
from cauldron.transforms.images import ImageProblem, prepare_image
from PIL import Image

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.rules import ImageRules

LONGEST_SIDE = 256
QUALITY = 80

# Stored bytes that are held while thumbnails are made of them.
_FETCH_BYTES = 64 * 1024 * 1024


class Place(NamedTuple):
    """A stored picture.

    Attributes:
        path, offset, length: its bytes in a pack.
        pixels: how many it has; a file that announces more is not the one that was stored.
    """

    path: str
    offset: int
    length: int
    pixels: int


def thumbnail(data: bytes, pixels: int) -> bytes:
    """A small JPEG of a stored picture, the same bytes for the same picture.

    Args:
        pixels: largest number of pixels that is decoded.

    Raises:
        ImageProblem: the picture cannot be decoded.
    """
    rules = ImageRules(max_side=LONGEST_SIDE, hard_max_pixels=max(1, pixels))
    small = prepare_image(RawImage(data), rules)
    # Whatever comes out of there is one of these formats, whole, and no larger than asked for.
    with Image.open(io.BytesIO(small.data), formats=("JPEG", "PNG", "WEBP")) as image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=QUALITY, subsampling="4:2:0")
    return buffer.getvalue()


class Thumbnails:
    """Makes thumbnails and keeps those asked for last.

    Args:
        kept: how many to keep.
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
            ranges = [storage.Range(place.path, place.offset, place.length) for place in batch]
            for place, data in zip(batch, storage.read_ranges(ranges), strict=True):
                result[place] = _made_of(data, place)
        for place in wanted:
            self._made.pop(place, None)  # asked for last, last to go
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
    """Pictures whose stored bytes may be held together."""
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
