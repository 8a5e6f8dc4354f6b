"""Check what curation did to documents: pictures left out of them, and documents dropped.

Both are found again: how many documents show each picture, from the clusters and the corpora, and
whether a dropped document has the text of the one that stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb

from cauldron.core.output.finished import Finished
from cauldron.core.output.manifests import CurationManifest
from cauldron.inspect.database import one_row
from cauldron.inspect.verify.relations import (
    clusters_of,
    corpora_of,
    decisions_of,
    violations,
)
from cauldron.transforms.curate.merging import normalise_text

_BATCH = 64

# `expected` is what is to be left out of each document that may stay: its images in clusters that
# more documents show than is allowed. Rows that are gone, and copies of rows, are not counted.
_TABLES = """
CREATE OR REPLACE TEMP TABLE documents AS
SELECT DISTINCT source, id, len(image_info) AS images FROM {corpora}
WHERE messages[1]."role" = 'assistant';
CREATE OR REPLACE TEMP TABLE shown AS
SELECT k.source, k.id, k.image, k.cluster FROM {clusters} k SEMI JOIN documents USING (source, id)
WHERE (k.source, k.id) NOT IN (SELECT (source, id) FROM {decisions}
                               WHERE reason IN ('contaminated', 'low_rating'));
CREATE OR REPLACE TEMP TABLE expected AS
SELECT source, id, list(image ORDER BY image) AS left_out FROM shown WHERE cluster IN (
    SELECT cluster FROM shown GROUP BY 1 HAVING count(DISTINCT (source, id)) > {most})
GROUP BY ALL;
"""

_NEVER = {
    "rows without pictures left out that are no documents": """
        SELECT count(*) FROM {decisions} d ANTI JOIN documents USING (source, id)
        WHERE dropped_images IS NOT NULL OR reason = 'repeated_images'""",
    "kept documents without other pictures than those that are in too many": """
        SELECT count(*) FROM {decisions} d LEFT JOIN expected e USING (source, id)
        WHERE decision = 'keep' AND d.dropped_images IS DISTINCT FROM e.left_out""",
    "documents dropped for repeated pictures that have others, or are none": """
        SELECT count(*) FROM {decisions} d LEFT JOIN expected e USING (source, id)
        LEFT JOIN documents c USING (source, id)
        WHERE reason = 'repeated_images' AND len(e.left_out) IS DISTINCT FROM c.images""",
    "documents that are kept without any picture": """
        SELECT count(*) FROM {decisions} d JOIN documents c USING (source, id)
        WHERE decision = 'keep' AND c.images > 0 AND len(d.dropped_images) = c.images""",
    "near-duplicates that are dropped, and are no documents": """
        SELECT count(*) FROM {decisions} d ANTI JOIN documents USING (source, id)
        WHERE decision = 'drop' AND reason = 'near_duplicate' AND {merges}""",
    "documents that are merged for their pictures": """
        SELECT count(*) FROM {decisions} d SEMI JOIN documents USING (source, id)
        WHERE decision = 'merge' AND reason = 'near_duplicate'""",
}

_SAME = """
SELECT d.id, c.messages, k.messages FROM {decisions} d
SEMI JOIN documents USING (source, id)
JOIN {corpora} c ON (d.source, d.part, d."row") = (c.source, c.part, c."row")
JOIN {corpora} k ON (d.into_source, d.into_part, d.into_row) = (k.source, k.part, k."row")
WHERE d.reason = 'near_duplicate'
"""


def document_problems(
    connection: duckdb.DuckDBPyConnection, found: Finished, curation: CurationManifest
) -> Iterator[str]:
    """Exactly the pictures in too many documents are left out, and documents that are dropped as
    near-duplicates have the text of the one that stays."""
    where = f"curation/{curation.fingerprint}"
    most = curation.max_documents
    files = {
        "corpora": corpora_of(found, curation),
        "clusters": clusters_of(curation),
        "decisions": decisions_of(curation),
        "most": "NULL" if most is None else str(most),
        "merges": "true" if curation.action == "merge" else "false",
    }
    connection.execute(_TABLES.format(**files))
    yield from violations(connection, where, {k: sql.format(**files) for k, sql in _NEVER.items()})
    if not one_row(connection, "SELECT count(*) FROM documents")[0]:
        return
    others = 0
    result = connection.execute(_SAME.format(**files))
    while batch := result.fetchmany(_BATCH):
        others += sum(_text(mine) != _text(kept) for _, mine, kept in batch)
    if others:
        yield f"{where}: {others:,} near-duplicate documents with another text than the one kept"


def _text(messages: list[dict[str, Any]]) -> list[str | None]:
    return [
        None if part["type"] == "image" else normalise_text(part["text"])
        for part in messages[0]["content"]
    ]
