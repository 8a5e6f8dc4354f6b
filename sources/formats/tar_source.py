"""A source whose rows are in WebDataset tars, one sample after another."""

from __future__ import annotations

import abc
import bisect
import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from cauldron.sources import base
from cauldron.sources.base import BadRow, Options, Piece, Row, Source
from cauldron.sources.formats.webdataset import TarSample, is_tar, tar_samples
from cauldron.sources.repos.files import FileInfo, Repo, Root

from cauldron.core.errors import SourceUnavailable
from cauldron.core.schema import Origin

TAR = "tar"
# Tars that a limit is divided among, of those that hold it by the average: so that one which is
# somewhat shorter than the others still gives its part.
_SPARE = 1.1


@dataclass(frozen=True)
class TarSource(Source):
    """Finds the tars and streams them; a reader defines what the rows of a sample are.

    A tar is a piece. How many rows it has is only known when it is read. So with a small `limit`
    one piece holds the first tars and reads them one after the other until there are enough rows.
    A limit of more than `base.IN_TURN_ROWS` is divided among the first tars, as many as are
    expected to hold a tenth more rows: each is a piece and gives its first rows. A tar that is
    shorter than its part leaves the source that much short of the limit.

    `Origin.row` counts the rows of a tar. A tar that is damaged gives one record of its own, after
    the rows before the damage.

    Attributes:
        max_member_bytes: the most that a member may hold.
        suffixes: of the members that are read.
        rows_per_tar: on average, as published; None if unknown: a tar's rows are then expected by
            its size and the published rows and bytes.
    """

    max_member_bytes: ClassVar[int]
    suffixes: ClassVar[tuple[str, ...]]
    rows_per_tar: ClassVar[int | None] = None

    @abc.abstractmethod
    def sample_rows(
        self, sample: TarSample, origin: Origin, options: Options
    ) -> Iterator[Row | BadRow]:
        """The rows of a sample; none if the tar ends within it (`TarSample.error`).

        Args:
            origin: the tar; the rows' numbers are filled in later.
        """

    def files(self, repo: Repo, options: Options) -> list[FileInfo]:
        found = [file for file in repo.list() if is_tar(file.path)]
        if not found:
            remedy = "download the whole dataset repository"
            raise SourceUnavailable(self.repo, f"no .tar for {self.name}", remedy)
        return found

    def pieces(self, root: Root, repo: Repo, options: Options, limit: int = -1) -> list[Piece]:
        files = self.files(repo, self.settled(options))
        if limit < 0:
            return [Piece(self.name, file.path, TAR, size=file.size) for file in files]
        if limit == 0:
            return []
        if limit > base.IN_TURN_ROWS:
            return self._divided(files, limit)
        first = files[:limit]  # a tar without any row is no real one
        paths = json.dumps([file.path for file in first])
        size = sum(file.size for file in first)
        return [Piece(self.name, first[0].path, TAR, size=size, limit=limit, detail=paths)]

    def _divided(self, files: list[FileInfo], limit: int) -> list[Piece]:
        expected = [self._expected_rows(file) for file in files]
        sums = list(itertools.accumulate(expected))
        count = 1 + bisect.bisect_left(sums, limit * _SPARE)
        first, whole = files[:count], sums[:count][-1]
        ends = [round(limit * rows / whole) for rows in sums[:count]]
        limits = (b - a for a, b in itertools.pairwise([0, *ends]))
        return [
            Piece(
                self.name, file.path, TAR, size=round(file.size * min(1, part / rows)), limit=part
            )
            for file, rows, part in zip(first, expected, limits, strict=False)
            if part
        ]

    def _expected_rows(self, file: FileInfo) -> float:
        if self.rows_per_tar is not None:
            return self.rows_per_tar
        if not self.published_rows or not self.published_bytes:
            return 1.0  # all alike
        return max(1.0, file.size * self.published_rows / self.published_bytes)

    def rows(
        self, root: Root, repo: Repo, piece: Piece, options: Options
    ) -> Iterator[Row | BadRow]:
        left = piece.limit if piece.limit >= 0 else sys.maxsize
        for path in json.loads(piece.detail) if piece.detail else [piece.file]:
            for row in self._tar_rows(repo, path, options):
                if row.rows > left:
                    row = replace(row, rows=left)
                yield row
                left -= row.rows
                if left <= 0:
                    return

    def _tar_rows(self, repo: Repo, path: str, options: Options) -> Iterator[Row | BadRow]:
        number = 0
        with repo.open(path) as file:
            for sample in tar_samples(file, self.max_member_bytes, self._is_wanted):
                if sample.members:
                    for row in self.sample_rows(sample, Origin(file=path), options):
                        row.origin = row.origin.model_copy(update={"row": number})
                        number += row.rows
                        yield row
                if sample.error is not None:
                    yield sample.error.bad_row(Origin(file=path))

    def _is_wanted(self, name: str) -> bool:
        return name.lower().endswith(self.suffixes)
