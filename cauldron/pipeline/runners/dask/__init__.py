"""Beam pipelines on a Dask cluster."""
