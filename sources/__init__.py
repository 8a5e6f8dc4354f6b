"""Readers of the published datasets, one file per family; see `sources.base`."""
