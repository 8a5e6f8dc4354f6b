"""What became of the URLs of a source: ``fetched/lists/<source>/<fingerprint>/manifest.json``."""

from __future__ import annotations

from typing import Literal

from cauldron.core import storage
from cauldron.core.names import Name, SourceName
from cauldron.core.output.manifests import Manifest, Sha256


class FetchManifest(Manifest):
    """The images of one source.

    Attributes:
        limit: rows that were read, -1 for all.
        pieces: of the source, each with a list of URLs.
        since: when the images were last asked for again, in nanoseconds; 0 if they never were.
        urls: a URL counts once for each piece that wants it.
        fetched: URLs with an image; `bytes` of these images.
        failed: URLs without one, by a code of `cauldron.core.reasons`.
        digest: of all answers; a part of the corpus's fingerprint.
    """

    format: Literal[1] = 1
    source: SourceName
    fingerprint: Name
    limit: int = -1
    pieces: int
    since: int
    urls: int
    fetched: int
    bytes: int
    failed: dict[str, int]
    digest: Sha256


def lists_folder(output: str, source: str, fingerprint: str) -> str:
    return storage.join(output, "fetched", "lists", source, fingerprint)
