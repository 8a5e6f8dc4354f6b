"""The join: all pairs of pictures whose perceptual hashes are near each other.

In: the files of `PICTURE` records, one for each range of keys. Out: files of `PAIR` records with
every pair whose 64-bit hashes, 256-bit hashes and shapes are within the limits of the job, those of
the whole pictures or of what is inside their borders (`matching.views`). Two exceptions bound the
work: a picture keeps its `neighbours` nearest pairs, and pictures that are alike in thousands are
compared with their neighbours in sorted order only.
"""

from cauldron.transforms.matching.join.graph import JoinPictures, passes_left
from cauldron.transforms.matching.join.pipeline import (
    Candidates,
    distinct_pairs,
    find_candidates,
    found_candidates,
)

__all__ = [
    "Candidates",
    "JoinPictures",
    "distinct_pairs",
    "find_candidates",
    "found_candidates",
    "passes_left",
]
