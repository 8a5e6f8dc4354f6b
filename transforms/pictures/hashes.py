"""Perceptual hashes of an image: 64 and 256 bits, comparable with ``imagehash.phash``.

``imagehash`` scales the full picture to 32 x 32 (64 x 64 for 256 bits) with Lanczos, takes the 2-D
DCT and sets a bit for each of the 8 x 8 (16 x 16) lowest frequencies that is above their median.
Most of its time is scaling (1.5 of 1.9 ms for 640 x 480, 13 ms for a page). So here a large
picture is first averaged over blocks, once for both hashes; JPEGs are decoded at a reduced size.
The 256-bit hash needs no scaling: its DCT is that of the picture with each pixel replaced by its
block's average.

Hamming distance to ``imagehash.phash`` of the published file: median, mean, maximum. Both hashes
set half of the bits, so distances are even, except for flat pictures.

                                             64 bits         256 bits
    generated photographs, JPEG (168)        0   0.3   2     2   1.5    6
    generated tables and charts, PNG (288)   0   0.3   4     4   3.7   10
    generated pages, PNG (72)                0   0.2   2     4   4.2   10
    tables, charts, pages as JPEG 85 (360)   0   0.4   4     4   4.3   12
    real tables, PNG (300 of TabMWP)         0   0.3   6     4   5.3   14
    real receipts, JPEG (80)                 0   0.8   6     6   6.1   18

The largest distance is up to 50 of 256, for line art that is its own mirror image: half of its
frequencies are zero, and in ``imagehash`` their bits depend on rounding. Up to 256 x 256 pixels the
64-bit hash is made with the same scaling as in ``imagehash``; larger images use averages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from cauldron.transforms.pictures.lanczos import LONGEST, UNTHREADED, Matrix, lanczos
from PIL import Image

SIDE = 32
KEPT = 8
WIDE_SIDE = 64
WIDE_KEPT = 16

# Up to this size exact scaling costs less than 0.2 ms. It matters most for small tables of thin
# text.
EXACT_PIXELS = 256 * 256
# Sides of the averaged picture are between this and twice this, or those of a smaller picture.
AVERAGED_SIDE = 96

# A decoder may reduce a picture before hashing if its shortest side keeps this many pixels. Recall
# of near-duplicates is then within one percentage point of that with the exact hash.
SHORTEST_SIDE = 128


@dataclass(frozen=True, slots=True)
class GreyPicture:
    """A picture in grey, in the forms that hashes and signatures need.

    Attributes:
        grey: mode L, full size, or reduced with the shortest side at least `SHORTEST_SIDE`.
        averages: `grey` averaged over blocks.
        levels: `averages` as an array of shape (height, width).
        values: `levels` in floating point.
        block: width and height of a block; blocks at the right and bottom edge may be smaller.
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
        # As Pillow's `resize` with reducing_gap=3, except that the averages are reused.
        small = lanczos(picture.values, (width / block[0], height / block[1]), SIDE)
    elif max(width, height) <= LONGEST and height <= 100 * width:
        small = lanczos(_levels(picture.grey), (width, height), SIDE)
    else:
        # For long strips, whose scaling Pillow does in another order.
        small = np.asarray(picture.grey.resize((SIDE, SIDE), Image.Resampling.LANCZOS), np.float64)
    # The first product is below 2**33, exact in floating point. The second needs integers.
    low = (_DCT @ small).astype(np.int64) @ _DCT_TRANSPOSED
    return int.from_bytes(_above_median(low), "big")


def phash256(picture: GreyPicture) -> bytes:
    """The hash as 32 bytes, bits in the order of ``imagehash``'s hex string with hash_size=16."""
    (width, height), pixels = picture.grey.size, picture.values
    if min(width, height) < WIDE_SIDE:
        # Too few pixels for the frequencies: scale up, as imagehash does. Only the short side, and
        # only of the averages, because a strip may be a million pixels long.
        width, height = max(width, WIDE_SIDE), max(height, WIDE_SIDE)
        wanted = np.maximum(picture.averages.size, WIDE_SIDE)
        larger = picture.averages.resize(wanted, Image.Resampling.LANCZOS)
        pixels = np.asarray(larger, dtype=np.float64)
    across = _block_cosines(width, picture.block[0])
    down = _block_cosines(height, picture.block[1])
    rows = next(n for n in (WIDE_KEPT, 8, 4) if n * pixels.size <= UNTHREADED)
    columns = (down.reshape(-1, rows, len(pixels)) @ pixels).reshape(WIDE_KEPT, -1)
    return _above_median(columns @ across.T)


def raw_pixels(
    image: Image.Image, most: int, box: tuple[int, int, int, int] | None = None
) -> Iterator[bytes]:
    """The pixels of an RGB or L image as bytes, row by row, in pieces of `most` bytes or one row.

    Like `Image.tobytes`, without joining the pieces. It takes half the time of ``np.asarray``.

    Args:
        box: left, top, right and bottom of a part. `Image.crop` would refuse it by Pillow's limit,
            which is not the recipe's.
    """
    box = box or (0, 0, *image.size)
    width, done = box[2] - box[0], 0
    encoder = Image._getencoder(image.mode, "raw", image.mode)
    encoder.setimage(image.im, box)
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
    # The median is the mean of the middle two; this avoids the division.
    return np.packbits(2 * flat > ordered[half - 1] + ordered[half]).tobytes()


def _cosines() -> npt.NDArray[np.int64]:
    """The first rows of the DCT-II matrix as integers.

    Integers make the hash the same on every processor. In floating point the order of additions
    would decide the bit of a frequency that equals the median, as in flat pictures. With 20 bits
    the largest sum, 255 * 32 * 32 * 2**40, is below 2**63.
    """
    frequency = np.arange(KEPT)[:, None]
    position = np.arange(SIDE)[None, :]
    cosines = np.cos(np.pi * frequency * (2 * position + 1) / (2 * SIDE))
    exact: npt.NDArray[np.int64] = np.rint(cosines * 2**20).astype(np.int64)
    return exact


@lru_cache(maxsize=512)
def _block_cosines(length: int, block: int) -> Matrix:
    """The first rows of the DCT-II matrix of a side, summed over blocks and divided by `block`.

    Whole numbers again, but stored in floating point, where the matrix product is six times as
    fast. With 14 bits and sides below 192 the largest sum, 255 * (191 * 2**14)**2, is below 2**53,
    so additions are exact in any order. Each row except the first sums to zero, so that flat
    pictures of all sizes have the same hash. A cache entry is at most 24 kB.

    Returns:
        shape (16, number of blocks).
    """
    edges = np.append(np.arange(0, length, block), length)
    frequency = np.pi * np.arange(1, WIDE_KEPT)[:, None] / length
    # The sum of the cosines of a block is a difference of sines.
    sums = np.diff(np.sin(frequency * edges)) / (2 * np.sin(frequency / 2))
    rows = np.rint(np.concatenate([np.diff(edges)[None], sums]) / block * 2**14)
    rows[1:, rows.shape[1] // 2] -= rows[1:].sum(axis=1)
    return rows


_DCT = _cosines().astype(np.float64)
_DCT_TRANSPOSED = np.ascontiguousarray(_cosines().T)
