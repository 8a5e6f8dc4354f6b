"""One configuration of the Cauldron."""

from __future__ import annotations

from dataclasses import dataclass

from cauldron.sources.base import Options, Row
from cauldron.sources.formats.parquet import ParquetRow
from cauldron.sources.formats.parquet_files import Columns
from cauldron.sources.formats.parquet_source import ParquetSource
from cauldron.sources.values.rows import images_of, turns_of

COLUMNS = Columns(("images", "texts"))


@dataclass(frozen=True, kw_only=True)
class TheCauldron(ParquetSource):
    """A configuration whose rows hold their images; takes no options.

    Attributes:
        config: its name, which is its folder.
    """

    config: str

    def columns(self, options: Options) -> Columns:
        return COLUMNS

    def folder(self, options: Options) -> str:
        return self.config

    def row(self, row: ParquetRow, options: Options) -> Row:
        turns = turns_of(row.values["texts"], self.name)
        return Row(row.origin, images_of(row.values["images"]), turns)
