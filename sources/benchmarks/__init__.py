"""Benchmarks whose pictures must not be trained on: readers of their published layouts.

What a user means by ``--against NAME=PATH`` is found in `places`; which of its files are read is
decided in `selection`; what their columns are for in `layouts`, where the published layouts are
listed. `source` makes them an ordinary source, so that ingest writes them like a corpus.
"""

from cauldron.sources.benchmarks.places import Place, find_place
from cauldron.sources.benchmarks.source import BenchmarkSource

__all__ = ["BenchmarkSource", "Place", "find_place"]
