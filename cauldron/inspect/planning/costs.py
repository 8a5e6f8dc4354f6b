"""What a build takes: core-hours by step, bytes that are stored and bytes that cross a shuffle.

Every rate was measured on two cores of shared virtual machines; docs/scale.md names where. None is
of a cluster at work: start-up of jobs and workers that wait for the last piece come on top.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cauldron.transforms.curate.records import ROW
from cauldron.transforms.matching.records import OCCURRENCE
from cauldron.transforms.mixing.shuffle import REFERENCE

# benchmarks/README.md, "Images by URL": answers of a core in a second, of a server on the machine.
FETCHED_PER_CORE_SECOND = 1_627
# The same, "Ingest and mix": published bytes that ingest reads in a second of a core.
INGEST_BYTES_PER_CORE_SECOND = 33e6
# The same, "Questions from PDFs": a page of a real document, drawn and encoded as PNG.
RENDER_SECONDS = 0.057
# The same, "Signatures": of that page, a grey PNG.
PAGE_SIGNATURE_SECONDS = 0.010
# docs/scale.md, "The whole build": pictures and candidates, at 10^9 pictures.
JOIN_SECONDS = 13 * 3600 / 1e9
# The same: a comparison, and how many candidate pairs a picture has.
COMPARE_SECONDS = 6.7e-3
PAIRS_PER_PICTURE = 1.0
# The same: clusters and decisions of a row; a row of a mixture, and the bytes that it writes.
CURATE_SECONDS = 51e-6
MIX_SECONDS = 142e-6
MIX_BYTES_PER_CORE_SECOND = 224e6

# Bytes that cross a shuffle: a row of a curation and a copy of a mixture are one record each; a
# picture has one in each of the nine copies of its signature at 10^8 pictures, see docs/scale.md.
ROW_SHUFFLED = ROW.itemsize
COPY_SHUFFLED = REFERENCE.itemsize
PICTURE_SHUFFLED = 470 + OCCURRENCE.itemsize

STEPS = ("fetch", "ingest", "match", "curate", "mix")


@dataclass(frozen=True, slots=True)
class Work:
    """What a build has to do; sums are of several sources or stages.

    Attributes:
        fetched_images: that are asked for by their URL, and `fetched_bytes` of them.
        read_bytes: of published files.
        rendered_pages: of PDFs.
        corpus_bytes: of pictures that ingest stores.
        pictures: that are matched with each other.
        compared: pictures of candidate pairs that no other stage of the build compares too.
        curated_rows: that are decided on.
        copies: rows of mixtures, and `mixed_bytes` of them.
    """

    fetched_images: int = 0
    fetched_bytes: int = 0
    read_bytes: int = 0
    rendered_pages: int = 0
    corpus_bytes: int = 0
    pictures: int = 0
    compared: int = 0
    curated_rows: int = 0
    copies: int = 0
    mixed_bytes: int = 0

    def core_hours(self) -> dict[str, float]:
        """By step, in the order in which they run."""
        seconds = (
            self.fetched_images / FETCHED_PER_CORE_SECOND,
            # Fetched images are read as those of a source are.
            (self.read_bytes + self.fetched_bytes) / INGEST_BYTES_PER_CORE_SECOND
            + self.rendered_pages * (RENDER_SECONDS + PAGE_SIGNATURE_SECONDS),
            self.pictures * JOIN_SECONDS + self.compared * PAIRS_PER_PICTURE * COMPARE_SECONDS,
            self.curated_rows * CURATE_SECONDS,
            self.copies * MIX_SECONDS + self.mixed_bytes / MIX_BYTES_PER_CORE_SECOND,
        )
        return dict(zip(STEPS, (value / 3600 for value in seconds), strict=True))

    def again(self) -> Work:
        """What is left of it for another stage of the same build: corpora are made once, and a
        pair of pictures is compared once."""
        return Work(pictures=self.pictures, curated_rows=self.curated_rows)

    @property
    def downloaded_bytes(self) -> int:
        return self.read_bytes + self.fetched_bytes

    @property
    def stored_bytes(self) -> int:
        """Fetched images stand in their store and in the corpus."""
        return self.fetched_bytes + self.corpus_bytes + self.mixed_bytes

    @property
    def shuffled_bytes(self) -> int:
        """Pictures never cross a shuffle, their signatures do."""
        matched = self.pictures * PICTURE_SHUFFLED
        return self.curated_rows * ROW_SHUFFLED + matched + self.copies * COPY_SHUFFLED


def total(works: Iterable[Work]) -> Work:
    items = list(works)
    names = Work.__dataclass_fields__
    return Work(**{name: sum(getattr(item, name) for item in items) for name in names})
