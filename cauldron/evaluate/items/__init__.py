"""Items of the published benchmarks: where they stand, and how a row becomes an item."""
