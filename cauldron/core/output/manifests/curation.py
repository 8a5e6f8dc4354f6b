"""The manifests of matchings and curations."""

from __future__ import annotations

from typing import Literal

from cauldron.core.names import Name, SourceName
from cauldron.core.output.counts import CurationCounts
from cauldron.core.output.manifests.base import Frozen, Manifest, RowFile
from cauldron.core.sections.ratings import Scale
from cauldron.core.sections.rules import Action, Conflicts


class MatchCounts(Frozen):
    """Totals of a matching.

    Attributes:
        images: images in rows, exact copies of rows excluded.
        pictures: images with different content.
        candidates: pairs of pictures with close hashes.
        compared: candidates whose pixels were compared in this build. The verdicts on the others
            were taken from an earlier build.
        same: pairs of the same picture.
        other_colours: pairs of the same picture in other colours.
        other_rendering: pairs of the same page in another rendering.
        crowded: pictures with so many candidates that only the nearest were compared.
    """

    images: int
    pictures: int
    candidates: int
    compared: int
    same: int
    other_colours: int = 0
    other_rendering: int = 0
    crowded: int


class MatchManifest(Manifest):
    """``matches/<fingerprint>/manifest.json``: which pictures are the same.

    Attributes:
        corpora, benchmarks: fingerprints by name.
        order: names in the order of the records' `source` numbers, benchmarks last.
        compare_version, opencv: verdicts of other versions are not reused.
        pictures, occurrences, verdicts: a file for each range of content keys.
    """

    format: Literal[1] = 1
    fingerprint: Name
    corpora: dict[SourceName, Name]
    benchmarks: dict[Name, Name]
    order: list[str]
    radius: int
    radius256: int
    aspect: float
    neighbours: int
    compare_version: int
    opencv: str
    pictures: list[RowFile]
    occurrences: list[RowFile]
    verdicts: list[RowFile]
    counts: MatchCounts

    @property
    def files(self) -> list[RowFile]:
        """Every file of the folder except the manifest."""
        return [*self.pictures, *self.occurrences, *self.verdicts]


class CurationManifest(Manifest):
    """``curation/<fingerprint>/manifest.json``.

    Attributes:
        corpora: fingerprints by source.
        priority: the sources in the recipe's order. It decides which of several rows with the
            same pictures stays, and in which order turns are merged.
        matches: fingerprint of the matching; None if duplicates and contamination were not
            searched for.
        benchmarks: fingerprints of the benchmarks to keep out, by name.
        action: what is done with rows that have the same pictures; None if these were not
            searched for.
        conflicts: what is kept of merged questions with several answers.
        max_documents: pictures in more documents were left out of them; None: none were.
        ratings: fingerprints of the ratings for which rows were dropped, by source.
        least: the smallest rating that each turn of a row may have, by scale.
        buckets: files of decisions.
        clusters, contamination: files of evidence; that of pictures first, then that of texts.
        recoloured: how many images are in a cluster as their representative in other colours; None
            if these are not the same picture.
        rerendered: the same of pages in another rendering.
        merged: files of merged texts, a JSON line for each row that took over others.
        reviewed: the file with what became of reviews.
        reviews: how many by what became of them; of the obeyed ones also how many pairs are
            ``same`` and ``different``.
        reviews_digest: of what the reviews say; None without reviews.
    """

    format: Literal[1] = 1
    fingerprint: Name
    corpora: dict[SourceName, Name]
    priority: list[str] = []
    matches: Name | None = None
    benchmarks: dict[Name, Name] = {}
    action: Action | None = None
    conflicts: Conflicts = "keep"
    max_documents: int | None = None
    ratings: dict[SourceName, Name] = {}
    least: dict[Scale, int] = {}
    buckets: list[RowFile]
    clusters: list[RowFile] = []
    contamination: list[RowFile] = []
    recoloured: int | None = None
    rerendered: int | None = None
    merged: list[RowFile] = []
    reviewed: list[RowFile] = []
    reviews: dict[str, int] = {}
    reviews_digest: Name | None = None
    counts: dict[str, CurationCounts]

    @property
    def files(self) -> list[RowFile]:
        """Every file of the folder except the manifest."""
        found = [*self.clusters, *self.contamination, *self.reviewed]
        return [*self.buckets, *found, *self.merged]

    def paths(self, files: list[RowFile]) -> list[str]:
        """The paths of some of its files, relative to the output folder."""
        return [f"curation/{self.fingerprint}/{file.name}" for file in files]
