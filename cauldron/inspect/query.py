"""``cauldron query``: SQL over an output folder, with the views of `cauldron.inspect.views`.

Only the columns that a query names are read; images are not, unless the query names them.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TextIO

import duckdb
import pyarrow as pa

from cauldron.core import storage
from cauldron.core.errors import CauldronError, UsageError, first_line
from cauldron.core.output.finished import find_finished
from cauldron.inspect.database import SCHEME, one_row, open_database
from cauldron.inspect.query_output import write_csv, write_json, write_parquet, write_table
from cauldron.inspect.views import ViewName, identifier, manifest_table, views_of

Style = Literal["table", "json", "csv", "parquet"]

# Small, because rows with images are large.
_BATCH_ROWS = 256

# All forms of SELECT. COPY, INSERT and others inside a WITH have other node types.
_READING_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_TRACEBACK = "Traceback (most recent call last)"
_NO_TABLE = re.compile(r"Table with name (\S+) does not exist")
_EXPLAIN = re.compile(r"\s*explain\b(\s+analyze\b)?(\s*\([^)]*\))?", re.IGNORECASE)


@dataclass(frozen=True)
class Limits:
    """What one query may take.

    Attributes:
        seconds: from its start to the last row.
        memory: bytes; more is spilled to a disk where DuckDB can do so.
    """

    seconds: float = 600.0
    memory: int = 4 << 30


def run_query(
    out: str,
    sql: str,
    style: Style = "table",
    target: str | None = None,
    stream: TextIO | None = None,
    limits: Limits = Limits(),
) -> None:
    """Run one query and write its result.

    Args:
        out: the output folder, local or ``gs://``.
        style: the output format. Image bytes appear as ``<12,345 bytes>``, except in parquet.
        target: the file to write with style ``parquet``.
        stream: the output of the other styles; default: standard output.
        limits: of time and memory.

    Raises:
        UsageError: the SQL is wrong or is not a single reading statement, or its result cannot
            be written in this style.
        CauldronError: the output folder cannot be read, or the query needs more than the limits.
    """
    stream = stream or sys.stdout
    with (
        connect(out, limits.memory) as connection,
        _errors_in_one_line(connection, out),
        _interrupted_after(connection, limits.seconds),
    ):
        check_reading(connection, sql)
        # Not `execute`: only a relation streams its result to Arrow.
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
def connect(out: str, memory: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only DuckDB with the views of an output folder.

    Results must be read or dropped before the block ends. Check SQL from users with
    `check_reading` first.

    Raises:
        UsageError: the folder does not exist.
        CauldronError: a manifest is invalid, or a file is a link to a place outside the folder.
    """
    if not storage.exists(out):
        raise UsageError(f"{out}: no such folder; give the output folder of a build")
    found = find_finished(out)
    views = views_of(found)
    names = sorted({name for files, _, _ in views.values() for name in files})
    with open_database(out, names, memory) as connection:
        with _errors_in_one_line(connection, out):
            for view, (files, sql, schema) in views.items():
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(view.schema)}")
                if files:
                    connection.execute(f"CREATE VIEW {view.sql} AS {sql}")
                else:
                    _store(connection, view, schema.empty_table())
            manifest = ViewName("main", "manifest")
            _store(connection, manifest, manifest_table(found.mixtures.values()))
        yield connection


def check_reading(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Raise UsageError unless the SQL is one statement that only reads.

    The connection cannot write files anyway. This check explains the error before anything runs,
    and protects the views.
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
        # Expressions have a class and a type; nodes of statements have only a type.
        if isinstance(kind, str) and kind.endswith("_NODE") and "class" not in tree:
            yield kind
    children = tree.values() if isinstance(tree, dict) else tree
    if isinstance(tree, dict | list):
        for child in children:
            yield from _node_types(child)


def _store(connection: duckdb.DuckDBPyConnection, name: ViewName, table: pa.Table) -> None:
    connection.register("handed_over", table)
    connection.execute(f"CREATE TABLE {name.sql} AS SELECT * FROM handed_over")
    connection.unregister("handed_over")


@contextlib.contextmanager
def _interrupted_after(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupt the connection's query when its time is over. Raises CauldronError."""
    is_over = threading.Event()

    def stop() -> None:
        is_over.set()
        connection.interrupt()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError):  # Arrow wraps DuckDB's errors
        if not is_over.is_set():
            raise
        raise CauldronError(
            f"the query was stopped after {seconds:g} s; --timeout gives it more"
        ) from None
    finally:
        timer.cancel()
        timer.join()


@contextlib.contextmanager
def _errors_in_one_line(connection: duckdb.DuckDBPyConnection, out: str) -> Iterator[None]:
    try:
        yield
    except duckdb.CatalogException as error:
        raise UsageError(_unknown(error, connection)) from None
    except duckdb.OutOfMemoryException as error:
        text = "the query needs more memory than it may use; --memory gives it more"
        raise CauldronError(f"{text} ({first_line(error)})") from None
    except duckdb.Error as error:
        text = _one_line(error)
        # An error that names one of our files, or comes from opening it, is not about the query.
        if f"{SCHEME}://" in text or _TRACEBACK in str(error):
            text = text.replace(f"{SCHEME}://", f"{out.rstrip('/')}/")
            text += "; run it again if a build has just ended, else see what cauldron verify says"
            raise CauldronError(text) from None
        ours = (duckdb.InternalException, duckdb.IOException)
        raise (CauldronError if isinstance(error, ours) else UsageError)(text) from None


def _unknown(error: duckdb.CatalogException, connection: duckdb.DuckDBPyConnection) -> str:
    """The line for an unknown name: the recipes that have such a stage, or all views."""
    shown = connection.execute('SELECT "schema", name FROM (SHOW ALL TABLES) ORDER BY ALL')
    views = [ViewName(*row) for row in shown.fetchall()]
    asked = _NO_TABLE.search(str(error))
    alike = [v.sql for v in views if asked and v.view.casefold() == asked[1].casefold()]
    if len(alike) > 1:
        assert asked is not None
        return f"{asked[1]} is a stage of {len(alike)} recipes: write {' or '.join(alike)}"
    return f"{_one_line(error)} (there are: {', '.join(view.sql for view in views)})"


def _one_line(error: duckdb.Error) -> str:
    """DuckDB's message and hint, without the excerpt of the query."""
    text = re.split(r"\n\s*LINE \d+:", str(error))[0]
    if _TRACEBACK in text:  # an error in our file system: Python's message is the last line
        text = text.strip().splitlines()[-1]
    return " ".join(text.split())
