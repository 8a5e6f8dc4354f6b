"""The join: all pairs of pictures whose perceptual hashes are near each other.

In: the files of `PICTURE` records, one for each range of keys. Out: files of `PAIR` records with
every pair whose 64-bit hashes, 256-bit hashes and shapes are within the limits of the job. Two
exceptions bound the work: a picture keeps its `neighbours` nearest pairs, and pictures that are
alike in thousands are compared with their neighbours in sorted order only.
"""

from cauldron.transforms.matching.join.graph import JoinPictures, passes_left
from cauldron.transforms.matching.join.pipeline import (
    Candidates,
    find_candidates,
    found_candidates,
)

__all__ = ["Candidates", "JoinPictures", "find_candidates", "found_candidates", "passes_left"]
