"""Corpus parts: the files that one piece of a source becomes.

A part is a parquet file of text and numbers, a record file, and a quarantine file if some rows were
not kept. A marker in ``_done/`` says that the part is complete and holds its counts. A restarted
build skips parts with a marker, and the manifest is made from the markers. All bytes of a part
follow from its piece, so a retried or duplicated worker writes the same bytes again.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from cauldron.transforms.normalise import Kept, Rejected
from cauldron.transforms.record_files import Placed, RecordFileWriter

from cauldron.core import storage
from cauldron.core.output.markers import Markers
from cauldron.core.schema import CORPUS_SCHEMA, QUARANTINE_SCHEMA

# Limits of a row group, which is held in memory.
_ROW_GROUP_ROWS = 2_000
_ROW_GROUP_CHARS = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PartNames:
    """The folders and the file names of one part."""

    corpus: str
    quarantine: str
    part: int
    parts: int

    def _numbered(self, stem: str, suffix: str) -> str:
        return f"{stem}-{self.part:05d}-of-{self.parts:05d}{suffix}"

    @property
    def parquet(self) -> str:
        return self._numbered("part", ".parquet")

    @property
    def record_file(self) -> str:
        return self._numbered("images", ".tar")

    @property
    def marker(self) -> str:
        return part_markers(self.corpus, self.parts).path(self.part)


def part_markers(corpus: str, parts: int) -> Markers:
    return Markers(corpus, "part", parts, with_count=True)


def record_file(corpus: str, part: int, parts: int) -> str:
    """The path of the record file of a corpus part."""
    return storage.join(corpus, PartNames(corpus, "", int(part), parts).record_file)


def table_file(corpus: str, part: int, parts: int) -> str:
    """The path of the parquet file of a corpus part."""
    return storage.join(corpus, PartNames(corpus, "", int(part), parts).parquet)


@dataclass
class PartCounts:
    """What happened to the rows of a part. ``rows_in`` is the sum of the four counts after it."""

    rows_in: int = 0
    kept: int = 0
    merged: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    turns: int = 0
    turns_dropped: Counter[str] = field(default_factory=Counter)
    images: int = 0
    images_dropped: Counter[str] = field(default_factory=Counter)
    answer_tokens: int = 0
    text_tokens: int = 0
    bytes_in: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            name: dict(sorted(value.items())) if isinstance(value, Counter) else value
            for name, value in vars(self).items()
        }


class PartWriter:
    """Writes one part; a context manager. If the block raises, no file is left behind.

    Attributes:
        lost_bytes: of the source, if nothing of the piece can be read.
    """

    def __init__(self, names: PartNames, source: str) -> None:
        self._names = names
        self._source = source
        self._files = ExitStack()
        self.counts = PartCounts()
        self.lost_bytes = 0
        self._rows: list[dict[str, Any]] = []
        self._rejects: list[dict[str, Any]] = []
        self._chars = 0

    def __enter__(self) -> PartWriter:
        names = self._names
        # Closed in reverse order: the parquet file, which refers to the record file, appears last.
        self._table_file, self._record_file = (
            self._files.enter_context(storage.atomic_write(storage.join(names.corpus, name)))
            for name in (names.parquet, names.record_file)
        )
        self._table = pq.ParquetWriter(self._table_file, CORPUS_SCHEMA, compression="zstd")
        self._records = RecordFileWriter(self._record_file)  # type: ignore[arg-type]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._files.__exit__(kind, error, traceback)
            return
        with self._files:
            self._flush()
            self._table.close()
            self._records.finish()
            quarantine = self._write_quarantine()
        storage.write_json(self._names.marker, self._summary(quarantine))

    def add(self, result: Kept | Rejected, rows: int) -> None:
        """Add one outcome, which stands for `rows` published rows."""
        self.counts.rows_in += rows
        self.counts.turns_dropped.update(result.turns_dropped)
        if isinstance(result, Kept):
            self._keep(result)
            self.counts.images_dropped.update(result.images_dropped)
            self.counts.kept += 1
            if rows > 1:
                self.counts.merged["same_image"] += rows - 1
            return
        row = result.row
        tally = self.counts.dropped if result.outcome == "dropped" else self.counts.quarantined
        tally[row.reason] += rows
        self._rejects.append(
            {
                "source": self._source,
                "outcome": result.outcome,
                "reason": row.reason,
                "message": row.message,
                "origin": row.origin.model_dump(),
                "rows": rows,
            }
        )

    def _keep(self, kept: Kept) -> None:
        sample = kept.sample
        placed = self._records.add(sample, kept.images)
        row = corpus_row(kept, placed, self._names.record_file)
        self._rows.append(row)
        self._chars += sum(
            len(part["text"] or "") for message in row["messages"] for part in message["content"]
        )
        self.counts.turns += row["turns"]
        self.counts.images += len(sample.images)
        self.counts.answer_tokens += row["answer_tokens"]
        self.counts.text_tokens += row["text_tokens"]
        if len(self._rows) >= _ROW_GROUP_ROWS or self._chars >= _ROW_GROUP_CHARS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._table.write_table(pa.Table.from_pylist(self._rows, schema=CORPUS_SCHEMA))
        self._rows, self._chars = [], 0

    def _write_quarantine(self) -> dict[str, Any] | None:
        path = storage.join(self._names.quarantine, self._names.parquet)
        if not self._rejects:
            return None
        table = pa.Table.from_pylist(self._rejects, schema=QUARANTINE_SCHEMA)
        with storage.atomic_write(path) as file:
            pq.write_table(table, file, compression="zstd")
        return file.entry(self._names.parquet, table.num_rows)

    def _summary(self, quarantine: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "part": self._names.part,
            "parquet": self._table_file.entry(self._names.parquet, self.counts.kept),
            "pack": self._record_file.entry(self._names.record_file),
            "quarantine": quarantine,
            "counts": self.counts.to_json(),
            "lost_bytes": self.lost_bytes,
        }


def corpus_row(kept: Kept, placed: Placed, file_name: str) -> dict[str, Any]:
    """A row of `CORPUS_SCHEMA`."""
    columns = kept.sample.columns()
    images = zip(columns["image_info"], kept.signatures, placed.images, strict=True)
    return columns | {
        "image_info": [
            info | asdict(signature) | {"offset": offset, "length": length}
            for info, signature, (offset, length) in images
        ],
        "pack": file_name,
        "offset": placed.offset,
        "length": placed.length,
    }
