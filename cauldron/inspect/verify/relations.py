"""The files of a curation and of its corpora, as DuckDB reads them side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from cauldron.core.finished import Finished
from cauldron.core.manifests import CorpusManifest, CurationManifest, RowFile
from cauldron.core.schema import CLUSTER_SCHEMA, CONTAMINATION_SCHEMA, DECISION_SCHEMA
from cauldron.inspect.database import scan

_TYPES = {"string": "VARCHAR", "int32": "INTEGER", "int64": "BIGINT", "bool": "BOOLEAN"}

# Rows of several corpora by their place, as decisions name it.
_CORPUS_ROWS = r"""(
SELECT regexp_extract(filename, '{kind}/(.+)/[^/]+/part-\d+-of-\d+\.parquet$', 1) AS source,
       regexp_extract(filename, 'part-(\d+)-of-\d+\.parquet$', 1)::INTEGER AS part,
       file_row_number::INTEGER AS "row", * EXCLUDE (source, filename, file_row_number)
FROM {files})"""


def decisions_of(curation: CurationManifest) -> str:
    """The decisions, to stand after FROM."""
    return _files_of(curation, curation.buckets, DECISION_SCHEMA)


def has_text(curation: CurationManifest) -> str:
    """Whether a decision points to a merged text, as a SQL condition."""
    files = len(curation.merged)
    place = f"merged_file >= 0 AND merged_file < {files} AND merged_offset >= 0"
    return f"coalesce({place} AND merged_length > 0, false)"


def clusters_of(curation: CurationManifest) -> str:
    """The images in clusters, to stand after FROM."""
    return _files_of(curation, curation.clusters, CLUSTER_SCHEMA)


def contamination_of(curation: CurationManifest) -> str:
    """The images that are a benchmark's, to stand after FROM."""
    return _files_of(curation, curation.contamination, CONTAMINATION_SCHEMA)


def corpora_of(found: Finished, curation: CurationManifest) -> str:
    """The rows of all corpora with `source`, `part` and `row`, to stand after FROM."""
    return _rows_of("corpus", curation.corpora, found.corpora)


def benchmarks_of(found: Finished, curation: CurationManifest) -> str:
    """The rows of all benchmarks, whose names are the sources, to stand after FROM."""
    return _rows_of("benchmarks", curation.benchmarks, found.benchmarks)


def _rows_of(
    kind: str, prints: Mapping[str, str], corpora: Mapping[tuple[str, str], CorpusManifest]
) -> str:
    names = [
        f"{kind}/{source}/{fingerprint}/{part.parquet.name}"
        for source, fingerprint in prints.items()
        for part in corpora[source, fingerprint].parts
    ]
    if not names:
        return """(SELECT NULL::VARCHAR AS source, 0 AS part, 0 AS "row", NULL::VARCHAR AS id,
            0::BIGINT AS "offset", [] AS image_info WHERE false)"""
    files = scan(names, filename=True, file_row_number=True)
    return _CORPUS_ROWS.format(kind=kind, files=files)


def _files_of(curation: CurationManifest, files: Sequence[RowFile], schema: pa.Schema) -> str:
    if files:
        return scan(f"curation/{curation.fingerprint}/{file.name}" for file in files)
    # No file has these columns: an empty table does. Nested ones are not compared.
    columns = [
        f'NULL::{_TYPES[str(field.type)]} AS "{field.name}"'
        for field in schema
        if str(field.type) in _TYPES
    ]
    return f"(SELECT {', '.join(columns)} WHERE false)"
