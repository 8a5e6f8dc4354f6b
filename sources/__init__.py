"""Readers of the published datasets, one file per family; see `cauldron.sources.base`."""
