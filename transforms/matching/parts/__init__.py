"""Benchmark pictures that a training picture shows in part, mirrored or in other colours.

The join compares whole pictures by their hashes, so it finds none of these. Here benchmarks are the
small side: their local features are indexed, every training picture is decoded once, its features
are looked up, and what meets is decided on pixels (`compare.compare`).

    benchmark pictures ─features─▶ index ──────────┐ side input
    training pictures ──features─▶ ──────────▶ proposals ─geometry─▶ places ─judge─▶ leaks

  - ``part``: the training picture shows at least 57 % of each side of the benchmark picture: crops
    of up to 20 % an edge, borders, captions, screens, collages.
  - ``mirrored``: the whole picture, mirrored or upside down. Proposed by its hashes.
  - ``colours``: the same picture, or part of it, in other colours: grey, a palette, more or less
    saturated, more or less contrast.
  - ``watermark``: the same picture, or part of it, under a half-transparent mark.

Every leak becomes evidence like any other (`contamination`). Equal pictures give equal leaks on
every runner and number of workers: samples are drawn with fixed seeds, and batches do not matter.
"""

from cauldron.transforms.matching.parts.pipeline import FindParts, features_each
from cauldron.transforms.matching.parts.records import PARTS_VERSION

__all__ = ["PARTS_VERSION", "FindParts", "features_each"]
