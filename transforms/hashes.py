"""Perceptual hashes of an image: 64 and 256 bits, comparable with ``imagehash.phash``.

``imagehash`` scales the full picture to 32 x 32 (64 x 64 for 256 bits) with Lanczos, takes the 2-D
DCT and sets a bit for each of the 8 x 8 (16 x 16) lowest frequencies that lies above their median.
Scaling is nearly all of its time (1.5 of 1.9 ms for 640 x 480, 13 ms for a page), so here a large
picture is first averaged over whole blocks, once for both hashes; JPEGs come in smaller already,
from a scaled decode. The 256 bits skip scaling altogether: their DCT is that of the picture with
each pixel replaced by its block's average.

Hamming distance to ``imagehash.phash`` of the published file, median, mean and most. Both always
set half of the bits, so distances are even where nothing is flat.

                                             64 bits         256 bits
    generated photographs, JPEG (168)        0   0.3   2     2   1.5    6
    generated tables and charts, PNG (288)   0   0.3   4     4   3.7   10
    generated pages, PNG (72)                0   0.2   2     4   4.2   10
    tables, charts, pages as JPEG 85 (360)   0   0.4   4     4   4.3   12
    real tables, PNG (300 of TabMWP)         0   0.3   6     4   5.3   14
    real receipts, JPEG (80)                 0   0.8   6     6   6.1   18

Line art that is its own mirror image is the worst, up to 50 of 256: half of its frequencies are
zero, and in ``imagehash`` rounding decides about them. Nothing falls back to ``imagehash``: up to
256 x 256 pixels the 64 bits come from the same scaling, and every other image takes the fast way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from cauldron.transforms.lanczos import LONGEST, UNTHREADED, Matrix, lanczos
from PIL import Image

SIDE = 32
KEPT = 8
WIDE_SIDE = 64
WIDE_KEPT = 16

# Up to here the exact scaling costs less than 0.2 ms; small tables of thin text gain most by it.
EXACT_PIXELS = 256 * 256
# Sides of the averaged picture are this long at least and less than twice as long, or as long as
# the picture's own.
AVERAGED_SIDE = 96

# A decoder may shrink a picture before it is hashed as long as its shortest side keeps this many
# pixels: recall of near-duplicates then stays within a point of the exact hash.
SHORTEST_SIDE = 128


@dataclass(frozen=True, slots=True)
class GreyPicture:
    """What all signatures are made from.

    Attributes:
        grey: L, fully decoded or reduced with the shortest side at `SHORTEST_SIDE` or more.
        averages: `grey` averaged over blocks.
        levels: the same, shape (height, width).
        values: the same in floating point.
        block: width and height of a block; those at the right and the bottom may be smaller.
    """

    grey: Image.Image
    averages: Image.Image
    levels: npt.NDArray[np.uint8]
    values: Matrix
    block: tuple[int, int]

    @classmethod
    def of(cls, grey: Image.Image) -> GreyPicture:
        block = (grey.width // AVERAGED_SIDE or 1, grey.height // AVERAGED_SIDE or 1)
        averages = grey.reduce(block) if block != (1, 1) else grey
        levels = _levels(averages)
        return cls(grey, averages, levels, levels.astype(np.float64), block)


def phash64(picture: GreyPicture) -> int:
    """The hash as an unsigned 64-bit number, bits in the order of ``imagehash``'s hex string."""
    (width, height), block = picture.grey.size, picture.block
    if width * height > EXACT_PIXELS:
        # What Pillow's `resize` does with reducing_gap=3, but for averaging once more.
        small = lanczos(picture.values, (width / block[0], height / block[1]), SIDE)
    elif max(width, height) <= LONGEST and height <= 100 * width:
        small = lanczos(_levels(picture.grey), (width, height), SIDE)
    else:
        # Strips; Pillow scales the height first where it is more than 100 times the width.
        small = np.asarray(picture.grey.resize((SIDE, SIDE), Image.Resampling.LANCZOS), np.float64)
    # The first product stays below 2**33, which floating point holds exactly; the second does not.
    low = (_DCT @ small).astype(np.int64) @ _DCT_TRANSPOSED
    return int.from_bytes(_above_median(low), "big")


def phash256(picture: GreyPicture) -> bytes:
    """The hash as 32 bytes, bits in the order of ``imagehash``'s hex string with hash_size=16."""
    (width, height), pixels = picture.grey.size, picture.values
    if min(width, height) < WIDE_SIDE:
        # Frequencies above what so few pixels can hold: scaled up as imagehash does. Only the
        # short side, and that of the averages: a strip may be a million pixels long.
        width, height = max(width, WIDE_SIDE), max(height, WIDE_SIDE)
        wanted = np.maximum(picture.averages.size, WIDE_SIDE)
        larger = picture.averages.resize(wanted, Image.Resampling.LANCZOS)
        pixels = np.asarray(larger, dtype=np.float64)
    across = _block_cosines(width, picture.block[0])
    down = _block_cosines(height, picture.block[1])
    rows = next(n for n in (WIDE_KEPT, 8, 4) if n * pixels.size <= UNTHREADED)
    columns = (down.reshape(-1, rows, len(pixels)) @ pixels).reshape(WIDE_KEPT, -1)
    return _above_median(columns @ across.T)


def raw_pixels(image: Image.Image, most: int) -> Iterator[bytes]:
    """The pixels of an RGB or L image as bytes, row by row, in pieces of `most` or one row.

    What `Image.tobytes` does without joining them, and half of what ``np.asarray`` takes.
    """
    (width, height), done = image.size, 0
    encoder = Image._getencoder(image.mode, "raw", image.mode)
    encoder.setimage(image.im, (0, 0, width, height))
    while not done:
        _, done, piece = encoder.encode(max(most, 4 * width))
        yield piece


def _levels(grey: Image.Image) -> npt.NDArray[np.uint8]:
    """Pixels of an L image of at most `EXACT_PIXELS`, shape (height, width)."""
    data = b"".join(raw_pixels(grey, EXACT_PIXELS))
    return np.frombuffer(data, dtype=np.uint8).reshape(grey.height, grey.width)


def _above_median(low: npt.NDArray[Any]) -> bytes:
    flat = low.ravel()
    half = flat.size // 2
    ordered = np.sort(flat)
    # Twice the value against the sum of the middle two: the median without a division.
    return np.packbits(2 * flat > ordered[half - 1] + ordered[half]).tobytes()


def _cosines() -> npt.NDArray[np.int64]:
    """The first rows of the DCT-II matrix as integers.

    Integers make the hash the same on every processor: in floating point the order of additions
    decides on which side of the median a frequency falls that equals it, as in flat pictures.
    20 bits keep the largest sum, 255 * 32 * 32 * 2**40, below 2**63.
    """
    frequency = np.arange(KEPT)[:, None]
    position = np.arange(SIDE)[None, :]
    cosines = np.cos(np.pi * frequency * (2 * position + 1) / (2 * SIDE))
    exact: npt.NDArray[np.int64] = np.rint(cosines * 2**20).astype(np.int64)
    return exact


@lru_cache(maxsize=512)
def _block_cosines(length: int, block: int) -> Matrix:
    """The first rows of the DCT-II matrix of a side, summed over blocks and divided by `block`.

    Whole numbers again, but in floating point, where the matrix product is six times as fast: with
    14 bits and sides below 192 the largest sum, 255 * (191 * 2**14)**2, is below 2**53, so every
    addition is exact in any order. Each row but the first is made to sum to zero, so that flat
    pictures of all sizes have one hash. An entry is at most 24 kB.

    Returns:
        shape (16, number of blocks).
    """
    edges = np.append(np.arange(0, length, block), length)
    frequency = np.pi * np.arange(1, WIDE_KEPT)[:, None] / length
    # The cosines of a block are a difference of sines.
    sums = np.diff(np.sin(frequency * edges)) / (2 * np.sin(frequency / 2))
    rows = np.rint(np.concatenate([np.diff(edges)[None], sums]) / block * 2**14)
    rows[1:, rows.shape[1] // 2] -= rows[1:].sum(axis=1)
    return rows


_DCT = _cosines().astype(np.float64)
_DCT_TRANSPOSED = np.ascontiguousarray(_cosines().T)
