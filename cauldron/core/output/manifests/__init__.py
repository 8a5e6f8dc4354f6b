"""The manifests of an output folder, and the paths of the folders that they describe.

A manifest is written last: a folder without one is unfinished, and readers ignore it. It lists
every file of its folder with size and SHA-256. Totals come from manifests, never from a runner's
counters.
"""

from cauldron.core.output.manifests.base import (
    MANIFEST,
    FileName,
    HashedFile,
    M,
    Manifest,
    RowFile,
    Sha256,
    Tokenizer,
    manifest_bytes,
    read_manifest,
)
from cauldron.core.output.manifests.corpus import (
    CorpusManifest,
    CorpusPart,
    PublishedFile,
)
from cauldron.core.output.manifests.curation import (
    CurationManifest,
    MatchCounts,
    MatchManifest,
)
from cauldron.core.output.manifests.folders import (
    benchmark_folder,
    corpus_folder,
    curation_folder,
    match_folder,
    mixture_folder,
    quarantine_folder,
    ratings_folder,
)
from cauldron.core.output.manifests.mixture import (
    DATA,
    MixtureManifest,
    MixtureTotals,
    SourceInMixture,
    Unavailable,
)
from cauldron.core.output.manifests.ratings import (
    RatingCounts,
    RatingManifest,
)

__all__ = [
    "DATA",
    "MANIFEST",
    "CorpusManifest",
    "CorpusPart",
    "CurationManifest",
    "FileName",
    "HashedFile",
    "M",
    "Manifest",
    "MatchCounts",
    "MatchManifest",
    "MixtureManifest",
    "MixtureTotals",
    "PublishedFile",
    "RatingCounts",
    "RatingManifest",
    "RowFile",
    "Sha256",
    "SourceInMixture",
    "Tokenizer",
    "Unavailable",
    "benchmark_folder",
    "corpus_folder",
    "curation_folder",
    "manifest_bytes",
    "match_folder",
    "mixture_folder",
    "quarantine_folder",
    "ratings_folder",
    "read_manifest",
]
