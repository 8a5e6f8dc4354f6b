"""Record files: tar files with the records of a corpus part, written once and read by range.

The record of a row is ``RRRRRRRR.json``, the sample without pixels, followed by the images
``RRRRRRRR.K.ext``. These are WebDataset's names. A reference (offset, length) spans the whole
record, so mixing shuffles references only and fetches a row's text and images with one range
request. The text is stored twice: here, and for queries in the part's parquet file.
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
    """The place of a record in its file.

    Attributes:
        offset, length: of the whole record, in bytes.
        images: (offset, length) of the bytes of each image.
    """

    offset: int
    length: int
    images: list[tuple[int, int]]


class RecordFileWriter:
    """Writes records to a tar stream. The stream does not have to be seekable."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._offset = 0
        self._rows = 0

    def add(self, sample: Sample, images: Sequence[bytes]) -> Placed:
        assert len(images) == len(sample.images)
        start = self._offset
        stem = f"{self._rows:08d}"
        # With the image lengths in the record a reader finds each image without parsing headers.
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
        # This TarInfo has mtime 0 and no owner, so equal rows give equal bytes.
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
    """The sample and the images of a record, from the bytes that its reference spans.

    Raises:
        ValueError: the bytes are not a record; the reference may be wrong.
    """
    sample, lengths, position = _read_text(data)
    images = []
    for length in lengths:
        start = position + _BLOCK
        images.append(data[start : start + length])
        position = start + _padded(length)
    if position != len(data):
        raise ValueError(f"image record of {len(data)} bytes ends at {position}")
    return sample, images


def read_sample(data: bytes) -> Sample:
    """The sample of a record, from its text alone: the first `text_length` bytes.

    Raises:
        ValueError: the bytes are not the text of a record.
    """
    sample, _, position = _read_text(data)
    if position != len(data):
        raise ValueError(f"the text of an image record ends at {position}, not at {len(data)}")
    return sample


def text_length(offset: N, first_image: N) -> N:
    """Length of a record's text.

    Args:
        offset: of the record.
        first_image: offset of the bytes of its first image, after the tar header.
    """
    return first_image - offset - _BLOCK


def _read_text(data: bytes) -> tuple[Sample, list[int], int]:
    """The sample, the lengths of its images, and the position of the first image's header."""
    try:
        size = int(data[_SIZE_FIELD].rstrip(b"\0 "), 8)
        record = json.loads(data[_BLOCK : _BLOCK + size])
        lengths: list[int] = record["lengths"]
        sample = Sample.model_validate(record["sample"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"not an image record: {error}") from None
    return sample, lengths, _BLOCK + _padded(size)


def _padded(size: int) -> int:
    return size + -size % _BLOCK
