"""How a Beam pipeline runs: here, on a Dask cluster, on Dataflow or on any portable runner."""
