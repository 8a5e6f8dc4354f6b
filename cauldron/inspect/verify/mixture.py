"""Check a mixture against its manifest, its corpora and the decisions."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from cauldron.core import storage
from cauldron.core.output.finished import Finished
from cauldron.core.output.manifests import (
    CurationManifest,
    MixtureManifest,
    RowFile,
    SourceInMixture,
)
from cauldron.core.output.mixture import read_row_groups
from cauldron.core.schema import mixture_schema_with_features
from cauldron.inspect.database import one_row, quoted, scan
from cauldron.inspect.verify.curation import load_source
from cauldron.inspect.verify.files import check_file, differences, file_problems, reading
from cauldron.inspect.verify.merged_copies import merged_copy_problems
from cauldron.inspect.verify.relations import decisions_of, has_text, violations

_SUMS = ("rows", "answer_tokens", "text_tokens", "image_tokens", "images")

# The copies; `holds` are the sources that have turns in a copy.
_COPIES = """
CREATE OR REPLACE TEMP TABLE copies AS
SELECT source, id, epoch, tokens, cluster, len(image_info) AS images,
       hash([i.sha256 for i in image_info]) AS digests,
       list_distinct(turn_sources) AS holds, {merged} AS merged
FROM {files}
"""

_MERGED = "(source, id) IN (SELECT (source, id) FROM {decisions} WHERE {has_text})"

# Tokens of merged rows are left out: their turns are of several sources.
_PER_SOURCE = """
SELECT source, coalesce(h.rows, 0), coalesce(answer, 0)::BIGINT, coalesce(text, 0)::BIGINT,
       coalesce(image, 0)::BIGINT, coalesce(o.images, 0)::BIGINT
FROM (SELECT source, sum(tokens.answer) FILTER (NOT merged) AS answer,
             sum(tokens.text) FILTER (NOT merged) AS text,
             sum(tokens.image) AS image, sum(images) AS images
      FROM copies GROUP BY 1) o
FULL JOIN (SELECT source, count(*) AS rows
           FROM (SELECT unnest(holds) AS source FROM copies) GROUP BY 1) h USING (source)
ORDER BY 1
"""

_PASS_ROWS = """
SELECT source, count(*) FROM (
    SELECT CASE WHEN contributions IS NULL THEN source END AS own, contributions
    FROM {decisions} WHERE decision = 'keep'), LATERAL (
    SELECT own AS source WHERE own IS NOT NULL
    UNION ALL SELECT c.source FROM (SELECT unnest(contributions) AS c))
GROUP BY 1
"""

_AGAINST_DECISIONS = """
SELECT count(*) FILTER (k.id IS NULL), count(*) FILTER (k.digests <> c.digests),
       count(*) FILTER (k.id IS NOT NULL AND k.cluster IS DISTINCT FROM c.cluster),
       count(*) FILTER (NOT c.merged AND c.holds <> [c.source])
FROM copies c LEFT JOIN (
    SELECT d.id, d.cluster, r.digests FROM decided d JOIN corpus_rows r USING (part, "row")
    WHERE d.decision = 'keep') k ON c.id = k.id
WHERE c.source = {source}
"""


def shard_problems(out: str, folder: str, entry: RowFile) -> list[str]:
    """Check the shard's bytes, its columns, and each image against its digest."""
    path = f"{folder}/{entry.name}"
    rows = _row_problems(storage.join(out, path))
    return check_file(out, folder, entry) + file_problems(path, rows)


def _row_problems(path: str) -> Iterator[str]:
    expected = mixture_schema_with_features()
    with storage.open_read(path) as file:
        schema = pq.read_schema(file)
    if not schema.equals(expected):
        raise ValueError("its columns are not those of a mixture")
    if (schema.metadata or {}).get(b"huggingface") != expected.metadata[b"huggingface"]:
        yield "the features for `datasets` are missing or others"
    start = 0
    for table in read_row_groups(path, ["images", "image_info", "messages"]):
        infos = table["image_info"].to_pylist()
        messages = table["messages"].to_pylist()
        rows = zip(_images(table["images"]), infos, messages, strict=True)
        for number, (images, info, talk) in enumerate(rows, start):
            yield from (f"row {number}: {line}" for line in _one_row(images, info, talk))
        start += table.num_rows


def _images(column: pa.ChunkedArray) -> Iterator[list[pa.Scalar]]:
    for chunk in column.chunks:
        for row in chunk:
            yield [image["bytes"] for image in row.values or []]


def _one_row(
    images: list[pa.Scalar], infos: list[dict[str, Any]], messages: list[dict[str, Any]]
) -> Iterator[str]:
    placed = sum(part["type"] == "image" for message in messages for part in message["content"])
    if not len(images) == len(infos) == placed:
        yield f"{len(images)} images, {len(infos)} in image_info, {placed} in messages"
        return
    for k, (data, info) in enumerate(zip(images, infos, strict=True)):
        found = hashlib.sha256(data.as_buffer()).hexdigest() if data.is_valid else "none"
        if found != info["sha256"]:
            yield f"the SHA-256 of image {k} is {found}, image_info says {info['sha256']}"


def manifest_problems(mixture: MixtureManifest, found: Finished) -> list[str]:
    """Check the manifest for consistency, alone and with those of its corpora and curation."""
    where = mixture.folder
    problems = []
    totals = mixture.totals
    for name in _SUMS:
        total = sum(getattr(source, name) for source in mixture.sources.values())
        if name == "rows":  # a row counts for every source that has turns in it
            total = min(total, totals.rows)
        problems += differences(f"{where}, sum of {name}", [("is", total, getattr(totals, name))])
    problems += differences(
        f"{where}, shards",
        [
            ("bytes", sum(shard.bytes for shard in mixture.shards), totals.bytes),
            ("rows", sum(shard.rows for shard in mixture.shards), totals.rows),
        ],
    )
    if mixture.curation not in found.curations:
        problems.append(f"{where}: curation/{mixture.curation} is not there or not finished")
    for name, source in mixture.sources.items():
        problems += _accounting(f"{where}, {name}", name, source, mixture, found)
    return problems


def _accounting(
    where: str, name: str, source: SourceInMixture, mixture: MixtureManifest, found: Finished
) -> Iterator[str]:
    counts = source.counts
    if counts.accounted != counts.rows_in:
        yield f"{where}: {counts.rows_in:,} rows in, {counts.accounted:,} accounted for"
    copies = source.epochs * source.pass_rows
    if abs(source.rows - copies) > 1:
        epochs = f"{source.epochs} epochs of {source.pass_rows:,}"
        yield f"{where}: {source.rows:,} rows, {epochs} say otherwise"
    share = source.answer_tokens / max(1, mixture.totals.answer_tokens)
    if not math.isclose(share, source.share_reached, rel_tol=1e-9, abs_tol=1e-12):
        yield f"{where}: reached a share of {share:.9f}, manifest.json says {source.share_reached}"
    fingerprint = mixture.corpora.get(name, "")
    corpus = found.corpora.get((name, fingerprint))
    if corpus is None:
        yield f"{where}: corpus/{name}/{fingerprint} is not there or not finished"
        return
    curation = found.curations.get(mixture.curation)
    if curation is None:
        return
    if curation.corpora.get(name) != fingerprint:
        yield f"{where}: made of corpus {fingerprint}, decided on {curation.corpora.get(name)}"
    elif name in curation.counts:
        expected = corpus.counts.after(curation.counts[name])
        fields = type(expected).model_fields
        figures = [(what, getattr(expected, what), getattr(counts, what)) for what in fields]
        yield from differences(where, figures)


def mixture_problems(
    connection: duckdb.DuckDBPyConnection, found: Finished, mixture: MixtureManifest
) -> list[str]:
    """Check the rows of all shards together, and each copy against the decision on its row."""
    problems: list[str] = []
    with reading(mixture.folder, problems):
        if mixture.shards:
            curation = found.curations.get(mixture.curation)
            merged, tokens = "false", defaultdict[str, Counter[str]](Counter)
            if curation is not None:
                problems += _pass_problems(connection, mixture, curation)
                problems += merged_copy_problems(connection, found.out, mixture, curation, tokens)
                decisions, text = decisions_of(curation), has_text(curation)
                merged = _MERGED.format(decisions=decisions, has_text=text)
            connection.execute(_COPIES.format(files=scan(mixture.shard_paths), merged=merged))
            problems += _sum_problems(connection, mixture, tokens)
            for name in mixture.sources:
                problems += _copy_problems(connection, found, mixture, name)
    return problems


def _pass_problems(
    connection: duckdb.DuckDBPyConnection, mixture: MixtureManifest, curation: CurationManifest
) -> Iterator[str]:
    sql = _PASS_ROWS.format(decisions=decisions_of(curation))
    counted = dict(connection.execute(sql).fetchall())
    for name, source in mixture.sources.items():
        figures = [("rows of a pass", counted.get(name, 0), source.pass_rows)]
        yield from differences(f"{mixture.folder}, {name}", figures)


def _sum_problems(
    connection: duckdb.DuckDBPyConnection,
    mixture: MixtureManifest,
    tokens: Mapping[str, Counter[str]],
) -> Iterator[str]:
    """Compare sums by source; `tokens` are those of merged rows."""
    where = mixture.folder
    rows = connection.execute(_PER_SOURCE).fetchall()
    sums = {row[0]: Counter(dict(zip(_SUMS, row[1:], strict=True))) for row in rows}
    for name, more in tokens.items():
        sums.setdefault(name, Counter()).update(more)
    for name, counted in sums.items():
        if name not in mixture.sources:
            yield f"{where}: {counted['rows']:,} rows of {name}, which manifest.json does not name"
    for name, source in mixture.sources.items():
        counted = sums.get(name, Counter())
        yield from differences(
            f"{where}, {name}",
            [(what.replace("_", " "), counted[what], getattr(source, what)) for what in _SUMS],
        )


def _copy_problems(
    connection: duckdb.DuckDBPyConnection, found: Finished, mixture: MixtureManifest, name: str
) -> Iterator[str]:
    where = f"{mixture.folder}, {name}"
    wanted = quoted(name)
    source = mixture.sources[name]
    whole, passes = math.floor(source.epochs), math.ceil(source.epochs)
    checks = {
        "copies twice in the same epoch": f"""
            SELECT count(*) FROM (FROM copies SELECT id, epoch WHERE source = {wanted}
            GROUP BY ALL HAVING count(*) > 1)""",
        "copies without turns": f"""
            SELECT count(*) FROM copies WHERE source = {wanted} AND len(holds) = 0""",
        f"copies of an epoch outside 0 to {passes - 1}": f"""
            SELECT count(*) FROM copies
            WHERE list_contains(holds, {wanted}) AND (epoch < 0 OR epoch >= {passes})""",
        f"copies are missing of the first {whole} epochs, which are whole": f"""
            SELECT greatest(0, {whole * source.pass_rows} - count(*)) FROM copies
            WHERE list_contains(holds, {wanted}) AND epoch < {whole}""",
    }
    yield from violations(connection, where, checks)
    curation = found.curations.get(mixture.curation)
    decided = curation is not None and (name, curation.corpora.get(name, "")) in found.corpora
    if curation is None or not decided:
        return  # reported already; nothing to compare with
    load_source(connection, found, curation, name)
    sql = _AGAINST_DECISIONS.format(source=wanted)
    unkept, other, elsewhere, mixed = one_row(connection, sql)
    if unkept:
        yield f"{where}: {unkept:,} copies of rows that no decision keeps"
    if other:
        yield f"{where}: {other:,} copies with other images than their corpus row"
    if elsewhere:
        yield f"{where}: {elsewhere:,} copies with another cluster than their decision"
    if mixed:
        yield f"{where}: {mixed:,} copies with turns of other sources, which no decision gave them"
