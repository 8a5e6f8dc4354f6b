"""Check stored perceptual hashes against those of the ``imagehash`` package.

Duplicates are found by hashes of our own code, which reads reduced pictures. So a few pictures of
each part are hashed by the reference, from their stored bytes. A single picture proves nothing:
half of the frequencies of one that is its own mirror image are zero, and their bits depend on
rounding. Hashes of unrelated pictures differ in about half of their bits. So a corpus is wrong
where more than half of at least `FEWEST` pictures are further from the reference than `FURTHEST`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import imagehash
import numpy as np

from cauldron.core.errors import NotKept
from cauldron.core.sections.rules import ImageRules
from cauldron.transforms.pictures.opening import decoding, open_image

CHECKED = 8  # pictures of a part
FEWEST = 8  # pictures of a corpus that are enough to judge it
FURTHEST = (
    0.35  # of the bits. Measured of right hashes: at most 0.2, see `transforms/pictures/hashes`.
)

_MOST_PIXELS = 4_000_000  # of a picture that is checked: 0.1 s
_FLAT = 8  # levels between the darkest and the lightest pixel: hashes of less are rounding


def distance(data: bytes, info: Mapping[str, Any]) -> float | None:
    """How far both stored hashes of a picture are from the reference's.

    Args:
        data: the stored picture.
        info: its entry in the row's ``image_info``.

    Returns:
        the larger share of bits that differ, 0 to 1. None for a picture that is too large to check
        in passing, too flat to have a hash, or that does not decode: ingest stores what decodes,
        and a byte that has changed since is another check's finding.
    """
    if info["width"] * info["height"] > _MOST_PIXELS:
        return None
    try:
        with decoding(), open_image(data, ImageRules(hard_max_pixels=_MOST_PIXELS)) as image:
            grey = image.convert("L")
    except NotKept:
        return None
    if np.ptp(np.asarray(grey)) < _FLAT:
        return None
    return max(
        _share(imagehash.phash(grey), f"{info['phash']:016x}"),
        _share(imagehash.phash(grey, hash_size=16), info["phash256"].hex()),
    )


def _share(reference: imagehash.ImageHash, stored: str) -> float:
    return float((reference - imagehash.hex_to_hash(stored)) / reference.hash.size)


def hash_problems(where: str, distances: list[float]) -> list[str]:
    """Judge a corpus by the distances of the pictures that were checked."""
    far = sum(found > FURTHEST for found in distances)
    if len(distances) < FEWEST or far <= len(distances) / 2:
        return []
    return [
        f"{where}: the stored hashes of {far} of {len(distances)} pictures are not "
        f"theirs: more than {FURTHEST:.0%} of the bits differ from imagehash's"
    ]
