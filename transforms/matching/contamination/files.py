"""Evidence on disk: files of `CONTAMINATION_SCHEMA` with thumbnails, and markers with counts.

Every record has both thumbnails, so that it can be judged alone. A picture is decoded once a
file, and equal thumbnails stand once in a row group of 512 records, in its dictionary. Measured
on one core, matching excepted: 60,000 rows that show one picture, which a benchmark shows 1,000
times, are 180,000 records in 11 s, 30 bytes each; 300 rows with pictures of their own are 9 ms
and 11 kB each.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cauldron.transforms.arrays import range_of
from cauldron.transforms.matching.contamination.evidence import Evidence, place_of
from cauldron.transforms.matching.contamination.thumbnails import Thumbnails
from cauldron.transforms.matching.records import MatchJob

from cauldron.core import storage
from cauldron.core.markers import marker_path
from cauldron.core.schema import CONTAMINATION_SCHEMA, ORIGIN

# Rows with two thumbnails that are held at a time, and whose equal thumbnails are stored once.
_ROW_GROUP_ROWS = 512
_DICTIONARY_BYTES = 64 * 1024 * 1024
# At 5 to 10 kB each.
_KEPT_THUMBNAILS = 2_048

_ORIGIN = [field.name for field in ORIGIN]


# Part of the fingerprint of curations against benchmarks; raise it when the same verdicts would
# give other evidence.
CONTAMINATION_VERSION = 1


@dataclass(frozen=True)
class ContaminationJob:
    """What workers must know.

    Attributes:
        folder: where the evidence goes, ``curation/<fingerprint>``.
        files: evidence is cut into as many ranges of row ids.
        match_text: remove a row only when a question of it is a benchmark's.
        ngram: words in a row that two questions must share.
    """

    match: MatchJob
    folder: str
    files: int
    match_text: bool
    ngram: int

    def name(self, number: int) -> str:
        return f"contamination-{number:05d}-of-{self.files:05d}.parquet"

    def file(self, number: int) -> str:
        return storage.join(self.folder, self.name(number))

    def marker(self, number: int) -> str:
        return marker_path(self.folder, "contamination", number)


def file_of(item: Evidence, files: int) -> int:
    """The file that holds the evidence against a row: a range of ids."""
    return int(range_of(np.array([int(item.id[:16], 16)], dtype=np.uint64), files)[0])


def write_file(number: int, pieces: Iterable[bytes], job: ContaminationJob) -> dict[str, Any]:
    """Write a file of evidence and its marker; returns the marker.

    Args:
        pieces: JSON lists of `Evidence`, in any order.
    """
    items = [Evidence(*values) for piece in pieces for values in json.loads(piece)]
    items.sort(key=lambda item: item[:6])
    thumbnails = Thumbnails(_KEPT_THUMBNAILS)
    with storage.atomic_write(job.file(number)) as file:
        writer = pq.ParquetWriter(
            file,
            CONTAMINATION_SCHEMA,
            compression="zstd",
            dictionary_pagesize_limit=_DICTIONARY_BYTES,
            # Those of pictures would put pixels into the footer.
            write_statistics=["source", "id", "benchmark", "benchmark_id", "distance", "score"],
        )
        for start in range(0, len(items), _ROW_GROUP_ROWS):
            group = items[start : start + _ROW_GROUP_ROWS]
            writer.write_table(evidence_table(group, thumbnails, job.match))
        writer.close()
    entry = {"name": job.name(number), "bytes": file.size, "sha256": file.sha256}
    marker = {"number": number, "file": entry | {"rows": len(items)}, **counts_of(items)}
    storage.write_json(job.marker(number), marker)
    return marker


def evidence_table(items: list[Evidence], thumbnails: Thumbnails, job: MatchJob) -> pa.Table:
    """Evidence in `CONTAMINATION_SCHEMA`."""
    pictures = [stored for item in items for stored in (item.stored, item.benchmark_stored)]
    made = iter(thumbnails.get([place_of(stored, job) for stored in pictures]))
    rows = [
        item._asdict()
        | {
            "origin": dict(zip(_ORIGIN, item.origin, strict=True)),
            "benchmark_origin": dict(zip(_ORIGIN, item.benchmark_origin, strict=True)),
            "thumbnails": [{"bytes": next(made), "path": None} for _ in range(2)],
        }
        for item in items
    ]
    return pa.Table.from_pylist(rows, schema=CONTAMINATION_SCHEMA)


def counts_of(items: Iterable[Evidence]) -> dict[str, dict[str, Any]]:
    """Rows by source: those ``removed``, and those ``flagged``, which stay.

    Each source has ``rows``, and ``benchmarks`` with the rows that show a picture of each: a row
    that shows those of two counts for both.
    """
    rows: dict[tuple[bool, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for item in items:
        rows[item.removed, item.source][item.benchmark].add(item.id)
    counts: dict[str, dict[str, Any]] = {"removed": {}, "flagged": {}}
    for (removed, source), found in rows.items():
        counts["removed" if removed else "flagged"][source] = {
            "rows": len(set().union(*found.values())),
            "benchmarks": {benchmark: len(ids) for benchmark, ids in found.items()},
        }
    return counts
