"""Bytes of pictures that are not stored as their publisher ships them, but fetched or drawn."""

from __future__ import annotations

from cauldron.inspect.statistics import typical_rows
from cauldron.sources.base import Source

# Of an image that is known by its URL. Assumed: publishers give no sizes.
URL_IMAGE_BYTES = 50_000


def made_bytes(source: Source, rows: float) -> float | None:
    """Of the pictures of so many rows of a source; None if they are stored as published."""
    usual = typical_rows().get(source.name)
    if usual is not None and usual.image_bytes is not None:
        return rows * usual.images * usual.image_bytes
    return rows * URL_IMAGE_BYTES if source.by_url else None
