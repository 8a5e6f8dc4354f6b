"""Decisions against the corpora they decide on."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from cauldron.database import one_row, quoted, scan
from cauldron.manifests import CurationManifest, Finished
from cauldron.verify.files import differences, reading

# Each row of a source's corpus by its place, as decisions name it, and the decisions on them.
_TABLES = """
CREATE OR REPLACE TEMP TABLE corpus_rows (
    part INTEGER, "row" INTEGER, id VARCHAR, answer_tokens INTEGER, turns INTEGER,
    "offset" BIGINT, length BIGINT, digests UBIGINT);
CREATE OR REPLACE TEMP TABLE decided (
    source VARCHAR, id VARCHAR, part INTEGER, "row" INTEGER, decision VARCHAR, reason VARCHAR,
    into_part INTEGER, into_row INTEGER, answer_tokens INTEGER, turns INTEGER,
    "offset" BIGINT, length BIGINT);
"""

_ROWS = r"""
INSERT INTO corpus_rows
SELECT regexp_extract(filename, 'part-(\d+)-of-\d+\.parquet$', 1)::INTEGER, file_row_number,
       id, answer_tokens, turns, "offset", length, hash([i.sha256 for i in image_info])
FROM {files}
"""

_COMPARED = """
SELECT count(*) FILTER (d.id IS NULL), count(*) FILTER (c.id IS NULL),
       count(*) FILTER (c.id IS NOT NULL AND d.id IS NOT NULL AND
           (c.id, c.answer_tokens, c.turns, c."offset", c.length) IS DISTINCT FROM
           (d.id, d.answer_tokens, d.turns, d."offset", d.length))
FROM corpus_rows c FULL JOIN decided d ON c.part = d.part AND c."row" = d."row"
"""

# What must not be, and the query that counts it.
_NEVER = {
    "rows with several decisions": """
        SELECT count(*) FROM (FROM decided SELECT part, "row" GROUP BY ALL HAVING count(*) > 1)""",
    "decisions that are none of keep, merge, drop": """
        SELECT count(*) FROM decided WHERE decision NOT IN ('keep', 'merge', 'drop')""",
    "merges into a row that is not kept": """
        SELECT count(*) FROM decided m LEFT JOIN decided t
            ON m.into_part = t.part AND m.into_row = t."row"
        WHERE m.decision = 'merge' AND t.decision IS DISTINCT FROM 'keep'""",
    "ids that are kept twice": """
        SELECT count(*) FROM (
            FROM decided SELECT id WHERE decision = 'keep' GROUP BY id HAVING count(*) > 1)""",
}


def load_source(
    connection: duckdb.DuckDBPyConnection, found: Finished, curation: CurationManifest, source: str
) -> None:
    """Fill the tables ``corpus_rows`` and ``decided`` with one source's rows."""
    fingerprint = curation.corpora[source]
    parts = found.corpora[source, fingerprint].parts
    names = [f"corpus/{source}/{fingerprint}/{part.parquet.name}" for part in parts]
    connection.execute(_TABLES)
    if names:
        connection.execute(_ROWS.format(files=scan(names, filename=True, file_row_number=True)))
    if curation.buckets:
        connection.execute(
            f"INSERT INTO decided SELECT * FROM {scan(_buckets(curation))} "
            f"WHERE source = {quoted(source)}"
        )


def curation_problems(
    connection: duckdb.DuckDBPyConnection, found: Finished, curation: CurationManifest
) -> list[str]:
    """Every corpus row has one decision, and the counts are those of the manifest."""
    where = f"curation/{curation.fingerprint}"
    problems = []
    for source, fingerprint in curation.corpora.items():
        if (source, fingerprint) not in found.corpora:
            problems.append(f"{where}: corpus/{source}/{fingerprint} is not there or not finished")
            continue
        with reading(f"{where}, {source}", problems):
            load_source(connection, found, curation, source)
            problems += _source_problems(connection, found, curation, source)
    if curation.buckets:
        with reading(where, problems):
            problems += _strange_sources(connection, curation)
    return problems


def _source_problems(
    connection: duckdb.DuckDBPyConnection, found: Finished, curation: CurationManifest, source: str
) -> Iterator[str]:
    where = f"curation/{curation.fingerprint}, {source}"
    kinds = (
        "rows without a decision",
        "decisions on rows that are not there",
        "decisions with other figures than their row",
    )
    figures = dict(zip(kinds, one_row(connection, _COMPARED), strict=True))
    for kind, sql in _NEVER.items():
        figures[kind] = one_row(connection, sql)[0]
    yield from (f"{where}: {number:,} {kind}" for kind, number in figures.items() if number)
    counts = curation.counts.get(source)
    if counts is None:
        yield f"{where}: the manifest has no counts of it"
        return
    by_reason: dict[str, dict[str, int]] = {"keep": {}, "merge": {}, "drop": {}}
    sql = "SELECT decision, coalesce(reason, ''), count(*) FROM decided GROUP BY ALL ORDER BY ALL"
    for decision, reason, number in connection.execute(sql).fetchall():
        by_reason.setdefault(decision, {})[reason] = number
    corpus = found.corpora[source, curation.corpora[source]]
    yield from differences(
        where,
        [
            ("rows kept", sum(by_reason["keep"].values()), counts.kept),
            ("merged rows", by_reason["merge"], counts.merged),
            ("dropped rows", by_reason["drop"], counts.dropped),
            ("rows accounted for", counts.accounted, counts.rows_in),
            ("rows of the corpus", corpus.counts.kept, counts.rows_in),
        ],
    )


def _strange_sources(
    connection: duckdb.DuckDBPyConnection, curation: CurationManifest
) -> Iterator[str]:
    sql = f"SELECT source, count(*) FROM {scan(_buckets(curation))} GROUP BY 1 ORDER BY 1"
    for source, number in connection.execute(sql).fetchall():
        if source not in curation.corpora:
            where = f"curation/{curation.fingerprint}"
            yield f"{where}: {number:,} decisions on {source}, which it does not cover"


def _buckets(curation: CurationManifest) -> list[str]:
    return [f"curation/{curation.fingerprint}/{bucket.name}" for bucket in curation.buckets]
