"""Signatures for finding near-duplicates, computed at ingest from the only decode of an image.

A signature holds the 256-bit hash, a digest of the pixels if all were decoded, and `ground`, which
distinguishes drawings (text, tables, charts, line art) from photographs, how lossy the published
file was, and the hashes of what is inside a border of one colour. Signatures stay in the corpus; a
mixture has only the 64-bit hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash
from cauldron.transforms.pictures.content import content_box
from cauldron.transforms.pictures.hashes import GreyPicture, phash64, phash256, raw_pixels
from cauldron.transforms.pictures.png import Pixels, luma
from PIL import Image

# A picture with at least this `ground` is a drawing. In the generated hub 2 of 819 photographs are
# above it, and 1 of 1,262 charts, tables, pages, diagrams and screens is below. Of real pictures 3
# of 997 TabMWP tables and none of 32 PDF pages are below; 5 of 26 photographs are above, taken with
# microscopes and telescopes or of a bare wall. Scanned receipts are drawings (74 of 80 real ones),
# receipts photographed on a table are not (42 generated ones).
#
# Re-encoding, scaling to 50 to 80 %, brightness, a crop of 2 % and noise move 0.4 % of photographs
# and 0.3 % of drawings across it. They change `ground` by 1 in the median, by 5 on average.
DRAWING_GROUND = 70

# A picture with this `ground` has no structure: no block of it is more than two levels off its most
# common grey. Compression moves a plain area by one or two levels. One full stop on an A4 page at
# 100 dpi moves its block by 26, so a page with anything on it is below.
BLANK_GROUND = 255

# Grey levels within this distance of the most common one are counted with it.
_NEAR = 2
_WINDOW = np.ones(2 * _NEAR + 1, dtype=np.int64)
_WHITE = 255
# Bytes of a picture that are hashed at a time.
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Content:
    """What is inside a border or beside padding, see `cauldron.transforms.pictures.content`.

    Attributes:
        left, top, width, height: in pixels of the stored picture.
        phash, phash256: as of a picture that is no more than this.
    """

    left: int
    top: int
    width: int
    height: int
    phash: int
    phash256: bytes


@dataclass(frozen=True, slots=True)
class Signature:
    """What is compared of an image, besides its 64-bit hash.

    Attributes:
        pixels: see `pixel_digest`; None for a JPEG, which is not decoded at full size.
        phash256: 256-bit perceptual hash, in the bit order of ``imagehash``.
        ground: see `ground_of`.
        loss: see `cauldron.transforms.pictures.loss.loss_of`.
        content: None if the picture has no rim of one colour, or too little inside it.
    """

    pixels: str | None
    phash256: bytes
    ground: int
    loss: int
    content: Content | None = None


def is_blank(ground: Any) -> Any:
    """Whether a picture has no structure, from its `ground`, or from an array of those.

    Blank pages and plain tiles all look alike to hashes and after registration. That two rows show
    one is no evidence: such a picture is the same only as its exact pixels, and neither leaks a
    benchmark nor joins rows by itself. A picture whose colours differ at equal brightness counts as
    blank too.
    """
    return ground >= BLANK_GROUND


def sign(
    image: Image.Image | Pixels,
    whole: bool,
    loss: int = 0,
    size: tuple[int, int] | None = None,
) -> tuple[int, Signature]:
    """The 64-bit hash and the signature.

    Args:
        image: RGB or grey, at full or reduced size, see `GreyPicture`.
        whole: `image` holds exactly the stored pixels.
        loss: of the published file.
        size: width and height of the stored picture, if `image` is reduced.
    """
    picture = GreyPicture.of(_grey(image))
    wide, ground = phash256(picture), ground_of(picture)
    pixels = pixel_digest(image, wide) if whole else None
    content = None if is_blank(ground) else _content(picture, size or picture.grey.size)
    return phash64(picture), Signature(pixels, wide, ground, loss, content)


def _content(picture: GreyPicture, size: tuple[int, int]) -> Content | None:
    box = content_box(picture)
    if box is None:
        return None
    part = (box.left, box.top, box.left + box.width, box.top + box.height)
    pixels = b"".join(raw_pixels(picture.grey, box.width * box.height, part))
    size_inside = (box.width, box.height)
    inside = GreyPicture.of(Image.frombuffer("L", size_inside, pixels, "raw", "L", 0, 1))
    if is_blank(ground_of(inside)):
        return None
    stored = box.scaled(size[0] / picture.grey.width, size[1] / picture.grey.height)
    return Content(*stored, phash64(inside), phash256(inside))


def _grey(image: Image.Image | Pixels) -> Image.Image:
    if isinstance(image, Image.Image):
        return image if image.mode == "L" else image.convert("L")
    height, width = image.shape[:2]
    return Image.frombuffer("L", (width, height), luma(image), "raw", "L", 0, 1)


def pixel_digest(image: Image.Image | Pixels, wide: bytes) -> str:
    """128 bits as 32 hex digits, equal for equal mode and pixels, whatever the compression.

    The digest is XXH3 of the picture as a netpbm file. SHA-256, at 2.1 GB/s, would add 0.4 ms for
    a chart, a quarter of its whole time. XXH3 does not resist forgery, so a second hash covers it
    and the 256-bit hash: forged collisions then look alike.

    A grey picture saved in colour has another digest than the same saved in grey. To detect this
    would cost 6 % of the time of a page. Their perceptual hashes are equal, so they are compared.

    Args:
        wide: the picture's 256-bit hash.
    """
    pieces: Iterable[bytes | memoryview]
    if isinstance(image, Image.Image):
        (width, height), colour = image.size, image.mode == "RGB"
        pieces = raw_pixels(image, _PIECE)
    else:
        (height, width), colour = image.shape[:2], image.ndim == 3
        pieces = [image.data]
    checksum = xxhash.xxh3_128(b"P%d\n%d %d\n255\n" % (6 if colour else 5, width, height))
    for piece in pieces:
        checksum.update(piece)
    return hashlib.blake2b(checksum.digest() + wide, digest_size=16).hexdigest()


def ground_of(picture: GreyPicture) -> int:
    """The share of the most common grey, plus or minus two levels, in 255ths.

    Paper, screens and chart backgrounds have one grey; a photograph seldom has so much of one.
    Averages over blocks are used, so that text does not count as noise.
    """
    levels = picture.levels
    if 2 * np.count_nonzero(levels == _WHITE) >= levels.size:
        # White is the most common level. A histogram would take ten times as long here, because it
        # increments one counter over and over.
        most = np.count_nonzero(levels >= _WHITE - 2 * _NEAR)
    else:
        most = np.convolve(picture.averages.histogram(), _WINDOW).max()
    return int(most) * 255 // levels.size
