"""Counts of what happened to rows, by reason."""

from __future__ import annotations

from collections import Counter

from pydantic import Field

from cauldron.core.sections.rules import Strict

Reasons = dict[str, int]


class CurationCounts(Strict):
    """What happened to the rows of one corpus in curation; `merged` and `dropped` by reason.

    Attributes:
        repeated_images: images left out of kept documents, because they are in too many.
    """

    rows_in: int
    kept: int
    merged: Reasons = Field(default_factory=dict)
    dropped: Reasons = Field(default_factory=dict)
    repeated_images: int = 0

    @property
    def accounted(self) -> int:
        """Rows with a known outcome; must equal `rows_in`."""
        return self.kept + sum(self.merged.values()) + sum(self.dropped.values())

    def __add__(self, other: CurationCounts) -> CurationCounts:
        return CurationCounts(
            rows_in=self.rows_in + other.rows_in,
            kept=self.kept + other.kept,
            merged=added(self.merged, other.merged),
            dropped=added(self.dropped, other.dropped),
            repeated_images=self.repeated_images + other.repeated_images,
        )


class RowCounts(CurationCounts):
    """What happened to every row that was read of one source, by reason.

    Attributes:
        images_dropped: images left out of documents that ingest kept, by reason.
    """

    quarantined: Reasons = Field(default_factory=dict)
    images_dropped: Reasons = Field(default_factory=dict)

    @property
    def accounted(self) -> int:
        return super().accounted + sum(self.quarantined.values())

    @property
    def totals(self) -> dict[str, int]:
        """Rows by outcome, `rows_in` first."""
        lost = ("merged", "dropped", "quarantined")
        sums = {name: sum(getattr(self, name).values()) for name in lost}
        return {"rows_in": self.rows_in, "kept": self.kept, **sums}

    def after(self, curation: CurationCounts) -> RowCounts:
        """These counts of ingest, with those of curation added."""
        return RowCounts(
            rows_in=self.rows_in,
            kept=curation.kept,
            merged=added(self.merged, curation.merged),
            dropped=added(self.dropped, curation.dropped),
            quarantined=self.quarantined,
            images_dropped=self.images_dropped,
            repeated_images=curation.repeated_images,
        )


class CorpusCounts(RowCounts):
    """Counts of rows, and of the contents of kept rows.

    Attributes:
        turns_dropped: turns left out of kept rows, by reason.
        bytes_in: bytes of the published files.
    """

    turns: int
    turns_dropped: Reasons = Field(default_factory=dict)
    images: int
    answer_tokens: int
    text_tokens: int
    bytes_in: int


def added(first: Reasons, second: Reasons) -> Reasons:
    """The sums by reason."""
    return dict(sorted((Counter(first) + Counter(second)).items()))
