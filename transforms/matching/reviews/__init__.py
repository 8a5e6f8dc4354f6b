"""Reviews: what a person says of a pair takes the place of its verdict.

`resolve.py` finds the named pictures and writes what became of each review; `verdicts.py` gives
clusters and contamination the verdicts with the reviews in them.

  - A review of two pictures is obeyed unless a picture is not in the build (``unknown``), both
    names mean one picture (``identical``), one of them is blank (``blank``: those are the same only
    as equal pixels), or earlier reviews say otherwise (``contradicted``). In doubt two pictures are
    not the same: if A is B, B is C and A is not C, the later of the two first is not obeyed.
  - Pictures that are the same by review stay together in one cluster, even where one of them alone
    would have been split off.
  - Pictures that are not the same by review are never in one cluster. If both are the same as the
    representative, the better one stays (`cluster.leader`).
  - A benchmark's picture and a training picture that are not the same by review are no leak, not
    even over another picture.
"""

from cauldron.transforms.matching.reviews.resolve import (
    REVIEW_VERSION,
    ResolveReviews,
    ReviewJob,
    write_asked,
)
from cauldron.transforms.matching.reviews.verdicts import (
    is_same,
    kept_apart,
    reviewed_pairs,
    same_pairs,
    verdicts_of,
)

__all__ = [
    "REVIEW_VERSION",
    "ResolveReviews",
    "ReviewJob",
    "is_same",
    "kept_apart",
    "reviewed_pairs",
    "same_pairs",
    "verdicts_of",
    "write_asked",
]
