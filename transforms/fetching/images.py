"""Rows with their images: what was fetched takes the place of the URLs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from cauldron.sources.base import BadRow, RawImage, Row
from cauldron.transforms.fetching.answers import Answers
from cauldron.transforms.fetching.entries import Entries, Entry, read_images, url_key

from cauldron.core.errors import CauldronError

# Rows whose images are read together, which on an object store saves waiting; and their bytes.
_ROWS = 64
_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Fetched:
    """The fetched images of a source.

    Attributes:
        store: the folder of the store.
    """

    store: str
    answers: Answers

    def fill(self, rows: Iterable[Row | BadRow], piece: int) -> Iterator[Row | BadRow]:
        """Rows of a piece with the bytes of their images, in order.

        A row whose image could not be fetched becomes a `BadRow` with the reason. The images of a
        document say themselves why they are missing (`RawImage.problem`); it is read on without
        them, and they are counted.

        Raises:
            CauldronError: a row names a URL that was not there when URLs were listed.
        """
        entries = self.answers.of_piece(piece)
        held: list[Row | BadRow] = []
        size = 0
        for row in rows:
            held.append(row)
            if isinstance(row, Row):
                size += sum(self._length(image, entries) for image in row.images)
            if len(held) >= _ROWS or size >= _BYTES:
                yield from self._filled(held, entries)
                held, size = [], 0
        yield from self._filled(held, entries)

    def _length(self, image: RawImage, entries: Entries) -> int:
        return int(self._entry(image.url, entries)["length"]) if image.url else len(image.data)

    def _entry(self, url: str, entries: Entries) -> Entry:
        key = np.array(url_key(url), "S16")
        at = int(np.searchsorted(entries["key"], key))
        if at == len(entries) or entries["key"][at] != key:
            raise CauldronError(
                f"{self.answers.folder}: {url[:200]} was not there when URLs were listed; the "
                "source changed while it was read: run again"
            )
        found: Entry = entries[at]
        return found

    def _filled(self, rows: list[Row | BadRow], entries: Entries) -> Iterator[Row | BadRow]:
        urls = dict.fromkeys(
            image.url for row in rows if isinstance(row, Row) for image in row.images if image.url
        )
        found = {url: self._entry(url, entries) for url in urls}
        data = dict(zip(found, read_images(self.store, found.values()), strict=True))
        for row in rows:
            if isinstance(row, BadRow):
                yield row
            else:
                yield _with_images(row, [_image(item, found, data) for item in row.images])


def _image(image: RawImage, found: dict[str, Entry], data: dict[str, bytes]) -> RawImage:
    if not image.url:
        return image
    entry, body = found[image.url], data[image.url]
    reason = bytes(entry["reason"]).decode()
    if reason:
        message = f"{body.decode(errors='replace')} ({image.url[:300]})"
        return replace(image, problem=(reason, message))
    digest = bytes(entry["sha256"]).ljust(32, b"\0").hex()
    if image.sha256 is not None and digest != image.sha256:
        message = f"SHA-256 {digest[:16]}…, published {image.sha256[:16]}… ({image.url[:300]})"
        return replace(image, problem=("sha256_mismatch", message))
    return replace(image, data=body)


def _with_images(row: Row, images: list[RawImage]) -> Row | BadRow:
    problems = [image.problem for image in images if image.problem is not None]
    if problems and row.document is None:
        return BadRow(row.origin, *problems[0], row.rows)
    return replace(row, images=images)
