"""Evidence on disk: files of `CONTAMINATION_SCHEMA` with thumbnails, and markers with counts.

Every record has both thumbnails, so that it can be judged alone. A picture is decoded once a file,
and equal thumbnails are stored once in a row group of 512 records, in its dictionary. On one core,
without matching: 60,000 rows that show one picture, which a benchmark shows 1,000 times, are
180,000 records in 11 s, 30 bytes each. 300 rows with different pictures take 9 ms and 11 kB each.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from cauldron.transforms.arrays import range_of
from cauldron.transforms.matching.arrays import write_tables
from cauldron.transforms.matching.contamination.evidence import Evidence
from cauldron.transforms.matching.contamination.thumbnails import Place, Thumbnails
from cauldron.transforms.matching.records import CurationJob, MatchJob

from cauldron.core import storage
from cauldron.core.schema import CONTAMINATION_SCHEMA, ORIGIN

# Records in memory at a time; equal thumbnails among them are stored once.
_ROW_GROUP_ROWS = 512
_DICTIONARY_BYTES = 64 * 1024 * 1024
# At 5 to 10 kB each.
_KEPT_THUMBNAILS = 2_048

_ORIGIN = [field.name for field in ORIGIN]

# Part of the fingerprint of curations against benchmarks. Raise it when the evidence from equal
# verdicts changes.
CONTAMINATION_VERSION = 5


@dataclass(frozen=True)
class ContaminationJob(CurationJob):
    """Finds the evidence, in ranges of the training rows' ids.

    Attributes:
        match_text: remove a row only if one of its questions is a benchmark's.
        ngram: consecutive words that two questions must have in common.
        parts: look for parts of benchmark pictures, mirrored ones, and other colours too, with so
            many features for each of them (`matching.parts.features_each`); 0: do not.
    """

    STEM = "contamination"
    match_text: bool
    ngram: int
    parts: int = 0


def file_of(item: Evidence, files: int) -> int:
    """The number of the file with the evidence for a row."""
    return int(range_of(np.array([int(item.id[:16], 16)], dtype=np.uint64), files)[0])


def write_file(number: int, pieces: Iterable[bytes], job: ContaminationJob) -> dict[str, Any]:
    """Write a file of evidence and its marker; returns the marker.

    Args:
        pieces: JSON lists of `Evidence`, in any order.
    """
    items = [Evidence(*values) for piece in pieces for values in json.loads(piece)]
    items.sort(key=lambda item: item[:6])
    thumbnails = Thumbnails(_KEPT_THUMBNAILS)
    groups = (items[at : at + _ROW_GROUP_ROWS] for at in range(0, len(items), _ROW_GROUP_ROWS))
    entry = write_tables(
        job,
        number,
        CONTAMINATION_SCHEMA,
        (evidence_table(group, thumbnails, job.match) for group in groups),
        dictionary_pagesize_limit=_DICTIONARY_BYTES,
        # Statistics of thumbnails would put pixels into the footer.
        write_statistics=["source", "id", "benchmark", "benchmark_id", "distance", "score"],
    )
    marker = {"number": number, "file": entry, **counts_of(items)}
    storage.write_json(job.marker(number), marker)
    return marker


def evidence_table(items: list[Evidence], thumbnails: Thumbnails, job: MatchJob) -> pa.Table:
    """Evidence in `CONTAMINATION_SCHEMA`."""
    pictures = [stored for item in items for stored in (item.stored, item.benchmark_stored)]
    made = iter(thumbnails.get([_place(stored, job) for stored in pictures]))
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


def _place(stored: Sequence[int], job: MatchJob) -> Place:
    source, part, offset, length, pixels = stored
    return Place(job.sources[source].record_file(part), offset, length, pixels)


def counts_of(items: Iterable[Evidence]) -> dict[str, dict[str, Any]]:
    """Rows by source: those ``removed``, and those ``flagged``, which stay.

    Each source has ``rows``, and ``benchmarks`` with the rows that show a picture of each. A row
    with pictures of two benchmarks counts for both.
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
