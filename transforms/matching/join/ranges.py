"""A range of pictures as the join takes it: signatures, crowds thinned out."""

from __future__ import annotations

import numpy as np
from cauldron.transforms.arrays import Array, read_array
from cauldron.transforms.matching.join.blocks import spread
from cauldron.transforms.matching.join.search import DELEGATE, Thinned, thin
from cauldron.transforms.matching.records import PICTURE, SIGNATURE, MatchJob

_READ = np.dtype(
    [(name, PICTURE[name]) for name in ("phash", "phash256", "kind", "width", "height")]
)
_HALF = np.uint64(32)


def read_signatures(number: int, job: MatchJob) -> Array:
    """The `SIGNATURE` records of a range, ascending by number; hashes are spread."""
    pictures = read_array(job.pictures(number), _READ)
    records = np.zeros(len(pictures), dtype=SIGNATURE)
    records["phash"] = spread(pictures["phash"])
    records["phash256"] = pictures["phash256"]
    records["kind"] = pictures["kind"]
    ratio = np.log2(pictures["width"] / pictures["height"])
    records["aspect"] = np.clip(np.rint(1000 * ratio), -(2**15), 2**15 - 1)
    records["number"] = (np.uint64(number) << _HALF) | np.arange(len(pictures), dtype=np.uint64)
    return records


def prepare_range(number: int, job: MatchJob, tell: bool) -> Thinned:
    """A range's signatures as they go to the tables: crowds have sent delegates."""
    left = thin(read_signatures(number, job), job, tell)
    left.records["kind"][left.delegates] |= DELEGATE
    return left
