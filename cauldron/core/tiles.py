"""The tile arithmetic of Idefics3: how an image is resized and cut, and how many tokens result.

There are three rules for images smaller than the limit:

* ``never``, as in the authors' training code: the longest side is scaled down to ``longest_edge``
  if it is longer, else rounded up to whole tiles; the other side follows and is rounded up too.
  640 x 480 becomes 2 x 2 tiles of 364 and the whole picture: 5 x 169 = 845 tokens.
* A number: the image is first scaled up by at most this factor. With 2.0, 640 x 480 becomes 4 x 3
  tiles and the whole picture: 2,197 tokens.
* ``published``, as in the published processor (``transformers``), including its floating-point
  rounding: the longest side is scaled to ``longest_edge``, up or down. At 1820, 640 x 480 becomes
  5 x 4 tiles and the whole picture: 3,549 tokens.

Only the tokens that represent pixels are counted, not the markers around tiles.
"""

from __future__ import annotations

import math
from typing import Literal

Upscale = Literal["published", "never"] | float
Size = tuple[int, int]

# SigLIP's patch and the connector's pixel shuffle: (364 / 14)^2 / 2^2 = 169 tokens a tile.
PATCH = 14
SHUFFLE = 2

# The processor's own bound on a side after scaling (MAX_IMAGE_SIZE in transformers).
PROCESSOR_LIMIT = 4096


def resize_steps(
    width: int, height: int, longest_edge: int, tile: int, upscale: Upscale = "never"
) -> tuple[Size, ...]:
    """The sizes (height, width) that an image is resized to, in order; the last is whole tiles.

    The published processor resizes twice, the training code once.

    Args:
        width, height: of the stored image, pixels.
        longest_edge: the stage's limit, pixels; 1820 in Idefics3's fine-tuning.
        tile: side of a tile, pixels.

    Raises:
        ValueError: an argument is not positive.
    """
    if min(width, height, longest_edge, tile) <= 0:
        raise ValueError(f"no tiles of {tile} in {width} x {height} at {longest_edge}")
    if upscale == "published":
        first = _within(_to_longest(width, height, longest_edge), PROCESSOR_LIMIT)
        return first, _whole_tiles(first, tile)
    factor = 1.0 if upscale == "never" else float(upscale)
    longest, shortest = max(width, height), min(width, height)
    along, across = _training_tiles(longest, shortest, longest_edge, tile, factor)
    whole = (across * tile, along * tile)
    return (whole if width >= height else whole[::-1],)


def tile_grid(
    width: int, height: int, longest_edge: int, tile: int, upscale: Upscale = "never"
) -> tuple[int, int]:
    """Rows and columns of tiles; (1, 1) if the image is not cut. Arguments as in `resize_steps`."""
    rows, columns = resize_steps(width, height, longest_edge, tile, upscale)[-1]
    return rows // tile, columns // tile


def tile_count(
    width: int, height: int, longest_edge: int, tile: int, upscale: Upscale = "never"
) -> int:
    """Inputs of the vision encoder: the tiles and the whole picture, or 1 if it is not cut."""
    rows, columns = tile_grid(width, height, longest_edge, tile, upscale)
    return rows * columns + 1 if rows * columns > 1 else 1


def tokens_per_tile(tile: int, patch: int = PATCH, shuffle: int = SHUFFLE) -> int:
    """169 for tiles of 364; 81 for SmolVLM-2.2B's (384, 14, 3), 64 for (512, 16, 4)."""
    return int(((tile // patch) ** 2) / shuffle**2)


def _training_tiles(
    longest: int, shortest: int, limit: int, tile: int, factor: float
) -> tuple[int, int]:
    """Tiles along the longest side and across it."""
    wanted = longest * factor
    scaled = limit if wanted > limit else math.ceil(wanted / tile) * tile
    other = scaled * shortest // longest
    # As in the authors' code: one tile if the shorter side would become 0.
    return (-(-scaled // tile), -(-other // tile)) if other else (1, 1)


def _to_longest(width: int, height: int, limit: int) -> Size:
    """The longest side at the limit, the other one even."""
    aspect = width / height
    if width >= height:
        other = int(limit / aspect)
        return max(other + other % 2, 1), limit
    other = int(limit * aspect)
    return limit, max(other + other % 2, 1)


def _within(size: Size, limit: int) -> Size:
    height, width = size
    if max(size) <= limit:
        return size
    aspect = width / height
    if width >= height:
        return max(int(limit / aspect), 1), limit
    return limit, max(int(limit * aspect), 1)


def _whole_tiles(size: Size, tile: int) -> Size:
    height, width = size
    aspect = width / height
    if width >= height:
        width = math.ceil(width / tile) * tile
        return math.ceil(int(width / aspect) / tile) * tile, width
    height = math.ceil(height / tile) * tile
    return height, math.ceil(int(height * aspect) / tile) * tile
