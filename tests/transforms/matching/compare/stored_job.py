"""A matching job over a few encoded pictures, for tests of `PictureComparer`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from cauldron.transforms.arrays import write_array
from cauldron.transforms.matching.records import PICTURE, MatchJob, MatchSource
from PIL import Image


def stored_job(folder: Path, datas: Sequence[bytes], ground: int = 0) -> MatchJob:
    """The pictures in one pack, numbered in their order; all have this `ground`."""
    pictures, offset = np.zeros(len(datas), dtype=PICTURE), 0
    for picture, data in zip(pictures, datas, strict=True):
        with Image.open(io.BytesIO(data)) as image:
            picture["width"], picture["height"] = image.size
        picture["ground"], picture["offset"], picture["length"] = ground, offset, len(data)
        offset += len(data)
    (folder / "corpus").mkdir()
    (folder / "corpus" / "images-00000-of-00001.tar").write_bytes(b"".join(datas))
    source = MatchSource("a", str(folder / "corpus"), 1)
    job = MatchJob((source,), str(folder / "matches"), 1, 8, 56, 0.035, 32)
    write_array(job.pictures(0), pictures)
    return job
