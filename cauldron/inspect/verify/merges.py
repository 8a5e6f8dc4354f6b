"""Check merged rows: the rows that they were merged into, and the merged texts.

Each merged text is made again from the texts of its rows and compared with the stored one. This
proves that no turn was lost or invented, and that each names its source. It assumes that the rules
of merging (`cauldron.transforms.curate.merging`) are right.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb

from cauldron.core import storage
from cauldron.core.output.finished import Finished
from cauldron.core.output.manifests import CurationManifest, RowFile, corpus_folder, curation_folder
from cauldron.core.schema import Sample
from cauldron.core.stores.ranges import Range, read_ranges
from cauldron.inspect.verify.files import file_problems
from cauldron.inspect.verify.relations import corpora_of, decisions_of, has_text, violations
from cauldron.transforms.curate.merging import merge_samples
from cauldron.transforms.parts import record_file
from cauldron.transforms.record_files import read_sample, text_length

# Merged rows that are checked at a time; each may have a thousand texts.
_BATCH = 64

_NOT_KEPT = """
SELECT m.source, m.decision, count(*)
FROM {decisions} m LEFT JOIN {decisions} t
    ON (m.into_source, m.into_part, m.into_row) = (t.source, t.part, t."row")
WHERE (m.decision = 'merge' OR m.into_source IS NOT NULL) AND t.decision IS DISTINCT FROM 'keep'
GROUP BY ALL ORDER BY ALL
"""

_STRANGE = """
SELECT decision, reason, merged_file IS NOT NULL AS merged, count(*)
FROM {decisions} WHERE reason = 'near_duplicate' OR merged_file IS NOT NULL
GROUP BY ALL ORDER BY ALL
"""

_POINTLESS = """
SELECT count(*) FROM {decisions} WHERE NOT {has_text} AND
    (merged_file IS NOT NULL OR merged_offset IS NOT NULL OR merged_length IS NOT NULL OR
     contributions IS NOT NULL)
"""

# The rows that took over others, and these others, with the places of their texts.
_MERGED = """
CREATE OR REPLACE TEMP TABLE merged AS
SELECT d.*, c.image_info[1]."offset" AS first_image
FROM {decisions} d JOIN {corpora} c
    ON (d.source, d.part, d."row") = (c.source, c.part, c."row")
WHERE {has_text} OR d.decision = 'merge' AND d.reason = 'near_duplicate'
"""

_OF_FILE = """
SELECT t.merged_offset, t.merged_length, t.id, t.answer_tokens, t.turns, t.contributions,
       {{'source': t.source, 'id': t.id, 'part': t.part, 'offset': t."offset",
         'first_image': t.first_image}} AS stays,
       list({{'source': m.source, 'id': m.id, 'part': m.part, 'offset': m."offset",
              'first_image': m.first_image}}) FILTER (m.id IS NOT NULL) AS others
FROM merged t LEFT JOIN merged m
    ON (m.into_source, m.into_part, m.into_row) = (t.source, t.part, t."row")
WHERE t.merged_file = {number}
GROUP BY ALL ORDER BY t.merged_offset
"""


def merge_problems(
    connection: duckdb.DuckDBPyConnection, found: Finished, curation: CurationManifest
) -> Iterator[str]:
    """Check that rows were merged into kept rows, and the merged texts."""
    where = f"curation/{curation.fingerprint}"
    decisions = decisions_of(curation)
    sql = _NOT_KEPT.format(decisions=decisions)
    for source, decision, number in connection.execute(sql).fetchall():
        kind = "merges into" if decision == "merge" else "rows that give way to"
        yield f"{where}, {source}: {number:,} {kind} a row that is not kept"
    yield from _strange_decisions(connection, curation)
    corpora = corpora_of(found, curation)
    text = has_text(curation)
    pointless = _POINTLESS.format(decisions=decisions, has_text=text)
    queries = {"decisions that point to no merged text": pointless}
    yield from violations(connection, where, queries)
    connection.execute(_MERGED.format(decisions=decisions, corpora=corpora, has_text=text))
    texts = _Texts(found, curation)
    for number, file in enumerate(curation.merged):
        problems = file_problems(
            f"{where}/{file.name}", _text_problems(connection, texts, number, file)
        )
        yield from problems


def _strange_decisions(
    connection: duckdb.DuckDBPyConnection, curation: CurationManifest
) -> Iterator[str]:
    """Decisions that do not fit the manifest's action."""
    where = f"curation/{curation.fingerprint}"
    made: dict[str, set[tuple[str, str | None, bool]]] = {
        # Documents are dropped, see `documents.py`.
        "merge": {
            ("merge", "near_duplicate", False),
            ("keep", None, True),
            ("drop", "near_duplicate", False),
        },
        "drop": {("drop", "near_duplicate", False)},
    }
    expected = made.get(curation.action or "", set())
    sql = _STRANGE.format(decisions=decisions_of(curation))
    for decision, reason, merged, number in connection.execute(sql).fetchall():
        if (decision, reason, merged) not in expected:
            what = reason or "merged text"
            yield f"{where}: {number:,} decisions {decision} with {what}, the action is not so"


class _Texts:
    """The places of texts of rows and of merged texts, and how texts are merged."""

    def __init__(self, found: Finished, curation: CurationManifest) -> None:
        self._found = found
        self._curation = curation
        names = dict.fromkeys([*curation.priority, *curation.corpora])
        self._priority = {name: number for number, name in enumerate(names)}

    def merged(self, file: RowFile, offset: int, length: int) -> Range:
        folder = curation_folder(self._found.out, self._curation.fingerprint)
        # One more byte: the end of the line.
        return Range(storage.join(folder, file.name), offset, length + 1)

    def row(self, row: dict[str, Any]) -> Range:
        source, fingerprint = row["source"], self._curation.corpora[row["source"]]
        parts = len(self._found.corpora[source, fingerprint].parts)
        folder = corpus_folder(self._found.out, source, fingerprint)
        length = text_length(row["offset"], row["first_image"])
        return Range(record_file(folder, row["part"], parts), row["offset"], length)

    def in_order(self, stays: dict[str, Any], others: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows in the order in which their turns are merged."""
        return [stays, *sorted(others, key=lambda r: (self._priority[r["source"]], r["id"]))]

    def contributions(self, sample: Sample) -> list[dict[str, Any]]:
        """What a merged sample holds of each source."""
        turns: dict[str, list[int]] = {}
        for turn in sample.turns:
            turns.setdefault(turn.source, []).append(turn.answer_tokens)
        return [
            {"source": name, "turns": len(turns[name]), "answer_tokens": sum(turns[name])}
            for name in sorted(turns, key=self._priority.__getitem__)
        ]

    def merge(self, texts: list[bytes]) -> Sample:
        first, *others = [read_sample(text) for text in texts]
        return merge_samples(first, others, self._curation.conflicts)


def _text_problems(
    connection: duckdb.DuckDBPyConnection, texts: _Texts, number: int, file: RowFile
) -> Iterator[str]:
    """Compare a file of merged texts with the rows that point into it, both in order. Ends at the
    first text that is not in its place."""
    position = 0
    result = connection.execute(_OF_FILE.format(number=number))
    while batch := result.fetchmany(_BATCH):
        for offset, length, id_, *figures, stays, others in batch:
            if offset != position:
                yield f"the text of {id_} is at {offset}, the one before ends at {position}"
                return
            position = offset + length + 1
            if not others:
                yield f"nothing was merged into {id_}"
                continue
            rows = texts.in_order(stays, others)
            ranges = [texts.merged(file, offset, length), *(texts.row(row) for row in rows)]
            line, *found = read_ranges(ranges)
            sample = Sample.model_validate_json(line)
            if not line.endswith(b"\n") or sample != texts.merge(found):
                yield f"the merged text of {id_} is not what its {len(rows)} rows make"
            elif figures != [sample.answer_tokens, len(sample.turns), texts.contributions(sample)]:
                yield f"the decision on {id_} has other figures than its merged text"
    if position != file.bytes:
        yield f"no row points to what follows {position}"
