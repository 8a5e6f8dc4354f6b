"""Into how many tiles Idefics3 cuts an image, and how many tokens that makes.

Two rules are in use, and they differ for images smaller than the limit:

* ``never`` scales up beyond the next whole tile: the authors' training code. The longest side
  becomes ``longest_edge`` when it is longer, else it is rounded up to whole tiles; the other side
  follows and is rounded up too. 640 x 480 is 2 x 2 tiles of 364 and the whole picture: 5 x 169 =
  845 tokens.
* ``always`` scales the longest side to ``longest_edge``, up as well as down: the published
  processor (``transformers``). 640 x 480 at 1820 is 5 x 4 tiles and the whole picture: 3,549.

Only the tokens that stand for pixels are counted, not the markers around tiles.
"""

from __future__ import annotations

from typing import Literal

Upscale = Literal["never", "always"]

# SigLIP's patch and the connector's pixel shuffle: (364 / 14)^2 / 2^2 = 169 tokens a tile.
PATCH = 14
SHUFFLE = 2

# The processor's own bound on a side after scaling (MAX_IMAGE_SIZE in transformers).
PROCESSOR_LIMIT = 4096


def tile_grid(
    width: int, height: int, longest_edge: int, tile: int, upscale: Upscale = "never"
) -> tuple[int, int]:
    """Rows and columns of tiles; (1, 1) when the image is not cut.

    Args:
        width, height: of the stored image, pixels.
        longest_edge: the stage's limit, pixels; 1820 in Idefics3's fine-tuning.
        tile: side of a tile, pixels.

    Raises:
        ValueError: a size is not positive.
    """
    if min(width, height, longest_edge, tile) <= 0:
        raise ValueError(f"no tiles of {tile} in {width} x {height} at {longest_edge}")
    longest, shortest = max(width, height), min(width, height)
    if upscale == "always":
        longest, shortest = _processor_size(longest, shortest, longest_edge, tile)
    else:
        longest, shortest = _training_size(longest, shortest, longest_edge, tile)
    along, across = -(-longest // tile), -(-shortest // tile)
    return (across, along) if width >= height else (along, across)


def tile_count(
    width: int, height: int, longest_edge: int, tile: int, upscale: Upscale = "never"
) -> int:
    """Inputs of the vision encoder: the tiles and the whole picture, or 1 when it is not cut."""
    rows, columns = tile_grid(width, height, longest_edge, tile, upscale)
    return rows * columns + 1 if rows * columns > 1 else 1


def tokens_per_tile(tile: int, patch: int = PATCH, shuffle: int = SHUFFLE) -> int:
    """169 for tiles of 364; 81 for SmolVLM-2.2B's (384, 14, 3), 64 for (512, 16, 4)."""
    return int(((tile // patch) ** 2) / shuffle**2)


def image_tokens(
    width: int,
    height: int,
    longest_edge: int,
    tile: int,
    per_tile: int | None = None,
    upscale: Upscale = "never",
) -> int:
    """Tokens that stand for one image's pixels.

    Args:
        per_tile: tokens a tile; None: `tokens_per_tile` of `tile`.
    """
    tokens = tokens_per_tile(tile) if per_tile is None else per_tile
    return tokens * tile_count(width, height, longest_edge, tile, upscale)


def _training_size(longest: int, shortest: int, limit: int, tile: int) -> tuple[int, int]:
    """Both sides after scaling, the shorter one not yet rounded up to whole tiles."""
    scaled = limit if longest > limit else -(-longest // tile) * tile
    other = scaled * shortest // longest
    # The authors' way out for slivers whose shorter side would vanish: a single tile.
    return (scaled, other) if other else (tile, tile)


def _processor_size(longest: int, shortest: int, limit: int, tile: int) -> tuple[int, int]:
    """The processor scales twice: to the limit with an even other side, then to whole tiles."""
    scaled, other = limit, limit * shortest // longest
    other = max(other + other % 2, 1)
    if scaled > PROCESSOR_LIMIT:
        scaled, other = PROCESSOR_LIMIT, max(PROCESSOR_LIMIT * other // scaled, 1)
    whole = -(-scaled // tile) * tile
    return whole, max(whole * other // scaled, 1)
