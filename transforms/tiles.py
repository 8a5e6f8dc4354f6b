"""The tile arithmetic under the name that transforms use; it lives in `cauldron.tiles`."""

from __future__ import annotations

from cauldron.tiles import image_tokens, tile_count

__all__ = ["image_tokens", "tile_count"]
