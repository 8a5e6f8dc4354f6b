"""What near-duplicates are found by, computed at ingest from the one decode of an image.

Beside the 64-bit hash, which a mixture has too, these stay in the corpus: the 256-bit hash, a
digest of the pixels where all of them were decoded anyway, and `ground`, which tells drawings
(text, tables, charts, line art) from photographs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import xxhash
from cauldron.transforms.hashes import GreyPicture, phash64, phash256, raw_pixels
from PIL import Image

# From here on a picture counts as a drawing. Of pictures in the generated hub 2 of 819 photographs
# lie above it and 1 of 1,262 charts, tables, pages, diagrams and screens below; of real ones 3 of
# 997 TabMWP tables and none of 32 PDF pages lie below. Of 26 real photographs those lie above that
# microscopes, telescopes and a bare wall gave, 5. Receipts fall on both sides: scanned on white
# (74 of 80 real ones) they are drawings, photographed on a table (42 generated ones) they are not.
#
# Re-encoding, scaling to 50 to 80 %, brightness, a crop of 2 % and noise carry 0.4 % of photographs
# and 0.3 % of drawings over it; `ground` itself moves by 1 in the median, by 5 on average.
DRAWING_GROUND = 70

# Levels of grey to each side of the most common one that count with it.
_NEAR = 2
_WINDOW = np.ones(2 * _NEAR + 1, dtype=np.int64)
_WHITE = 255
# Bytes of a picture that are digested at a time.
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Signature:
    """What of an image is compared with others, besides its 64-bit hash.

    Attributes:
        pixels: see `pixel_digest`; None for a JPEG, whose pixels are not decoded in full.
        phash256: 256-bit perceptual hash, in the bit order of ``imagehash``.
        ground: see `ground_of`.
    """

    pixels: str | None
    phash256: bytes
    ground: int


def sign(image: Image.Image, whole: bool) -> tuple[int, Signature]:
    """The 64-bit hash and the signature.

    Args:
        image: RGB or L, decoded in full or at a fraction of its size, see `GreyPicture`.
        whole: these are all of the stored pixels, exactly.
    """
    picture = GreyPicture.of(image if image.mode == "L" else image.convert("L"))
    wide = phash256(picture)
    pixels = pixel_digest(image, wide) if whole else None
    return phash64(picture), Signature(pixels, wide, ground_of(picture))


def pixel_digest(image: Image.Image, wide: bytes) -> str:
    """128 bits as 32 hex digits, equal for equal mode and pixels, however they were compressed.

    XXH3 of the picture as a netpbm file, which is never there as a whole. SHA-256, at 2.1
    GB/s, would take 0.4 ms more for a chart, a quarter of all, and make tables slower than
    ``imagehash`` alone. XXH3 is not made to withstand forgery, hence the second hash, over it and
    the 256-bit hash: whoever builds two pictures that collide must build them looking alike.

    A grey picture saved in colour differs from the same saved in grey. To look for equal channels
    costs 6 % of a page; the hashes of the two are equal, so that they are compared anyway.

    Args:
        wide: the picture's 256-bit hash.
    """
    kind, (width, height) = 6 if image.mode == "RGB" else 5, image.size
    checksum = xxhash.xxh3_128(b"P%d\n%d %d\n255\n" % (kind, width, height))
    for piece in raw_pixels(image, _PIECE):
        checksum.update(piece)
    return hashlib.blake2b(checksum.digest() + wide, digest_size=16).hexdigest()


def ground_of(picture: GreyPicture) -> int:
    """The share of the most common grey, two levels more or less, in 255ths.

    Paper, screens and the background of a chart are of one grey; a photograph hardly ever has so
    much of one. Averaging over blocks first keeps text from counting as noise.
    """
    levels = picture.levels
    if 2 * np.count_nonzero(levels == _WHITE) >= levels.size:
        # Whatever else is together is less than white. A histogram takes ten times as long: its
        # counter of white waits for itself at every pixel.
        most = np.count_nonzero(levels >= _WHITE - 2 * _NEAR)
    else:
        most = np.convolve(picture.averages.histogram(), _WINDOW).max()
    return int(most) * 255 // levels.size
