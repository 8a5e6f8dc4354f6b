"""Check clusters and contamination against the decisions and the corpora."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from cauldron.core.output.finished import Finished
from cauldron.core.output.manifests import CurationManifest
from cauldron.inspect.verify.relations import (
    benchmarks_of,
    clusters_of,
    contamination_of,
    corpora_of,
    decisions_of,
    violations,
)

_TABLES = """
CREATE OR REPLACE TEMP TABLE pictures AS
SELECT source, id, list(cluster ORDER BY image) AS clusters FROM {clusters} GROUP BY ALL;
CREATE OR REPLACE TEMP TABLE counted AS
SELECT DISTINCT source, id, len(image_info) AS images FROM {corpora} WHERE (source, id) IN (
    SELECT (source, id) FROM {clusters} UNION ALL SELECT (source, id) FROM {contamination});
CREATE OR REPLACE TEMP TABLE tested AS
SELECT DISTINCT source AS benchmark, id AS benchmark_id, len(image_info) AS images
FROM {benchmarks};
"""

# Queries whose count must be 0, by what they count.
_NEVER = {
    "clusters of a single image": """
        SELECT count(*) FROM (FROM {clusters} SELECT cluster GROUP BY 1 HAVING count(*) < 2)""",
    "clusters without exactly one representative": """
        SELECT count(*) FROM (FROM {clusters} SELECT cluster GROUP BY 1
            HAVING count(*) FILTER (representative) <> 1)""",
    "images that are in several clusters, or twice in one": """
        SELECT count(*) FROM (
            FROM {clusters} SELECT source, id, image GROUP BY ALL HAVING count(*) > 1)""",
    "images in clusters that no corpus has": """
        SELECT count(*) FROM {clusters} k LEFT JOIN counted c USING (source, id)
        WHERE c.images IS NULL OR k.image < 0 OR k.image >= c.images""",
    "contaminated images that no corpus has": """
        SELECT count(*) FROM {contamination} k LEFT JOIN counted c USING (source, id)
        WHERE kind <> 'text' AND (
            c.images IS NULL OR k.image IS NULL OR k.image < 0 OR k.image >= c.images)""",
    "contaminated images whose benchmark has no such image": """
        SELECT count(*) FROM {contamination} k LEFT JOIN tested t USING (benchmark, benchmark_id)
        WHERE kind <> 'text' AND (t.images IS NULL OR k.benchmark_image IS NULL
            OR k.benchmark_image < 0 OR k.benchmark_image >= t.images)""",
    "contaminated texts of rows that no corpus has": """
        SELECT count(*) FROM {contamination} k LEFT JOIN counted c USING (source, id)
        WHERE kind = 'text' AND c.images IS NULL""",
    "contaminated texts of rows that no benchmark has": """
        SELECT count(*) FROM {contamination} k LEFT JOIN tested t USING (benchmark, benchmark_id)
        WHERE kind = 'text' AND t.images IS NULL""",
    "contamination of an unknown kind": """
        SELECT count(*) FROM {contamination}
        WHERE kind IS NULL
            OR kind NOT IN ('picture', 'part', 'mirrored', 'colours', 'watermark',
                'rendering', 'text')""",
    "decisions with another cluster than their first image in one": """
        SELECT count(*) FROM {decisions} d LEFT JOIN pictures p USING (source, id)
        WHERE d.cluster IS DISTINCT FROM p.clusters[1]""",
    "near-duplicates with other pictures than the row that stays": """
        SELECT count(*) FROM {decisions} d
        LEFT JOIN {decisions} t ON (d.into_source, d.into_part, d.into_row)
            = (t.source, t.part, t."row")
        LEFT JOIN pictures mine ON (d.source, d.id) = (mine.source, mine.id)
        LEFT JOIN pictures kept ON (t.source, t.id) = (kept.source, kept.id)
        LEFT JOIN counted c ON (d.source, d.id) = (c.source, c.id)
        LEFT JOIN counted k ON (t.source, t.id) = (k.source, k.id)
        WHERE d.reason = 'near_duplicate' AND (
            mine.clusters IS DISTINCT FROM kept.clusters OR c.images IS DISTINCT FROM k.images
            OR len(mine.clusters) IS DISTINCT FROM c.images)""",
    "contaminated rows that were not dropped": """
        SELECT count(*) FROM {decisions} d
        SEMI JOIN (FROM {contamination} WHERE removed) k USING (source, id)
        WHERE (d.decision, d.reason) IS DISTINCT FROM ('drop', 'contaminated')""",
    "rows dropped as contaminated that no evidence names": """
        SELECT count(*) FROM {decisions} d
        ANTI JOIN (FROM {contamination} WHERE removed) k USING (source, id)
        WHERE d.reason = 'contaminated'""",
}


def evidence_problems(
    connection: duckdb.DuckDBPyConnection, found: Finished, curation: CurationManifest
) -> Iterator[str]:
    """Clusters are complete; each near-duplicate and contaminated row has its evidence."""
    where = f"curation/{curation.fingerprint}"
    missing = set(curation.benchmarks.items()) - set(found.benchmarks)
    for name, fingerprint in sorted(missing):
        yield f"{where}: benchmarks/{name}/{fingerprint} is not there or not finished"
    if missing:
        return
    files = {
        "clusters": clusters_of(curation),
        "contamination": contamination_of(curation),
        "decisions": decisions_of(curation),
        "corpora": corpora_of(found, curation),
        "benchmarks": benchmarks_of(found, curation),
    }
    connection.execute(_TABLES.format(**files))
    queries = {what: sql.format(**files) for what, sql in _NEVER.items()}
    yield from violations(connection, where, queries)
