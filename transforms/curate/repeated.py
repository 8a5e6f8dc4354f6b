"""Pictures in too many documents: logos, banners, placeholders of pictures that are gone.

A worker gets all images of a range of clusters, so all documents that show one picture, and counts
them. An image is 34 bytes here: a logo in a million documents takes 34 MB of one worker.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from cauldron.transforms.arrays import Array, from_bytes, starts
from cauldron.transforms.curate.records import LEFT_OUT, SHOWN

_ORDER = ("image", "low", "high", "cluster_low", "cluster_high")


def find_repeated(pieces: Iterable[bytes], most: int) -> Array:
    """`LEFT_OUT` records of the pictures that are in more than `most` documents.

    A document that shows a picture several times counts once, and is left without all of them.

    Args:
        pieces: `SHOWN` records, all those of each cluster that has any.
    """
    images = from_bytes(pieces, SHOWN)
    images = images[np.lexsort([images[name] for name in _ORDER])]
    new_cluster = starts(images, "cluster_high", "cluster_low")
    new_row = starts(images, "cluster_high", "cluster_low", "high", "low")
    cluster = np.cumsum(new_cluster) - 1
    documents = np.bincount(cluster, weights=new_row) if len(images) else np.zeros(0)
    repeated = images[documents[cluster] > most]
    found = np.zeros(len(repeated), dtype=LEFT_OUT)
    found["high"], found["low"] = repeated["high"], repeated["low"]
    found["images"] = np.uint64(1) << repeated["image"].astype(np.uint64)
    return found
