"""Rows that cannot be trained on: why, which, how many, and when there are too many."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from cauldron.core.errors import CauldronError

log = logging.getLogger(__name__)


class BadRow(Exception):  # noqa: N818 - a finding about one row, caught where rows are read
    """This row is skipped.

    Args:
        reason: a short code, counted.
        message: what was found.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type[BadRow], tuple[str, str]]:
        return type(self), (self.reason, self.message)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that was left out. `shard` and `row` say where it stands in the mixture."""

    id: str
    source: str
    shard: str
    row: int
    reason: str
    message: str


class BadRows:
    """Counts and names skipped rows; too many in a row end the run.

    A shard that went missing or a codec that is not installed makes every row bad: the run ends
    instead of training on what happens to be left.

    Args:
        limit: so many in a row are too many.
        quiet: count only; another rank names them.

    Attributes:
        counts: skipped rows by (source, reason).
    """

    def __init__(self, limit: int, *, quiet: bool = False) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._limit = limit
        self._quiet = quiet
        self._in_a_row = 0

    def good(self) -> None:
        """A row was fine."""
        self._in_a_row = 0

    def bad(self, row: Skipped) -> None:
        """Count and name a row. Raises CauldronError when it is one too many in a row."""
        self.counts[row.source, row.reason] += 1
        if not self._quiet:
            log.warning(
                "skipped row %s of %s (%s, row %d): %s: %s",
                *(row.id, row.source, row.shard, row.row, row.reason, row.message),
            )
        self._in_a_row += 1
        if self._in_a_row > self._limit:
            raise CauldronError(
                f"{self._in_a_row} bad rows in a row, more than max_bad_rows; the last is "
                f"{row.id} of {row.source} ({row.shard}, row {row.row}): {row.reason}: "
                f"{row.message}; check the mixture with cauldron verify"
            )

    def seen(self, rows: Iterable[Skipped | None]) -> None:
        """Rows in order; None stands for one that was fine."""
        for row in rows:
            if row is None:
                self.good()
            else:
                self.bad(row)
