"""Clusters of near-duplicates.

In: the verdicts on pairs, and where pictures occur. Out: files of `CLUSTER_SCHEMA` with the images
of each cluster; every picture of a cluster was compared with its representative and is the same.
Pairs that are missing for this are compared here.
"""

from cauldron.transforms.matching.cluster.files import CLUSTER_VERSION, ClusterJob
from cauldron.transforms.matching.cluster.pipeline import ClusterPictures

__all__ = ["CLUSTER_VERSION", "ClusterJob", "ClusterPictures"]
