"""Candidate pairs compared on their pixels.

In: files of `PAIR` records and the verdicts of earlier matchings. Out: files of `VERDICT` records,
one for each range of the first picture's key. `PictureComparer` compares single pairs.
"""

from cauldron.transforms.matching.compare.comparer import PictureComparer, batches
from cauldron.transforms.matching.compare.comparison import COMPARE_VERSION
from cauldron.transforms.matching.compare.pipeline import (
    CompareJob,
    ComparePairs,
    ranges_to_compare,
)

__all__ = [
    "COMPARE_VERSION",
    "CompareJob",
    "ComparePairs",
    "PictureComparer",
    "batches",
    "ranges_to_compare",
]
