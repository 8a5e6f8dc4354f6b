"""Rows that cannot be trained on: they are named, counted, and too many of them end the run."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from cauldron.core.errors import CauldronError

log = logging.getLogger(__name__)


class BadRow(Exception):  # noqa: N818 - not a failure, caught where rows are read
    """This row is skipped.

    Args:
        reason: a short code that rows are counted by.
        message: details.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type[BadRow], tuple[str, str]]:
        return type(self), (self.reason, self.message)


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """A row that was skipped. `shard` and `row` locate it in the mixture."""

    id: str
    source: str
    shard: str
    row: int
    reason: str
    message: str


class BadRows:
    """Counts and logs skipped rows. Too many in a row end the run.

    A missing shard or codec makes every row bad: the run ends instead of training on the rest.

    Args:
        limit: most bad rows in a row.
        quiet: count only; another rank logs them.

    Attributes:
        counts: skipped rows by (source, reason).
    """

    def __init__(self, limit: int, *, quiet: bool = False) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._limit = limit
        self._quiet = quiet
        self._in_a_row = 0

    def _skip(self, row: SkippedRow) -> None:
        """Count and log a row."""
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

    def record(self, rows: Iterable[SkippedRow | None]) -> None:
        """Take in rows in order; None is a good row.

        Raises:
            CauldronError: there are more than `limit` bad rows in a row.
        """
        for row in rows:
            if row is None:
                self._in_a_row = 0
            else:
                self._skip(row)
