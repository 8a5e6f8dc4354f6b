"""The kept rows of decisions, and which of them a mixture takes: a threshold for each source.

With 3.4 epochs a source gives three copies of every row, and a fourth of 40 % of them: those whose
hash of (seed, id, pass) is smallest. The threshold is the exact order statistic, so the number of
copies is exact, and a worker needs only a row's id to decide.

A row that others were merged into holds turns of several sources, each with epochs of its own. Copy
k shows the turns of those sources that have more than k copies of the row. So merging changes no
source's share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from cauldron.transforms.order import U64, id_halves, mix64

from cauldron.core import storage

_PLACES = ["part", "offset", "length", "merged_file", "merged_offset", "merged_length"]
_FIGURES = ["answer_tokens", "turns", "image_bytes"]
_COLUMNS = [
    *("source", "id", "decision", "cluster", *_FIGURES, *_PLACES),
    *("contributions", "dropped_images"),
]

Numbers = npt.NDArray[np.int64]


@dataclass(slots=True)
class Held:
    """What rows hold of each source: a plain row all its turns, a merged row those of several.

    Attributes:
        row: number of the row, ascending.
        source: number of the source.
    """

    row: Numbers
    source: Numbers
    turns: Numbers
    answer_tokens: Numbers


@dataclass(slots=True)
class KeptRows:
    """The kept rows of one row group of a decisions file.

    Attributes:
        names: sources; the others refer to them by number.
        source: each row's own source.
        cluster: shape (n, 2), the two halves of the cluster's id, 0 if none.
        merged_file, merged_offset, merged_length: place of the merged text; the length is 0 if
            no rows were merged into this one.
        turns: of all sources.
        image_bytes: of its images.
        without: the images to leave out, as bits.
    """

    names: list[str]
    source: Numbers
    ids: U64
    cluster: U64
    part: Numbers
    offset: Numbers
    length: Numbers
    merged_file: Numbers
    merged_offset: Numbers
    merged_length: Numbers
    turns: Numbers
    image_bytes: Numbers
    without: U64
    held: Held

    def holders(self) -> Iterator[tuple[str, Numbers]]:
        """Each source, and the places in `held` that are of it."""
        for number, name in enumerate(self.names):
            yield name, np.flatnonzero(self.held.source == number)

    def most(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The largest of the values of each row, given one for each place in `held`."""
        largest = np.zeros(len(self.ids), dtype=values.dtype)
        np.maximum.at(largest, self.held.row, values)
        return largest


@dataclass(frozen=True, slots=True)
class Take:
    """How often a source's turns are taken.

    Attributes:
        passes: number of passes that take every row with turns of it.
        extra: number of rows that are taken once more.
        threshold: the largest hash of these rows, if `extra` is above 0.
    """

    passes: int
    extra: int
    threshold: int

    def copies(self, ids: U64, seed: int) -> Numbers:
        """How many copies of each row show the source; they are the row's first ones."""
        copies = np.full(len(ids), self.passes)
        if self.extra:
            copies += mix64(ids, seed, "select", self.passes) <= np.uint64(self.threshold)
        return copies


def kept_rows(paths: Iterable[str]) -> Iterator[KeptRows]:
    """Read the kept rows of decisions files, one row group at a time: rows take ten times more
    memory here than on disk."""
    for table in _row_groups(paths):
        table = table.filter(np.asarray(table["decision"]) == "keep")
        shares = table["contributions"].combine_chunks()
        values = shares.flatten()
        names = sorted({*pc.unique(table["source"]).to_pylist(),
                        *pc.unique(values.field("source")).to_pylist()})  # fmt: skip
        numbers = {name: _numbers(table[name].fill_null(0)) for name in (*_FIGURES, *_PLACES)}
        source = _numbers(pc.index_in(table["source"], pa.array(names, pa.string())))
        yield KeptRows(
            names=names,
            source=source,
            ids=id_halves(table["id"].to_pylist()),
            cluster=_cluster_halves(table["cluster"]),
            **{name: numbers[name] for name in ("turns", "image_bytes", *_PLACES)},
            without=_as_bits(table["dropped_images"].combine_chunks()),
            held=_held(shares, values, names, source, numbers),
        )


def _row_groups(paths: Iterable[str]) -> Iterator[pa.Table]:
    for path in paths:
        with storage.open_read(path) as file:
            decisions = pq.ParquetFile(file)
            for group in range(decisions.num_row_groups):
                yield decisions.read_row_group(group, columns=_COLUMNS)


def _held(
    shares: pa.ListArray,
    values: pa.StructArray,
    names: list[str],
    source: Numbers,
    numbers: Mapping[str, Numbers],
) -> Held:
    plain = np.flatnonzero(shares.is_null().to_numpy(zero_copy_only=False))
    row = np.concatenate([plain, _numbers(pc.list_parent_indices(shares))])
    of = _numbers(pc.index_in(values.field("source"), pa.array(names, pa.string())))
    figures = [
        np.concatenate([numbers[name][plain], _numbers(values.field(name))])
        for name in ("turns", "answer_tokens")
    ]
    order = np.argsort(row, kind="stable")
    columns = (row, np.concatenate([source[plain], of]), *figures)
    return Held(*(column[order] for column in columns))


def _as_bits(column: pa.ListArray) -> U64:
    """Bit k of a row's number says that its list has k."""
    bits = np.zeros(len(column), dtype=np.uint64)
    images = np.uint64(1) << _numbers(column.flatten()).astype(np.uint64)
    np.bitwise_or.at(bits, _numbers(pc.list_parent_indices(column)), images)
    return bits


def _numbers(column: pa.Array | pa.ChunkedArray) -> Numbers:
    return np.asarray(column).astype(np.int64)


def _cluster_halves(column: pa.ChunkedArray) -> U64:
    halves = np.zeros((len(column), 2), dtype=np.uint64)
    halves[column.is_valid().to_numpy()] = id_halves(column.drop_null().to_pylist())
    return halves
