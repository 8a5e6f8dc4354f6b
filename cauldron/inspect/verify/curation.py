"""Check decisions against the corpora and the manifest."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from cauldron.core.output.finished import Finished
from cauldron.core.output.manifests import CurationManifest
from cauldron.inspect.database import one_row, quoted, scan
from cauldron.inspect.verify.documents import document_problems
from cauldron.inspect.verify.evidence import evidence_problems
from cauldron.inspect.verify.files import differences, reading
from cauldron.inspect.verify.merges import merge_problems
from cauldron.inspect.verify.relations import decisions_of, violations

# The rows of one source's corpus with their part and row number, and the decisions on them.
# `digests` is of the images that are not left out of the row.
_TABLES = """
CREATE OR REPLACE TEMP TABLE corpus_rows (
    part INTEGER, "row" INTEGER, id VARCHAR, answer_tokens INTEGER, turns INTEGER,
    "offset" BIGINT, length BIGINT, image_bytes BIGINT, digests UBIGINT);
CREATE OR REPLACE TEMP TABLE decided AS SELECT * FROM {decisions} WHERE source = {source};
"""

_ROWS = r"""
INSERT INTO corpus_rows
SELECT regexp_extract(filename, 'part-(\d+)-of-\d+\.parquet$', 1)::INTEGER, file_row_number,
       id, answer_tokens, turns, "offset", length,
       coalesce(list_sum([i.length for i in image_info]), 0),
       hash(CASE WHEN dropped_images IS NULL THEN [i.sha256 for i in image_info]
            ELSE list_select([i.sha256 for i in image_info],
                             [k for k in range(1, len(image_info) + 1)
                              if NOT list_contains(dropped_images, (k - 1)::INTEGER)]) END)
FROM {files} LEFT JOIN (FROM decided SELECT part AS p, "row" AS r, dropped_images)
    ON r = file_row_number
    AND p = regexp_extract(filename, 'part-(\d+)-of-\d+\.parquet$', 1)::INTEGER
"""

# Rows with a merged text have the figures of that text, which `merges.py` checks.
_COMPARED = """
SELECT count(*) FILTER (d.id IS NULL), count(*) FILTER (c.id IS NULL),
       count(*) FILTER (c.id IS NOT NULL AND d.id IS NOT NULL AND (
           (c.id, c."offset", c.length, c.image_bytes) IS DISTINCT FROM
           (d.id, d."offset", d.length, d.image_bytes) OR
           d.merged_file IS NULL AND
           (c.answer_tokens, c.turns) IS DISTINCT FROM (d.answer_tokens, d.turns)))
FROM corpus_rows c FULL JOIN decided d ON c.part = d.part AND c."row" = d."row"
"""

# Queries whose count must be 0, by what they count.
_NEVER = {
    "rows with several decisions": """
        SELECT count(*) FROM (FROM decided SELECT part, "row" GROUP BY ALL HAVING count(*) > 1)""",
    "decisions that are none of keep, merge, drop": """
        SELECT count(*) FROM decided WHERE decision NOT IN ('keep', 'merge', 'drop')""",
    "ids that are kept twice": """
        SELECT count(*) FROM (
            FROM decided SELECT id WHERE decision = 'keep' GROUP BY id HAVING count(*) > 1)""",
    "ids of which some rows are dropped and some are not": """
        SELECT count(*) FROM (
            FROM decided SELECT id GROUP BY id HAVING count(DISTINCT decision = 'drop') > 1)""",
    "exact copies that go elsewhere than their original": """
        SELECT count(*) FROM decided c WHERE reason = 'exact_copy' AND NOT EXISTS (
            FROM decided o WHERE o.id = c.id AND o.reason IS DISTINCT FROM 'exact_copy' AND
            (c.into_source, c.into_part, c.into_row) =
            (coalesce(o.into_source, o.source), coalesce(o.into_part, o.part),
             coalesce(o.into_row, o."row")))""",
    "kept rows with a reason to go": """
        SELECT count(*) FROM decided WHERE decision = 'keep' AND
            (reason IS NOT NULL OR into_source IS NOT NULL)""",
}


def load_source(
    connection: duckdb.DuckDBPyConnection, found: Finished, curation: CurationManifest, source: str
) -> None:
    """Fill the tables ``corpus_rows`` and ``decided`` with one source's rows."""
    names = found.corpora[source, curation.corpora[source]].tables()
    tables = _TABLES.format(decisions=decisions_of(curation), source=quoted(source))
    connection.execute(tables)
    if names:
        connection.execute(_ROWS.format(files=scan(names, filename=True, file_row_number=True)))


def curation_problems(
    connection: duckdb.DuckDBPyConnection, found: Finished, curation: CurationManifest
) -> list[str]:
    """Each corpus row has one decision, the evidence supports it, and the manifest's counts are
    right."""
    where = f"curation/{curation.fingerprint}"
    problems: list[str] = []
    for source, fingerprint in curation.corpora.items():
        if (source, fingerprint) not in found.corpora:
            problems.append(f"{where}: corpus/{source}/{fingerprint} is not there or not finished")
            continue
        with reading(f"{where}, {source}", problems):
            load_source(connection, found, curation, source)
            problems += _source_problems(connection, found, curation, source)
    with reading(where, problems):
        problems += _strange_sources(connection, curation)
    if set(curation.corpora.items()) <= set(found.corpora):
        with reading(where, problems):
            problems += merge_problems(connection, found, curation)
            problems += evidence_problems(connection, found, curation)
            problems += document_problems(connection, found, curation)
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
    yield from (f"{where}: {number:,} {kind}" for kind, number in figures.items() if number)
    yield from violations(connection, where, _NEVER)
    counts = curation.counts.get(source)
    if counts is None:
        yield f"{where}: the manifest has no counts of it"
        return
    images = one_row(connection, "SELECT coalesce(sum(len(dropped_images)), 0) FROM decided")[0]
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
            ("repeated images", int(images), counts.repeated_images),
            ("rows accounted for", counts.accounted, counts.rows_in),
            ("rows of the corpus", corpus.counts.kept, counts.rows_in),
        ],
    )


def _strange_sources(
    connection: duckdb.DuckDBPyConnection, curation: CurationManifest
) -> Iterator[str]:
    sql = f"SELECT source, count(*) FROM {decisions_of(curation)} GROUP BY 1 ORDER BY 1"
    for source, number in connection.execute(sql).fetchall():
        if source not in curation.corpora:
            where = f"curation/{curation.fingerprint}"
            yield f"{where}: {number:,} decisions on {source}, which it does not cover"
