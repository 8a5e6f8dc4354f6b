"""Published counts of the sources, read from the package's data folder."""

from __future__ import annotations

import csv
import importlib.resources
from dataclasses import dataclass

from cauldron.core.errors import UsageError
from cauldron.core.shares import SourceCounts

# Figures of the paper's table may differ by this much, which is rounding.
AGREEMENT = 0.02


@dataclass(frozen=True, slots=True)
class Published:
    """One row of a published mixture table.

    Attributes:
        rows: images, or question-answer pairs for a set without images.
        weight: from the authors' build code.
        percent_printed: share of answer tokens as printed in the paper, per cent.
        percent_from_weights: the same, computed from tokens x weight.
    """

    source: str
    group: str
    title: str
    rows: int
    answer_tokens: float
    weight: float
    percent_printed: float
    percent_from_weights: float

    @property
    def misprint(self) -> bool:
        """The printed figure does not follow from the published weights."""
        return abs(self.percent_printed - self.percent_from_weights) > AGREEMENT

    def counts(self) -> SourceCounts:
        # The paper counts tokens before the cap on turns; turns per row are not published.
        return SourceCounts(self.rows, self.answer_tokens, self.answer_tokens)


def published(table: str) -> dict[str, Published]:
    """A packaged table by source. Raises UsageError for an unknown table."""
    path = importlib.resources.files("cauldron") / "data" / f"{table}.csv"
    if not path.is_file():
        raise UsageError(f"no packaged statistics {table!r}")
    result = {}
    for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
        result[row["source"]] = Published(
            source=row["source"],
            group=row["group"],
            title=row["dataset"],
            rows=int(row["images"]) or int(row["qa_pairs"]),
            answer_tokens=float(row["answer_tokens"]),
            weight=float(row["weight"]),
            percent_printed=float(row["percent_printed"]),
            percent_from_weights=float(row["percent_from_weights"]),
        )
    return result
