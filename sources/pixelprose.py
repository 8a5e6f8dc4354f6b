"""PixelProse: web images by URL with long captions by Gemini 1.0 Pro Vision (tomg-group-umd).

Where: ``tomg-group-umd/pixelprose``, ``data/vlm_captions_<part>_<i>.parquet``. Licence: CC-BY-4.0.
Size: 16,896,423 rows, 9.8 GB, no images: of CommonPool 6,539,107, of CC12M 9,066,455, of RedCaps
the rest.

A row is ``{uid, url, key, status, vlm_caption, sha256, …}`` and becomes the document [image,
caption]; the image is fetched while the source is ingested and compared with ``sha256``, the
digest of the bytes that the publisher had downloaded.

Option ``parts``: which files, out of ``cc12m``, ``redcaps``, ``common-pool``; default all.

Quirks handled here:

- The splits are overlapping globs: ``train`` is every file, the others are parts of it. Each file
  is read once, of the parts by turns: the first rows are then not all of one part.
- The files differ in columns: `subreddit` and `score` are numbers or text. Only the five above are
  read, by each file's own schema; `sha256`, `status` and `uid` may be absent.
- Captions begin with "This image displays:", which is removed.
- A row whose `status` is another than ``success`` is dropped as ``marked_failed``.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from typing import Any

from cauldron.sources.base import Options, Row
from cauldron.sources.formats.parquet import ParquetRow
from cauldron.sources.formats.parquet_files import Columns
from cauldron.sources.formats.parquet_source import ParquetSource
from cauldron.sources.formats.shards import Missing, Shards, choose_shards
from cauldron.sources.repos.files import FileInfo, Repo
from cauldron.sources.values.conversations import key_of
from cauldron.sources.values.documents import described
from cauldron.sources.values.rows import RowProblem
from cauldron.sources.values.urls import image_at

from cauldron.core.errors import SourceUnavailable, UsageError

PARTS = ("cc12m", "redcaps", "common-pool")
_FILES = re.compile(r"data/vlm_captions_.*\.parquet")
_PREFIX = re.compile(r"\s*this image displays:\s*", re.IGNORECASE)
_COLUMNS = Columns(("url", "vlm_caption"), ("status", "sha256", "uid"))


@dataclass(frozen=True)
class PixelProse(ParquetSource):
    """PixelProse. Option ``parts``: names out of cc12m, redcaps, common-pool."""

    def settled(self, options: Options) -> Options:
        options = super().settled(options)
        parts = options["parts"]
        listed = isinstance(parts, list | tuple) and len(parts) > 0
        if not listed or not all(part in PARTS for part in parts):
            names = ", ".join(PARTS)
            raise UsageError(f"pixelprose: parts is a list out of {names}, not {parts!r}")
        return options

    def columns(self, options: Options) -> Columns:
        return _COLUMNS

    def shards(self, repo: Repo, options: Options) -> Shards:
        parts: Any = options["parts"]
        there = [file for file in repo.list("data") if _FILES.fullmatch(file.path)]
        if set(parts) != set(PARTS):
            names = tuple(f"data/vlm_captions_{part}" for part in parts)
            there = [file for file in there if file.path.startswith(names)]
        found = choose_shards(there)
        if not found.files:
            what = f"no data/vlm_captions_*.parquet of {', '.join(parts)}"
            raise SourceUnavailable(self.repo, what, "download the whole dataset repository")
        return _by_turns(found)

    def row(self, row: ParquetRow, options: Options) -> Row:
        status = row.values.get("status", "success")
        if status != "success":
            raise RowProblem("marked_failed", f"its status is {str(status)[:100]!r}")
        image = image_at(row.values["url"], row.values.get("sha256"))
        caption = row.values["vlm_caption"]
        if isinstance(caption, str) and (prefix := _PREFIX.match(caption)):
            caption = caption[prefix.end() :]
        origin = row.origin.model_copy(update={"key": key_of(row.values.get("uid"))})
        return described(origin, image, caption, "caption")


def _by_turns(shards: Shards) -> Shards:
    """The first file of each part, then the second of each, and so on."""
    parts: dict[str, list[FileInfo | Missing]] = {}
    for slot in shards.slots:
        path = slot.pattern if isinstance(slot, Missing) else slot.path
        parts.setdefault(path.rpartition("_")[0], []).append(slot)
    turns = itertools.zip_longest(*parts.values())
    return replace(shards, slots=tuple(slot for turn in turns for slot in turn if slot))


SOURCE = PixelProse(
    name="pixelprose",
    repo="tomg-group-umd/pixelprose",
    title="PixelProse: web images by URL with long captions",
    license="cc-by-4.0",
    license_note="the dataset's page, for the captions; the images are their owners'",
    published_rows=16_896_423,
    published_bytes=9_800_000_000,
    ships_images=False,
    by_url=True,
    default_options={"parts": PARTS},
)
