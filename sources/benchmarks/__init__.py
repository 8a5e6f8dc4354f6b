"""Benchmarks whose pictures must not be trained on: readers of their published layouts.

`places` finds what a user names with ``--against NAME=PATH``. `selection` picks the files to read.
`layouts` lists the published layouts and assigns a role to each column. `source` makes the
benchmark an ordinary source, so that ingest writes it like a corpus.
"""

from cauldron.sources.benchmarks.places import Place, find_place
from cauldron.sources.benchmarks.source import BenchmarkSource

__all__ = ["BenchmarkSource", "Place", "find_place"]
