"""Check the rows that were dropped for their ratings against the ratings."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from cauldron.core.output.finished import Finished
from cauldron.core.output.manifests import CurationManifest
from cauldron.inspect.database import scan
from cauldron.inspect.verify.relations import decisions_of, violations

# Queries whose count must be 0, by what they count. A contaminated row may be rated low too.
_NEVER = {
    "rows with a low rating that were not dropped": """
        SELECT count(*) FROM {decisions} d SEMI JOIN {low} k USING (source, id)
        WHERE d.decision <> 'drop' OR d.reason NOT IN ('low_rating', 'contaminated')""",
    "rows dropped for a low rating that they do not have": """
        SELECT count(*) FROM {decisions} d ANTI JOIN {low} k USING (source, id)
        WHERE d.reason = 'low_rating'""",
}


def rating_problems(
    connection: duckdb.DuckDBPyConnection, found: Finished, curation: CurationManifest
) -> Iterator[str]:
    """Exactly the rows with a turn below `least` were dropped for it."""
    if not curation.ratings:
        return
    where = f"curation/{curation.fingerprint}"
    missing = set(curation.ratings.items()) - set(found.ratings)
    for source, fingerprint in sorted(missing):
        yield f"{where}: ratings/{source}/{fingerprint} is not there or not finished"
    if missing:
        return
    names = [name for key in curation.ratings.items() for name in found.ratings[key].tables()]
    low = " OR ".join(
        f"(scale = '{scale}' AND rating < {least})" for scale, least in curation.least.items()
    )
    files = {
        "decisions": decisions_of(curation),
        "low": f"(SELECT source, id FROM {scan(names)} WHERE {low})",
    }
    queries = {what: sql.format(**files) for what, sql in _NEVER.items()}
    yield from violations(connection, where, queries)
