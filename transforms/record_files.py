"""Packs: the tar files that hold a corpus part's records, written once and read by range.

Per row a pack holds ``RRRRRRRR.json``, the whole sample without pixels, and after it the images
``RRRRRRRR.K.ext``: WebDataset's naming, so any tar tool can look inside. A row's reference
(offset, length) spans all of it. Mixing therefore shuffles references only and fetches a picked
row, text and pictures, with one range request. The price is that the text is stored twice, here
and in the part's parquet file, where queries read it.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, TypeVar

import numpy as np
import numpy.typing as npt

from cauldron.core.schema import Sample

N = TypeVar("N", int, npt.NDArray[np.int64])

_BLOCK = tarfile.BLOCKSIZE
_EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
# The size field of a plain tar header is eleven octal digits: members stay below 8 GiB.
_SIZE_FIELD = slice(124, 136)
_END = b"\0" * (2 * _BLOCK)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a record went.

    Attributes:
        offset, length: bytes of the pack that hold the whole record.
        images: (offset, length) of each image's own bytes.
    """

    offset: int
    length: int
    images: list[tuple[int, int]]


class RecordFileWriter:
    """Writes records to a tar stream that need not seek."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._offset = 0
        self._rows = 0

    def add(self, sample: Sample, images: Sequence[bytes]) -> Placed:
        assert len(images) == len(sample.images)
        start = self._offset
        stem = f"{self._rows:08d}"
        # Image lengths travel in the record, so that a reader finds each without parsing headers.
        record = {"sample": sample.model_dump(), "lengths": [len(data) for data in images]}
        self._member(f"{stem}.json", json.dumps(record, ensure_ascii=False).encode())
        placed = []
        for number, (info, data) in enumerate(zip(sample.images, images, strict=True)):
            placed.append((self._offset + _BLOCK, len(data)))
            self._member(f"{stem}.{number}.{_EXTENSIONS[info.format]}", data)
        self._rows += 1
        return Placed(start, self._offset - start, placed)

    def finish(self) -> None:
        """Write the end-of-archive blocks."""
        self._file.write(_END)
        self._offset += len(_END)

    def _member(self, name: str, data: bytes) -> None:
        # A hand-made TarInfo has mtime 0 and no owner: equal rows give equal bytes.
        info = tarfile.TarInfo(name)
        info.size = len(data)
        header = info.tobuf(tarfile.USTAR_FORMAT)
        padding = -len(data) % _BLOCK
        self._file.write(header)
        self._file.write(data)
        if padding:
            self._file.write(b"\0" * padding)
        self._offset += len(header) + len(data) + padding


def read_record(data: bytes) -> tuple[Sample, list[bytes]]:
    """Take apart the bytes that a reference spans.

    Raises:
        ValueError: they are not a record, e.g. because the reference is wrong.
    """
    sample, lengths, position = _read_text(data)
    images = []
    for length in lengths:
        start = position + _BLOCK
        images.append(data[start : start + length])
        position = start + _padded(length)
    if position != len(data):
        raise ValueError(f"pack record of {len(data)} bytes ends at {position}")
    return sample, images


def read_sample(data: bytes) -> Sample:
    """The sample of a record of which only the text was fetched: `text_length` bytes of it.

    Raises:
        ValueError: they are not the text of a record.
    """
    sample, _, position = _read_text(data)
    if position != len(data):
        raise ValueError(f"the text of a pack record ends at {position}, not at {len(data)}")
    return sample


def text_length(offset: N, first_image: N) -> N:
    """Bytes of a record before its first image: `offset` is the record's, `first_image` that of
    the image's own bytes, which a header precedes."""
    return first_image - offset - _BLOCK


def _read_text(data: bytes) -> tuple[Sample, list[int], int]:
    """The sample, the lengths of its images, and where the first of them starts."""
    try:
        size = int(data[_SIZE_FIELD].rstrip(b"\0 "), 8)
        record = json.loads(data[_BLOCK : _BLOCK + size])
        lengths: list[int] = record["lengths"]
        sample = Sample.model_validate(record["sample"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"not a pack record: {error}") from None
    return sample, lengths, _BLOCK + _padded(size)


def _padded(size: int) -> int:
    return size + -size % _BLOCK
