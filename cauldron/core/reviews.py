"""Reviews: pairs of pictures of which a person says whether they are the same.

A file of reviews is parquet, CSV or JSON lines, as its name says (``.parquet``, ``.csv``,
``.jsonl``), with the columns of `ASKED_SCHEMA`; others are ignored. Each side of a pair is named by
the content key of the picture (`picture`, `other_picture`: 32 hex digits, as in the column
`cluster`), or by a row's `id` and the number of the image in it (`id`, `image`, and `other_id`,
`other_image`), as `cauldron query` shows them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from cauldron.core import storage
from cauldron.core.errors import UsageError, first_line
from cauldron.core.fingerprints import fingerprint
from cauldron.core.schema import ASKED_SCHEMA

# Every worker holds all reviews.
MOST_REVIEWS = 100_000

# Why a review is not obeyed, by its status.
NOT_OBEYED = {
    "unknown": "name a picture that is not in the build",
    "identical": "name one picture twice",
    "blank": "are about a blank picture",
    "contradicted": "contradict other reviews",
}

_DIGITS = 32
_LONGEST_LINE = 1 << 16
_LONGEST_NOTE = 1_000
_WORDS = {"true": True, "1": True, "false": False, "0": False}


class Pictured(NamedTuple):
    """The name of a picture: its content key, or an image of a row.

    Attributes:
        picture: 32 hex digits; empty if `id` and `image` name it.
    """

    picture: str = ""
    id: str = ""
    image: int = 0

    def __str__(self) -> str:
        return self.picture or f"image {self.image} of {self.id}"


class Review(NamedTuple):
    """What a person says of two pictures."""

    first: Pictured
    second: Pictured
    same: bool
    note: str = ""

    def columns(self) -> dict[str, Any]:
        """As a row of `ASKED_SCHEMA`."""
        row: dict[str, Any] = {"same": self.same, "note": self.note or None}
        for prefix, name in (("", self.first), ("other_", self.second)):
            row[f"{prefix}picture"] = name.picture or None
            row[f"{prefix}id"] = name.id or None
            row[f"{prefix}image"] = name.image if name.id else None
        return row


def read_reviews(path: str) -> tuple[Review, ...]:
    """The reviews of a file, in its order, each pair once.

    Raises:
        UsageError: there is no such file, it has another form, a row names no pair, or two rows
            contradict each other.
    """
    reviews: dict[frozenset[Pictured], Review] = {}
    try:
        with storage.open_read(path) as file:
            for number, row in enumerate(_rows(path, file), 1):
                review = _review(f"reviews {path}, row {number}", row)
                if number > MOST_REVIEWS:
                    raise UsageError(f"reviews {path}: more than {MOST_REVIEWS:,} rows")
                pair = frozenset(review[:2])
                if reviews.setdefault(pair, review).same != review.same:
                    raise UsageError(
                        f"reviews {path}, row {number}: an earlier row says the opposite of "
                        f"{review.first} and {review.second}; remove one of the two"
                    )
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise UsageError(f"reviews {path} cannot be read: {first_line(error)}") from None
    return tuple(reviews.values())


def reviews_digest(reviews: Iterable[Review]) -> str:
    """Of what the reviews say, for fingerprints; notes do not count."""
    return fingerprint([review[:3] for review in reviews])


def reviews_told(counts: Mapping[str, int]) -> str:
    """What became of reviews, in one line.

    Args:
        counts: as in the manifest of a curation.
    """
    told = f"{counts.get('obeyed', 0):,} obeyed"
    if counts.get("obeyed"):
        told += f" ({counts['same']:,} the same, {counts['different']:,} not the same)"
    others = [f"{counts[status]:,} {why}" for status, why in NOT_OBEYED.items() if status in counts]
    if others:
        told += f"; not obeyed: {', '.join(others)}; see the view `reviews`"
    return told


def _rows(path: str, file: BinaryIO) -> Iterator[dict[str, Any]]:
    if path.endswith(".parquet"):
        return _parquet_rows(file)
    if path.endswith(".csv"):
        return iter(csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", newline="")))
    if path.endswith(".jsonl"):
        return _json_rows(path, file)
    raise UsageError(f"reviews {path}: the name must end in .parquet, .csv or .jsonl")


def _parquet_rows(file: BinaryIO) -> Iterator[dict[str, Any]]:
    parquet = pq.ParquetFile(file)
    columns = [name for name in ASKED_SCHEMA.names if name in parquet.schema_arrow.names]
    for batch in parquet.iter_batches(batch_size=1024, columns=columns):
        yield from batch.to_pylist()


def _json_rows(path: str, file: BinaryIO) -> Iterator[dict[str, Any]]:
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise UsageError(f"reviews {path}, line {number}: not a JSON object on one line")
        yield row


def _review(where: str, row: dict[str, Any]) -> Review:
    first, second = (_name(where, row, prefix) for prefix in ("", "other_"))
    if first == second:
        raise UsageError(f"{where}: both sides are {first}")
    same = row.get("same")
    if isinstance(same, str):
        same = _WORDS.get(same.strip().lower())
    if not isinstance(same, bool):
        raise UsageError(f"{where}: `same` must be true or false")
    return Review(first, second, same, str(row.get("note") or "")[:_LONGEST_NOTE])


def _name(where: str, row: dict[str, Any], prefix: str) -> Pictured:
    picture, row_id = (str(row.get(prefix + name) or "") for name in ("picture", "id"))
    if bool(picture) == bool(row_id):
        either = f"either `{prefix}picture`, or `{prefix}id` and `{prefix}image`"
        raise UsageError(f"{where}: give {either}")
    name = (picture or row_id).strip().lower()
    if len(name) != _DIGITS or name.strip("0123456789abcdef"):
        column = f"{prefix}picture" if picture else f"{prefix}id"
        raise UsageError(f"{where}: `{column}` must be {_DIGITS} hex digits, not {name[:80]!r}")
    if picture:
        return Pictured(picture=name)
    return Pictured(id=name, image=_image(where, row.get(f"{prefix}image"), prefix))


def _image(where: str, value: Any, prefix: str) -> int:
    text = str(value).strip() if isinstance(value, str | int) else ""
    # Rows have at most 65,535 images.
    if not (text.isdecimal() and len(text) <= 5 and int(text) < 1 << 16):
        raise UsageError(f"{where}: `{prefix}image` must be the number of an image, from 0")
    return int(text)
