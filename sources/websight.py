"""WebSight: screenshots of made web pages and their HTML, the full set (Hugging Face M4).

Where: ``HuggingFaceM4/WebSight``. Licence: CC-BY-4.0. Two versions, option ``version``:

- ``v0.2`` (default): ``v0.2/train-<i>-of-00738-<hash>.parquet``, 1,922,671 rows, 145 GB; Tailwind
  CSS, JPEG screenshots of the whole page at twice the resolution, so some are very tall.
- ``v0.1``: ``data/train-<i>-of-00071-<hash>.parquet``, 822,987 rows, 31 GB; plain CSS.

The Cauldron's ``websight`` is 10,000 rows of it; this source is for a recipe that needs more.

A row is ``{image: {bytes, path}, text}`` and becomes the document [screenshot, HTML]. v0.2 has a
column ``llm_generated_idea`` beside them, a sentence from which the page was made; it is not read.
A very tall screenshot is published as it is: the recipe's rules for pictures decide on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from cauldron.sources.base import Options, Row
from cauldron.sources.formats.parquet import ParquetRow
from cauldron.sources.formats.parquet_files import Columns
from cauldron.sources.formats.parquet_source import ParquetSource
from cauldron.sources.values.documents import described
from cauldron.sources.values.rows import image_of

from cauldron.core.errors import UsageError

_FOLDERS = {"v0.1": "data", "v0.2": "v0.2"}


@dataclass(frozen=True)
class WebSight(ParquetSource):
    """WebSight. Option ``version``: v0.1 or v0.2."""

    def settled(self, options: Options) -> Options:
        options = super().settled(options)
        if options["version"] not in _FOLDERS:
            raise UsageError(f"websight: version is v0.1 or v0.2, not {options['version']!r}")
        return options

    def columns(self, options: Options) -> Columns:
        return Columns(("image", "text"))

    def folder(self, options: Options) -> str:
        return _FOLDERS[options["version"]]

    def row(self, row: ParquetRow, options: Options) -> Row:
        image = image_of(row.values["image"])
        return described(row.origin, image, row.values["text"], "HTML")


SOURCE = WebSight(
    name="websight",
    repo="HuggingFaceM4/WebSight",
    title="WebSight: screenshots of made web pages to HTML",
    license="cc-by-4.0",
    published_rows=1_922_671,
    published_bytes=144_861_710_051,
    default_options={"version": "v0.2"},
)
