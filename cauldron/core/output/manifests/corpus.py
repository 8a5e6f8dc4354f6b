"""The manifests of corpora and benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic.dataclasses import dataclass

from cauldron.core.names import Name, SourceName
from cauldron.core.output.compact import Compact
from cauldron.core.output.counts import CorpusCounts
from cauldron.core.output.manifests.base import (
    STRICT,
    HashedFile,
    Manifest,
    RowFile,
    Tokenizer,
)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class PublishedFile:
    """A file that a source was read from; `version` is its hash or ETag, "" if unknown."""

    path: str
    size: int
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class CorpusPart:
    """One part of a corpus.

    Attributes:
        pack: the record file, a tar with text and images.
        quarantine: the file of rows that were not kept, in the quarantine folder.
    """

    part: int
    parquet: RowFile
    pack: HashedFile | None
    quarantine: RowFile | None


# A source that gave this part of its limit has more rows.
_NEARLY = 0.9


class CorpusManifest(Manifest):
    """``corpus/<source>/<fingerprint>/manifest.json``, and those of benchmarks.

    Attributes:
        limit: rows that were to be read, -1 for all.
    """

    format: Literal[1] = 1
    source: SourceName
    fingerprint: Name
    limit: int = -1
    repo: str
    revision: str | None
    commit: str | None
    license: str
    tokenizer: Tokenizer
    notes: list[str] = []
    files: Annotated[Sequence[PublishedFile], Compact()]
    parts: Annotated[Sequence[CorpusPart], Compact()]
    counts: CorpusCounts

    @property
    def ended_by_limit(self) -> bool:
        """Whether the source has more rows than were read, as far as its files tell. Where a limit
        is divided among files it is not always reached (`cauldron.sources.base.Source.pieces`)."""
        return 0 <= self.limit * _NEARLY <= self.counts.rows_in

    def tables(self, kind: Literal["corpus", "benchmarks"] = "corpus") -> list[str]:
        """The parquet files of the parts, relative to the output folder."""
        folder = f"{kind}/{self.source}/{self.fingerprint}"
        return [f"{folder}/{part.parquet.name}" for part in self.parts]
