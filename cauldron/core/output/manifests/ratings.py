"""The manifests of ratings."""

from __future__ import annotations

from typing import Literal

from cauldron.core.names import Name, SourceName
from cauldron.core.output.counts import added
from cauldron.core.output.manifests.base import Frozen, Manifest, RowFile
from cauldron.core.sections.models import ModelRules


class RatingCounts(Frozen):
    """Totals of the ratings of one source.

    Attributes:
        ratings: by scale, how many turns have which rating (``1`` to ``5``), or no rating and why.
        rows: that were rated.
        tokens_in, tokens_out: as the endpoints counted them, for each turn. Equal questions were
            paid for once, so the bill is smaller.
    """

    ratings: dict[str, dict[str, int]]
    rows: int
    tokens_in: int
    tokens_out: int

    def __add__(self, other: RatingCounts) -> RatingCounts:
        scales = sorted({*self.ratings, *other.ratings})
        return RatingCounts(
            ratings={
                scale: added(self.ratings.get(scale, {}), other.ratings.get(scale, {}))
                for scale in scales
            },
            rows=self.rows + other.rows,
            tokens_in=self.tokens_in + other.tokens_in,
            tokens_out=self.tokens_out + other.tokens_out,
        )


class RatingManifest(Manifest):
    """``ratings/<source>/<fingerprint>/manifest.json``: the ratings of the turns of a corpus.

    Attributes:
        corpus: its fingerprint.
        text, vision: the models that rated.
        share: of the rows, 1 for all.
        parts: a file for each part of the corpus.
    """

    format: Literal[1] = 1
    source: SourceName
    fingerprint: Name
    corpus: Name
    text: ModelRules | None
    vision: ModelRules | None
    share: float
    parts: list[RowFile]
    counts: RatingCounts

    def tables(self) -> list[str]:
        """Its files, relative to the output folder."""
        return [f"ratings/{self.source}/{self.fingerprint}/{part.name}" for part in self.parts]
