"""SQL relations of a curation and its corpora (text to put after FROM), and queries on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import duckdb
import pyarrow as pa

from cauldron.core.output.finished import Finished
from cauldron.core.output.manifests import CurationManifest, RowFile
from cauldron.core.schema import (
    CLUSTER_SCHEMA,
    CONTAMINATION_SCHEMA,
    CONTRIBUTIONS,
    DECISION_SCHEMA,
)
from cauldron.inspect.database import one_row, scan

_TYPES = {
    "string": "VARCHAR",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "bool": "BOOLEAN",
    "list<item: int32>": "INTEGER[]",
    str(CONTRIBUTIONS): "STRUCT(source VARCHAR, turns INTEGER, answer_tokens INTEGER)[]",
}

# Rows of several corpora with source, part and row, by which decisions refer to them.
_CORPUS_ROWS = r"""(
SELECT regexp_extract(filename, '{kind}/(.+)/[^/]+/part-\d+-of-\d+\.parquet$', 1) AS source,
       regexp_extract(filename, 'part-(\d+)-of-\d+\.parquet$', 1)::INTEGER AS part,
       file_row_number::INTEGER AS "row", * EXCLUDE (source, filename, file_row_number)
FROM {files})"""


def decisions_of(curation: CurationManifest) -> str:
    """The decisions."""
    return _files_of(curation, curation.buckets, DECISION_SCHEMA)


def has_text(curation: CurationManifest) -> str:
    """The SQL condition that a decision points to a merged text."""
    files = len(curation.merged)
    place = f"merged_file >= 0 AND merged_file < {files} AND merged_offset >= 0"
    return f"coalesce({place} AND merged_length > 0, false)"


def clusters_of(curation: CurationManifest) -> str:
    """The images in clusters."""
    return _files_of(curation, curation.clusters, CLUSTER_SCHEMA)


def contamination_of(curation: CurationManifest) -> str:
    """The contaminated images."""
    return _files_of(curation, curation.contamination, CONTAMINATION_SCHEMA)


def corpora_of(found: Finished, curation: CurationManifest) -> str:
    """The rows of all corpora, with `source`, `part` and `row`."""
    corpora = (found.corpora[key] for key in curation.corpora.items())
    return _rows_of("corpus", [name for corpus in corpora for name in corpus.tables()])


def benchmarks_of(found: Finished, curation: CurationManifest) -> str:
    """The rows of all benchmarks, with the name as `source`."""
    corpora = (found.benchmarks[key] for key in curation.benchmarks.items())
    names = [name for corpus in corpora for name in corpus.tables("benchmarks")]
    return _rows_of("benchmarks", names)


def violations(
    connection: duckdb.DuckDBPyConnection, where: str, queries: Mapping[str, str]
) -> Iterator[str]:
    """One line per query whose count is not 0; `queries` are SQL by what they count."""
    for what, sql in queries.items():
        number = one_row(connection, sql)[0]
        if number:
            yield f"{where}: {number:,} {what}"


def _rows_of(kind: str, names: list[str]) -> str:
    if not names:
        return """(SELECT NULL::VARCHAR AS source, 0 AS part, 0 AS "row", NULL::VARCHAR AS id,
            0::BIGINT AS "offset", [] AS image_info WHERE false)"""
    files = scan(names, filename=True, file_row_number=True)
    return _CORPUS_ROWS.format(kind=kind, files=files)


def _files_of(curation: CurationManifest, files: list[RowFile], schema: pa.Schema) -> str:
    if files:
        return scan(curation.paths(files))
    # Without files, an empty relation with the columns that queries use.
    columns = [
        f'NULL::{_TYPES[str(field.type)]} AS "{field.name}"'
        for field in schema
        if str(field.type) in _TYPES
    ]
    return f"(SELECT {', '.join(columns)} WHERE false)"
