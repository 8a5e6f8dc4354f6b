"""Which rows a fractional epoch takes: those with the smallest hashes, in exact number.

The threshold of a source is an order statistic of its rows' hashes. No process holds them all: the
first pass counts hashes by their leading bits, which says in which of 4,096 ranges the threshold
is. The second pass collects the hashes of that range alone, one of 4,096 parts: 2 MB for a source
of a thousand million rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cauldron.transforms.mixing.select import kept_rows
from cauldron.transforms.mixing.selection import Passes
from cauldron.transforms.order import U64, mix64

_BITS = 12
_SHIFT = np.uint64(64 - _BITS)

# How many hashes of a file begin with these bits.
_COUNT = np.dtype([("prefix", "<u2"), ("rows", "<u4")])


@dataclass(frozen=True, slots=True)
class Edge:
    """Where a threshold is: the hash number `rank`, from 1, of those that begin with `prefix`."""

    prefix: int
    rank: int


def count_prefixes(
    path: str, passes: Mapping[str, Passes], seed: int
) -> Iterator[tuple[str, bytes]]:
    """How many rows of a decisions file have which leading bits, for sources with extra rows."""
    found: dict[str, npt.NDArray[np.int64]] = {}
    for name, hashes in _hashes(path, passes, seed):
        rows = np.bincount((hashes >> _SHIFT).astype(np.int64), minlength=1 << _BITS)
        found[name] = found[name] + rows if name in found else rows
    for name, rows in found.items():
        prefixes = np.flatnonzero(rows)
        counts = np.zeros(len(prefixes), dtype=_COUNT)
        counts["prefix"], counts["rows"] = prefixes, rows[prefixes]
        yield name, counts.tobytes()


def find_edge(pieces: Iterable[bytes], extra: int) -> Edge:
    """Where the hash number `extra` is, given what `count_prefixes` found in all files."""
    rows = np.zeros(1 << _BITS, dtype=np.int64)
    for piece in pieces:
        counts = np.frombuffer(piece, dtype=_COUNT)
        rows[counts["prefix"]] += counts["rows"]
    before = np.cumsum(rows)
    prefix = int(np.searchsorted(before, extra))
    return Edge(prefix, extra - int(before[prefix] - rows[prefix]))


def hashes_at_edge(
    path: str, passes: Mapping[str, Passes], seed: int, edges: Mapping[str, Edge]
) -> Iterator[tuple[str, bytes]]:
    """The hashes of a decisions file that have the prefix of their source's threshold."""
    for name, hashes in _hashes(path, passes, seed):
        yield name, hashes[hashes >> _SHIFT == np.uint64(edges[name].prefix)].tobytes()


def find_threshold(pieces: Iterable[bytes], edge: Edge) -> int:
    """The threshold, given what `hashes_at_edge` found in all files."""
    hashes = np.frombuffer(b"".join(pieces), dtype="<u8")
    return int(np.partition(hashes, edge.rank - 1)[edge.rank - 1])


def _hashes(path: str, passes: Mapping[str, Passes], seed: int) -> Iterator[tuple[str, U64]]:
    for kept in kept_rows([path]):
        for name, mine in kept.holders():
            if name in passes and passes[name].extra:
                ids = kept.ids[kept.held.row[mine]]
                yield name, mix64(ids, seed, "select", passes[name].whole)
