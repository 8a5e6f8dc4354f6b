"""Tables of `cauldron docmatix`, the names of their parts, and the settings of its jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from cauldron.sources.repos.files import Repo

from cauldron.core import storage
from cauldron.core.output.markers import marker_path
from cauldron.core.sections.docmatix import DocmatixRules
from cauldron.core.stores.hashing import HashingWriter

_CHUNK = pa.struct(
    [
        ("start", pa.int32()),
        ("stop", pa.int32()),
        ("tokens", pa.int32()),
        ("role", pa.int8()),
        ("request", pa.string()),
    ]
)
# What was read of a document, and the requests on it. Kept: a run resumes from it.
SELECTION_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("file", pa.string()),
        ("sha256", pa.string()),
        ("bytes", pa.int64()),
        ("pages", pa.int32()),
        ("tokens", pa.int64()),
        ("text_from", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("message", pa.string()),
        ("texts", pa.list_(pa.string())),
        ("chunks", pa.list_(_CHUNK)),
    ]
)
DOCUMENT_SCHEMA = pa.schema(
    [
        *(field for field in SELECTION_SCHEMA if field.name not in ("texts", "chunks")),
        ("requests", pa.int32()),
        ("unanswered", pa.int32()),
        ("pairs", pa.int32()),
        ("pairs_kept", pa.int32()),
    ]
)
PAIR_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("chunk", pa.int32()),
        ("role", pa.string()),
        ("number", pa.int32()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
# Small enough that a reader may hold a row group.
_ROW_GROUP_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Selection:
    """Where the selection is, and how it was made.

    Attributes:
        repo: holds the PDFs.
        parts: how many pieces they were cut into.
        folder: of the selection.
    """

    repo: Repo
    rules: DocmatixRules
    seed: int
    parts: int
    folder: str

    def path(self, part: int) -> str:
        return storage.join(self.folder, f"part-{part:05d}-of-{self.parts:05d}.parquet")

    def marker(self, part: int) -> str:
        return marker_path(self.folder, "part", part, self.parts)

    def rows(self, part: int, columns: list[str] | None = None) -> list[dict[str, Any]]:
        """The documents of a part, in the order of its piece."""
        with storage.open_read(self.path(part)) as file:
            rows: list[dict[str, Any]] = pq.read_table(file, columns=columns).to_pylist()
        return rows


class TableWriter:
    """Rows to a parquet file whose bytes follow from the rows alone.

    Args:
        stored: leaves that are not worth compressing again: PNG and PDF.
    """

    def __init__(
        self, file: HashingWriter, schema: pa.Schema, stored: tuple[str, ...] = ()
    ) -> None:
        leaves = _leaves(schema)
        text = [leaf for leaf in leaves if leaf not in stored]
        self._schema = schema
        self._writer = pq.ParquetWriter(
            file,
            schema,
            compression={leaf: "ZSTD" if leaf in text else "NONE" for leaf in leaves},
            use_dictionary=False,
            # Statistics of pages would put pages into the footer.
            write_statistics=text,
        )
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self.rows = 0

    def add(self, row: dict[str, Any], size: int = 1_000) -> None:
        """Add a row of about `size` bytes."""
        self._rows.append(row)
        self._bytes += size
        self.rows += 1
        if self._bytes >= _ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            table = pa.Table.from_pylist(self._rows, schema=self._schema)
            self._writer.write_table(table, row_group_size=len(self._rows))
        self._rows, self._bytes = [], 0


def _leaves(schema: pa.Schema) -> list[str]:
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    columns = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    return [columns.column(number).path for number in range(len(columns))]
