"""LAION-COCO: images of the web by their URL, with captions by models (LAION).

Where: ``laion/laion-coco``, whose page on the hub now leads to the successor,
``laion/relaion-coco`` (source ``relaion_coco``, the same reader): parquet at the root or in a
folder, 234 GB as the page says, behind terms that must be accepted. Licence: CC-BY-4.0 (recalled;
the successor's page has no card). Rows: about 600 million (recalled; the page says between 100
million and a billion).

A row is ``{URL, TEXT, top_caption, all_captions: [text], WIDTH, HEIGHT, similarity, …}``. It
becomes the document [image, caption]; the image is fetched while the source is ingested.

Option ``caption``: which text. ``top_caption`` (default, the best by CLIP of several captions),
``all_captions`` (one of them, by a hash of the URL) or ``TEXT``, the alternative text of the page.

Quirks handled here:

- The size columns are integers in some copies, floats or null in others. They are not read: the
  size of what is fetched counts.
- The successor's users name its columns ``url`` and ``caption``; both spellings are read, and
  ``caption`` stands for ``top_caption``.
- A caption that is null or blank is ``empty_document``; a URL that is null, empty or not http(s) is
  ``bad_url``; a file without the columns gives ``wrong_columns`` for each of its rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cauldron.sources.base import Options, Row
from cauldron.sources.formats.parquet import ParquetRow
from cauldron.sources.formats.parquet_files import Columns
from cauldron.sources.formats.parquet_source import ParquetSource
from cauldron.sources.formats.shards import Shards, choose_shards
from cauldron.sources.repos.files import Repo
from cauldron.sources.values.documents import described
from cauldron.sources.values.prompts import draw
from cauldron.sources.values.rows import RowProblem
from cauldron.sources.values.urls import image_at

from cauldron.core.errors import SourceUnavailable, UsageError

_URL = ("URL", "url")
# By option, the columns that may hold the text.
_CAPTIONS = {
    "top_caption": ("top_caption", "caption"),
    "all_captions": ("all_captions",),
    "TEXT": ("TEXT", "text"),
}


@dataclass(frozen=True)
class LaionCoco(ParquetSource):
    """LAION-COCO. Option ``caption``: top_caption, all_captions or TEXT."""

    def settled(self, options: Options) -> Options:
        options = super().settled(options)
        if options["caption"] not in _CAPTIONS:
            names = ", ".join(_CAPTIONS)
            raise UsageError(f"{self.name}: caption is one of {names}, not {options['caption']!r}")
        return options

    def columns(self, options: Options) -> Columns:
        return Columns((), (*_URL, *_CAPTIONS[options["caption"]]))

    def shards(self, repo: Repo, options: Options) -> Shards:
        found = choose_shards(file for file in repo.list() if file.path.endswith(".parquet"))
        if not found.files:
            remedy = "accept its terms and download the whole dataset repository"
            raise SourceUnavailable(self.repo, f"no .parquet for {self.name}", remedy)
        return found

    def row(self, row: ParquetRow, options: Options) -> Row:
        url = _value(row.values, _URL)
        text = _value(row.values, _CAPTIONS[options["caption"]])
        image = image_at(url)
        if options["caption"] == "all_captions":
            text = _one_of(text, image.url)
        return described(row.origin, image, text, "caption")


def _value(values: dict[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        if name in values:
            return values[name]
    raise RowProblem("wrong_columns", f"the file has no column {' or '.join(names)}")


def _one_of(captions: Any, url: str) -> str | None:
    """One of the captions that hold text, always the same for a URL."""
    if captions is None:
        return None
    if not isinstance(captions, list):
        raise RowProblem("bad_row", f"all_captions is a {type(captions).__name__}, not a list")
    texts = [text for text in captions if isinstance(text, str) and text.strip()]
    return draw(texts, url) if texts else None


def _published(name: str, repo: str, title: str) -> LaionCoco:
    return LaionCoco(
        name=name,
        repo=repo,
        title=title,
        license="cc-by-4.0",
        license_note="recalled, not looked up: LAION's announcement; the images are their owners'",
        published_rows=600_000_000,
        published_bytes=234_000_000_000,
        gated=True,
        ships_images=False,
        by_url=True,
        default_options={"caption": "top_caption"},
    )


SOURCES = (
    _published("laion_coco", "laion/laion-coco", "LAION-COCO: web images by URL, captioned"),
    _published("relaion_coco", "laion/relaion-coco", "Re-LAION-COCO: the successor of LAION-COCO"),
)
