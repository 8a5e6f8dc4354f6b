"""Clusters of near-duplicates, from compared pairs."""
