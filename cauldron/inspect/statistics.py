"""Published counts of the sources: a table in the package's data folder, or a file."""

from __future__ import annotations

import csv
import importlib.resources
from dataclasses import dataclass

from cauldron.core import storage
from cauldron.core.errors import UsageError
from cauldron.core.shares import SourceCounts

# Figures of the paper's table may differ by this much, which is rounding.
AGREEMENT = 0.02


@dataclass(frozen=True, slots=True)
class Published:
    """One row of a published mixture table.

    Attributes:
        rows: images, or question-answer pairs for a set without images.
        images: 0 for a set without.
        turns: question-answer pairs.
        answer_tokens: as printed.
        corrected_tokens: likely, where the printed ones cannot be; else None.
        weight: from the authors' build code.
        percent_printed: share of answer tokens as printed in the paper, per cent.
        percent_from_weights: the same, computed from tokens x weight.
    """

    source: str
    group: str
    title: str
    rows: int
    images: int
    turns: int
    answer_tokens: float
    corrected_tokens: float | None
    weight: float
    percent_printed: float
    percent_from_weights: float

    @property
    def misprint(self) -> bool:
        """The printed figure does not follow from the published weights."""
        return abs(self.percent_printed - self.percent_from_weights) > AGREEMENT

    @property
    def share(self) -> float:
        """Of the answer tokens, 0 to 1, from tokens x weight."""
        return self.percent_from_weights / 100

    def counts(self) -> SourceCounts:
        """As printed: the paper counts tokens before the cap on turns."""
        return SourceCounts(self.rows, self.answer_tokens, self.answer_tokens)

    def expected(self, rows: int | None, cap: float | None) -> SourceCounts:
        """What a build is likely to count.

        Args:
            rows: of the copy that is read, None if unknown. More rows than published ones are the
                same questions in rows of their own.
            cap: most turns in a copy; turns per row are known on average only.
        """
        rows = self.rows if rows is None else rows
        tokens = (self.corrected_tokens or self.answer_tokens) * min(1, rows / self.rows)
        part = 1.0 if cap is None else min(1.0, cap * self.rows / self.turns)
        return SourceCounts(rows, tokens, part * tokens)


def published(table: str | None) -> dict[str, Published]:
    """A table by source; without one, nothing is known.

    Args:
        table: name of a packaged table, or path of a CSV file with the same columns.

    Raises:
        UsageError: there is no such table, or it has other columns or values.
    """
    if table is None:
        return {}
    try:
        rows = csv.DictReader(_text(table).splitlines())
        return {row["source"]: _published(row) for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"statistics {table!r}: {type(error).__name__} {error}") from None


def published_counts(table: str | None) -> dict[str, SourceCounts]:
    return {name: row.counts() for name, row in published(table).items()}


def expected_counts() -> dict[str, SourceCounts]:
    """What is expected of complete sources of pre-training."""
    return {name: row.counts() for name, row in typical_rows().items()}


@dataclass(frozen=True, slots=True)
class Typical:
    """What the rows of a source are expected to be before any is read, on average.

    Attributes:
        text_tokens, answer_tokens: of a row; equal for a document.
        images: of a row.
        width, height: of an image, pixels.
        image_bytes: of an image that is not stored as it is published, but fetched from its URL or
            rendered from a PDF; else None.
    """

    rows: int
    text_tokens: float
    answer_tokens: float
    images: float
    width: int
    height: int
    image_bytes: int | None

    def counts(self, rows: int | None = None) -> SourceCounts:
        """Args: rows: of the copy that is read; None: all."""
        rows = self.rows if rows is None else rows
        return SourceCounts(rows, rows * self.answer_tokens, rows * self.answer_tokens)


def typical_rows() -> dict[str, Typical]:
    """The sources of pre-training; which figures are assumed is in ``data/typical_rows.csv``."""
    return {
        row["source"]: Typical(
            rows=int(row["rows"]),
            text_tokens=float(row["text_tokens"]),
            answer_tokens=float(row["answer_tokens"]),
            images=float(row["images"]),
            width=int(row["width"]),
            height=int(row["height"]),
            image_bytes=int(row["image_bytes"]) if row["image_bytes"] else None,
        )
        for row in csv.DictReader(_text("typical_rows").splitlines())
    }


def _text(table: str) -> str:
    path = importlib.resources.files("cauldron") / "data" / f"{table}.csv"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    try:
        return storage.read_bytes(table).decode()
    except FileNotFoundError:
        raise UsageError(f"no statistics {table!r}: neither a packaged table nor a file") from None


def _published(row: dict[str, str]) -> Published:
    return Published(
        source=row["source"],
        group=row["group"],
        title=row["dataset"],
        rows=int(row["images"]) or int(row["qa_pairs"]),
        images=int(row["images"]),
        turns=int(row["qa_pairs"]),
        answer_tokens=float(row["answer_tokens"]),
        corrected_tokens=float(row["corrected_tokens"]) if row["corrected_tokens"] else None,
        weight=float(row["weight"]),
        percent_printed=float(row["percent_printed"]),
        percent_from_weights=float(row["percent_from_weights"]),
    )
