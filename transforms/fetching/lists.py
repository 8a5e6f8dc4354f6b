"""Lists of URLs: what each piece of a source wants, sorted by the partition of the host.

One file for each piece: a header with the number of URLs and the first byte of each partition,
then the URLs, a line each, every one once, in the order of their keys within a partition. So a
worker that fetches a partition reads one range of every file, and no URL crosses a Beam shuffle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from cauldron.sources.base import BadRow, Row
from cauldron.transforms.fetching.entries import PARTITIONS, url_key
from cauldron.transforms.fetching.network import parse, plain_host

from cauldron.core import storage
from cauldron.core.stores.ranges import Range, read_ranges

Numbers = npt.NDArray[np.int64]
_HEADER = (2 * PARTITIONS + 1) * 8


def partition_of(url: str) -> int:
    """The partition of a URL's host, 0 to `PARTITIONS` - 1; also of what is no URL."""
    try:
        host = plain_host(parse(url).host or "")
    except ValueError:
        host = ""
    return int.from_bytes(hashlib.sha256(host.encode()).digest()[:8], "big") % PARTITIONS


def list_name(piece: int, pieces: int) -> str:
    return f"urls-{piece:05d}-of-{pieces:05d}.txt"


@dataclass(frozen=True)
class Header:
    """What a list holds.

    Attributes:
        counts: URLs by partition, shape (256,).
        starts: first byte by partition, and the end of the file, shape (257,).
    """

    counts: Numbers
    starts: Numbers

    @property
    def first(self) -> Numbers:
        """The number of URLs before each partition, shape (257,)."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    def to_bytes(self) -> bytes:
        return np.concatenate([self.counts, self.starts]).astype("<i8").tobytes()


def urls_of(rows: Iterable[Row | BadRow]) -> set[str]:
    """The URLs that rows name, each once."""
    return {image.url for row in rows if isinstance(row, Row) for image in row.images if image.url}


def write_list(path: str, urls: Iterable[str]) -> int:
    """Write the list of a piece; returns the number of URLs."""
    found = sorted((partition_of(url), url_key(url), url.encode()) for url in urls)
    partitions = np.array([item[0] for item in found], np.int64)
    counts = np.bincount(partitions, minlength=PARTITIONS).astype(np.int64)
    sizes = np.bincount(partitions, [len(item[2]) + 1 for item in found], PARTITIONS)
    starts = _HEADER + np.concatenate([[0], np.cumsum(sizes.astype(np.int64))])
    with storage.atomic_write(path) as file:
        file.write(Header(counts, starts).to_bytes())
        for _, _, url in found:
            file.write(url + b"\n")
    return len(found)


def read_headers(paths: Sequence[str]) -> list[Header]:
    """The headers of lists, in order."""
    return [_header(data) for data in read_ranges([Range(p, 0, _HEADER) for p in paths])]


# A worker asks for those of a source once for each of its partitions. 4 kB for each piece.
@lru_cache(maxsize=64)
def headers_of(folder: str, pieces: int) -> tuple[Header, ...]:
    """The headers of all lists of a source."""
    paths = [storage.join(folder, list_name(piece, pieces)) for piece in range(pieces)]
    return tuple(read_headers(paths))


def read_partition(folder: str, pieces: int, partition: int) -> list[list[str]]:
    """The URLs of a partition, by piece."""
    ranges = []
    for piece, header in enumerate(headers_of(folder, pieces)):
        start, stop = header.starts[partition : partition + 2]
        path = storage.join(folder, list_name(piece, pieces))
        ranges.append(Range(path, int(start), int(stop - start)))
    wanted = [item for item in ranges if item.length]
    found = dict(zip(wanted, read_ranges(wanted), strict=True))
    # Not `splitlines`, which takes more signs than "\n" for the end of a line.
    return [found.get(item, b"").decode().split("\n")[:-1] for item in ranges]


def _header(data: bytes) -> Header:
    numbers = np.frombuffer(data, "<i8")
    return Header(numbers[:PARTITIONS], numbers[PARTITIONS:])
