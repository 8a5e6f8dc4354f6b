"""LNQA: questions on photographs, written by a model from Localized Narratives (vikhyatk).

Where: ``vikhyatk/lnqa``, ``data/train-<i>-of-00199.parquet`` (no hash in the names).
Licence: CC-BY-4.0. Size: 302,780 rows, about 93 GB, JPEGs of OpenImages.

A row is ``{image: {bytes, path}, qa: [{question, answer}]}``, about 5 pairs an image. Quirks
handled here:

- The image column is declared with ``decode: false``; in the files it looks like any other.
- `qa` may be empty or null: the row has no turns then, and is dropped as ``no_turns``.
- ``lnqa.jsonl``, the texts alone, is not read.

Option ``splits``: which splits to read, default ``[train]``; some copies have a ``validation``.
"""

from __future__ import annotations

from dataclasses import dataclass

from cauldron.sources.base import Options, Row
from cauldron.sources.formats.parquet import ParquetRow
from cauldron.sources.formats.parquet_files import Columns
from cauldron.sources.formats.parquet_source import ParquetSource
from cauldron.sources.values.rows import image_of, turns_of

_COLUMNS = Columns(("image", "qa"))


@dataclass(frozen=True)
class Lnqa(ParquetSource):
    """LNQA. Option ``splits``: names out of train, validation."""

    def columns(self, options: Options) -> Columns:
        return _COLUMNS

    def row(self, row: ParquetRow, options: Options) -> Row:
        pairs = row.values["qa"]
        turns = turns_of([] if pairs is None else pairs, self.name, "question", "answer")
        return Row(row.origin, [image_of(row.values["image"])], turns)


SOURCE = Lnqa(
    name="lnqa",
    repo="vikhyatk/lnqa",
    title="LNQA: questions on photographs, made from Localized Narratives",
    license="cc-by-4.0",
    published_rows=302_780,
    published_bytes=93_000_000_000,
    default_options={"splits": ("train",)},
)
