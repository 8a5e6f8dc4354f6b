"""Which rows a mixture takes: counts from the decisions, and a threshold for each source.

With 3.4 epochs a source gives three copies of every row, and a fourth of 40 % of them: those whose
hash of (seed, id, pass) is smallest. The threshold is the exact order statistic, so the number of
copies is exact, and a worker needs only a row's id to decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from cauldron.transforms.order import U64, id_halves, mix64

from cauldron.core import storage
from cauldron.core.shares import SourceCounts

_NUMBERS = ["answer_tokens", "turns", "part", "offset", "length"]
_MERGED = ["merged_file", "merged_offset", "merged_length"]


@dataclass(slots=True)
class KeptRows:
    """The kept rows of one source in one decisions file.

    Attributes:
        cluster: shape (n, 2), the two halves of the cluster's id, 0 if none.
        merged_file, merged_offset, merged_length: place of the merged text; the length is 0 if
            no rows were merged into this one.
    """

    source: str
    ids: U64
    answer_tokens: npt.NDArray[np.int64]
    turns: npt.NDArray[np.int64]
    part: npt.NDArray[np.int64]
    offset: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    cluster: U64
    merged_file: npt.NDArray[np.int64]
    merged_offset: npt.NDArray[np.int64]
    merged_length: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tally:
    """Totals of a source's kept rows; `delivered` is a pass's answer tokens after the cap."""

    rows: int = 0
    answer_tokens: int = 0
    delivered: float = 0.0
    bytes: int = 0

    def counts(self) -> SourceCounts:
        return SourceCounts(self.rows, float(self.answer_tokens), self.delivered)


@dataclass(frozen=True, slots=True)
class Take:
    """How often a source's rows are taken.

    Attributes:
        passes: number of passes that take every row.
        extra: number of rows that are taken once more.
        threshold: the largest hash of these rows, if `extra` is above 0.
    """

    passes: int
    extra: int
    threshold: int


def kept_rows(paths: Iterable[str]) -> Iterator[KeptRows]:
    """Read the kept rows of decisions files, one source of one file at a time."""
    for path in paths:
        with storage.open_read(path) as file:
            columns = ["source", "id", "decision", "cluster", *_NUMBERS, *_MERGED]
            table = pq.read_table(file, columns=columns)
        table = table.filter(np.asarray(table["decision"]) == "keep")
        names = np.asarray(table["source"].to_pylist(), dtype=object)
        ids = id_halves(table["id"].to_pylist())
        numbers = {
            name: table[name].fill_null(0).to_numpy().astype(np.int64)
            for name in (*_NUMBERS, *_MERGED)
        }
        numbers["cluster"] = _cluster_halves(table["cluster"])
        for source in sorted(set(names)):
            rows = np.flatnonzero(names == source)
            yield KeptRows(source, ids[rows], **{k: v[rows] for k, v in numbers.items()})


def _cluster_halves(column: pa.ChunkedArray) -> U64:
    halves = np.zeros((len(column), 2), dtype=np.uint64)
    halves[column.is_valid().to_numpy()] = id_halves(column.drop_null().to_pylist())
    return halves


def tally(paths: Iterable[str], cap: int | None) -> dict[str, Tally]:
    """Totals by source.

    Args:
        cap: most turns of a copy. A hash chooses them, so a row of T turns is expected to
            deliver ``cap / T`` of its tokens.
    """
    totals: dict[str, Tally] = {}
    for kept in kept_rows(paths):
        tokens = kept.answer_tokens
        part = np.ones(len(tokens)) if cap is None else np.minimum(1.0, cap / kept.turns)
        before = totals.get(kept.source, Tally())
        totals[kept.source] = Tally(
            rows=before.rows + len(tokens),
            answer_tokens=before.answer_tokens + int(tokens.sum()),
            delivered=before.delivered + float((tokens * part).sum()),
            bytes=before.bytes + int(kept.length.sum() + kept.merged_length.sum()),
        )
    return totals


def takes(
    paths: Iterable[str], epochs: Mapping[str, float], rows: Mapping[str, int], seed: int
) -> dict[str, Take]:
    """Passes and thresholds from epochs; sources without any copy are left out.

    Args:
        epochs: of each source, fractional.
        rows: number of kept rows of each source.
    """
    copies = {name: round(epochs[name] * rows.get(name, 0)) for name in epochs}
    split = {name: divmod(n, rows[name]) for name, n in copies.items() if n > 0}
    hashes: dict[str, list[U64]] = {name: [] for name, (_, extra) in split.items() if extra}
    for kept in kept_rows(paths):
        if kept.source in hashes:
            last = split[kept.source][0]
            hashes[kept.source].append(mix64(kept.ids, seed, "select", last))
    result = {}
    for name, (passes, extra) in split.items():
        threshold = 0
        if extra:
            every = np.concatenate(hashes[name])
            threshold = int(np.partition(every, extra - 1)[extra - 1])
        result[name] = Take(passes, extra, threshold)
    return result
