"""``cauldron query``: SQL over an output folder.

Views: one for each finished mixture under its stage's name, `corpus`, `quarantine` and `decisions`
over the present corpus of every source (`Finished.current`: never two fingerprints of one
source, never anything half-written), and `manifest` with one row per stage and source. A view
over nothing is there and empty. Only the columns that a query names are read: images stay on
disk until asked for.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Literal, TextIO

import duckdb
import pyarrow as pa

from cauldron import storage
from cauldron.database import SCHEME, one_row, open_database, quoted, scan
from cauldron.errors import CauldronError, UsageError
from cauldron.manifests import DATA, Finished, MixtureManifest, find_finished
from cauldron.query_output import write_csv, write_json, write_parquet, write_table
from cauldron.schema import CORPUS_SCHEMA, DECISION_SCHEMA, MIXTURE_SCHEMA, QUARANTINE_SCHEMA

Style = Literal["table", "json", "csv", "parquet"]

_RESERVED = ("corpus", "quarantine", "decisions", "manifest")

# What DuckDB hands over at a time. Rows with images are large; row groups are at most 32 MiB.
_BATCH_ROWS = 256

_REASONS = pa.map_(pa.string(), pa.int64())

# One row per stage and source. `unavailable` says why a source is not in the mixture although the
# recipe asks for it; its other columns are null then. `reasons` counts rows by every reason code.
MANIFEST_SCHEMA = pa.schema(
    [
        ("stage", pa.string()),
        ("source", pa.string()),
        ("rows_in", pa.int64()),
        ("kept", pa.int64()),
        ("merged", pa.int64()),
        ("dropped", pa.int64()),
        ("quarantined", pa.int64()),
        ("reasons", _REASONS),
        ("weight", pa.float64()),
        ("share_asked", pa.float64()),
        ("share_reached", pa.float64()),
        ("epochs", pa.float64()),
        ("rows", pa.int64()),
        ("answer_tokens", pa.int64()),
        ("text_tokens", pa.int64()),
        ("image_tokens", pa.int64()),
        ("images", pa.int64()),
        ("license", pa.string()),
        ("repo", pa.string()),
        ("commit", pa.string()),
        ("corpus", pa.string()),
        ("unavailable", pa.string()),
    ]
)

# SELECT in all its forms; COPY, INSERT and their like inside a WITH have node types of their own.
_READING_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_TRACEBACK = "Traceback (most recent call last)"
_EXPLAIN = re.compile(r"\s*explain\b(\s+analyze\b)?(\s*\([^)]*\))?", re.IGNORECASE)


def run_query(
    out: str,
    sql: str,
    style: Style = "table",
    target: str | None = None,
    stream: TextIO | None = None,
) -> None:
    """Run one query and write its result.

    Args:
        out: the output folder, local or ``gs://``.
        style: how. Image bytes appear as ``<12,345 bytes>``, except in parquet.
        target: the file to write with style ``parquet``; appears whole or not at all.
        stream: where the other styles go; standard output by default.

    Raises:
        UsageError: the SQL is wrong, is not a single reading statement, or asks for what cannot
            be written in this style.
        CauldronError: the output folder cannot be read.
    """
    stream = stream or sys.stdout
    with connect(out) as connection, _errors_in_one_line(connection, out):
        check_reading(connection, sql)
        # Not `execute`: only a relation streams its result to Arrow without holding all of it.
        batches = connection.sql(sql).to_arrow_reader(_BATCH_ROWS)
        try:
            if style == "parquet":
                if target is None:
                    raise UsageError("say which parquet file to write")
                write_parquet(batches, target)
            elif style == "csv":
                write_csv(batches, stream)
            elif style == "json":
                write_json(batches, stream)
            else:
                write_table(batches, stream)
        finally:
            batches.close()
            del batches


@contextlib.contextmanager
def connect(out: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only DuckDB with the views of an output folder.

    Results must be read, or dropped, before the block ends. Callers that pass on SQL from others
    give it to `check_reading` first.

    Raises:
        UsageError: there is no such folder.
        CauldronError: a manifest is broken, or a file is a link to outside the folder.
    """
    if not storage.exists(out):
        raise UsageError(f"{out}: no such folder; give the output folder of a build")
    found = find_finished(out)
    views = _views(found)
    names = sorted({name for files, _, _ in views.values() for name in files})
    with open_database(out, names) as connection:
        with _errors_in_one_line(connection, out):
            for view, (files, sql, schema) in views.items():
                if files:
                    connection.execute(f"CREATE VIEW {_identifier(view)} AS {sql}")
                else:
                    _store(connection, view, schema.empty_table())
            _store(connection, "manifest", manifest_table(found.mixtures.values()))
        yield connection


def check_reading(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Refuse everything but one statement that only reads. Raises UsageError.

    The connection could write no file anyway; this gives a reason before anything runs, and keeps
    the views as they are.
    """
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise UsageError(_one_line(error)) from None
    if len(statements) != 1:
        raise UsageError(f"one SQL statement at a time, not {len(statements)}")
    kind = statements[0].type
    if kind == duckdb.StatementType.EXPLAIN:
        match = _EXPLAIN.match(sql)
        if match is None:
            raise UsageError("EXPLAIN must be the first word")
        check_reading(connection, sql[match.end() :])
        return
    if kind == duckdb.StatementType.MULTI:
        raise UsageError("give PIVOT its values: PIVOT … ON column IN (value, …)")
    if kind != duckdb.StatementType.SELECT:
        raise UsageError(f"queries only read, and this is {kind.name}: use SELECT")
    tree = json.loads(one_row(connection, "SELECT json_serialize_sql(?)", [sql])[0])
    if tree["error"]:
        raise UsageError(f"queries only read: {tree['error_message']}")
    for node in _node_types(tree):
        if node not in _READING_NODES:
            raise UsageError(f"queries only read, and this has {node.split('_')[0]} inside")


def _node_types(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        kind = tree.get("type")
        # Expressions have a class beside their type; nodes of statements do not.
        if isinstance(kind, str) and kind.endswith("_NODE") and "class" not in tree:
            yield kind
    children = tree.values() if isinstance(tree, dict) else tree
    if isinstance(tree, dict | list):
        for child in children:
            yield from _node_types(child)


def manifest_table(mixtures: Iterable[MixtureManifest]) -> pa.Table:
    """`MANIFEST_SCHEMA` rows of the given mixtures."""
    rows: list[dict[str, Any]] = []
    for mixture in mixtures:
        for name, source in mixture.sources.items():
            counts = source.counts
            reasons = counts.merged | counts.dropped | counts.quarantined
            row = source.model_dump(exclude={"counts"}) | {
                "stage": mixture.stage,
                "source": name,
                "rows_in": counts.rows_in,
                "kept": counts.kept,
                "merged": sum(counts.merged.values()),
                "dropped": sum(counts.dropped.values()),
                "quarantined": sum(counts.quarantined.values()),
                "reasons": sorted(reasons.items()),
                "corpus": mixture.corpora.get(name),
            }
            rows.append(row)
        for missing in mixture.unavailable:
            why = f"{missing.why}; {missing.remedy}"
            rows.append({"stage": mixture.stage, "source": missing.source, "unavailable": why})
    return pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA)


# A view: the files it reads, its SQL, and the columns it has when there are no files.
_View = tuple[list[str], str, pa.Schema]


def _views(found: Finished) -> dict[str, _View]:
    views: dict[str, _View] = {}
    corpus: list[str] = []
    quarantine: list[str] = []
    decided: dict[str, list[str]] = {}
    for source, (fingerprint, curation) in found.current.items():
        for part in found.corpora[source, fingerprint].parts:
            corpus.append(f"corpus/{source}/{fingerprint}/{part.parquet.name}")
            if part.quarantine is not None:
                quarantine.append(f"quarantine/{source}/{fingerprint}/{part.quarantine.name}")
        if curation is not None:
            decided.setdefault(curation, []).append(source)
    views["corpus"] = (corpus, f"SELECT * FROM {scan(corpus)}", CORPUS_SCHEMA)
    views["quarantine"] = (quarantine, f"SELECT * FROM {scan(quarantine)}", QUARANTINE_SCHEMA)
    views["decisions"] = _decisions(found, decided)
    for stage, mixture in sorted(found.mixtures.items()):
        shards = [f"mixtures/{stage}/{DATA}/{shard.name}" for shard in mixture.shards]
        name = stage
        # DuckDB's names ignore case.
        while name.casefold() in {*_RESERVED, *(view.casefold() for view in views)}:
            name = f"mixture_{name}"
        views[name] = (shards, f"SELECT * FROM {scan(shards)}", MIXTURE_SCHEMA)
    return views


def _decisions(found: Finished, decided: dict[str, list[str]]) -> _View:
    files: list[str] = []
    selects = []
    for curation, sources in sorted(decided.items()):
        buckets = [f"curation/{curation}/{b.name}" for b in found.curations[curation].buckets]
        if buckets:
            files.extend(buckets)
            wanted = ", ".join(quoted(source) for source in sources)
            selects.append(f"SELECT * FROM {scan(buckets)} WHERE source IN ({wanted})")
    return files, " UNION ALL ".join(selects), DECISION_SCHEMA


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _store(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    connection.register("handed_over", table)
    connection.execute(f"CREATE TABLE {_identifier(name)} AS SELECT * FROM handed_over")
    connection.unregister("handed_over")


@contextlib.contextmanager
def _errors_in_one_line(connection: duckdb.DuckDBPyConnection, out: str) -> Iterator[None]:
    try:
        yield
    except duckdb.CatalogException as error:
        names = [row[0] for row in connection.execute("SHOW TABLES").fetchall()]
        raise UsageError(f"{_one_line(error)} (there are: {', '.join(names)})") from None
    except duckdb.Error as error:
        text = _one_line(error)
        # A message that names one of our files, or comes from opening it, is not about the query.
        if f"{SCHEME}://" in text or _TRACEBACK in str(error):
            text = text.replace(f"{SCHEME}://", f"{out.rstrip('/')}/")
            raise CauldronError(f"{text}; cauldron verify tells what is wrong") from None
        ours = (duckdb.OutOfMemoryException, duckdb.InternalException, duckdb.IOException)
        raise (CauldronError if isinstance(error, ours) else UsageError)(text) from None


def _one_line(error: duckdb.Error) -> str:
    """DuckDB's message and hint, without the excerpt of the query under it."""
    text = re.split(r"\n\s*LINE \d+:", str(error))[0]
    if _TRACEBACK in text:  # an error of Python's in the file system: its own words come last
        text = text.strip().splitlines()[-1]
    return " ".join(text.split())
