"""The job that finds texts in common, and its records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from cauldron.transforms.matching.records import CurationJob

# Part of the fingerprint of curations against benchmarks. Raise it when the same texts would give
# other evidence.
TEXT_VERSION = 1

_ROW = [("source", "<u2"), ("part", "<u4"), ("row", "<u4")]

# A sequence of words in a turn: its hash, the hash of the turn's words, and the row.
GRAM = np.dtype([("hash", "<u8"), ("text", "<u8"), *_ROW])

# A sequence that a training row and a benchmark's row have in common.
SHARED = np.dtype([("hash", "<u8"), *_ROW, *[(f"benchmark_{name}", kind) for name, kind in _ROW]])


@dataclass(frozen=True)
class TextJob(CurationJob):
    """Finds the evidence, in ranges of the training rows' ids.

    Attributes:
        ngram: consecutive words that two turns must have in common.
        overlap: the smallest share of the benchmark's words.
        max_texts: a sequence in more different turns is a form of words.
        remove: whether rows with evidence are removed, or only listed.
        remove_pictured: the same where both rows have pictures.
    """

    STEM = "text_contamination"
    ngram: int
    overlap: float
    max_texts: int
    remove: bool
    remove_pictured: bool
