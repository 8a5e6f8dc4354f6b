"""`cauldron query`: what it shows, and all that it must not see or do."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cauldron.cli import main
from cauldron.core import storage
from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.schema import (
    CLUSTER_SCHEMA,
    CONTAMINATION_SCHEMA,
    CORPUS_SCHEMA,
    DECISION_SCHEMA,
    MIXTURE_SCHEMA,
    QUARANTINE_SCHEMA,
    mixture_schema_with_features,
)
from cauldron.inspect import database
from cauldron.inspect.query import Limits, connect, run_query
from cauldron.inspect.views import MANIFEST_SCHEMA
from tests.doubles.gcs import FakeGcs
from tests.fixtures_out import LIMA, VQAV2, make_out

SECRET = "nobody may read this"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_out(str(tmp_path_factory.mktemp("query") / "out"))


@pytest.fixture
def own_out(tmp_path: Path) -> str:
    """An output folder that a test may change."""
    return make_out(str(tmp_path / "out"))


def ask(out: str, sql: str) -> list[dict[str, Any]]:
    stream = io.StringIO()
    run_query(out, sql, "json", None, stream)
    rows: list[dict[str, Any]] = json.loads(stream.getvalue())
    return rows


def shown(out: str, sql: str, style: Any = "table") -> str:
    stream = io.StringIO()
    run_query(out, sql, style, None, stream)
    return stream.getvalue()


def count(out: str, view: str) -> int:
    return int(ask(out, f'SELECT count(*) AS n FROM "{view}"')[0]["n"])


# What the views hold


def test_every_view_is_there(out: str) -> None:
    names = [row["name"] for row in ask(out, "SHOW TABLES")]
    curated = ["clusters", "contamination", "corpus", "decisions", "pictures", "reviews"]
    made = ["predictions", "ratings", "scores"]
    assert names == sorted(["benchmarks", *curated, *made, "manifest", "quarantine", "sft"])


def test_a_mixture_is_a_view_of_its_rows(out: str) -> None:
    rows = ask(
        out, "SELECT source, count(*) AS n, sum(tokens.answer) AS a FROM sft GROUP BY 1 ORDER BY 1"
    )
    assert rows == [{"source": LIMA, "n": 6, "a": 72}, {"source": VQAV2, "n": 10, "a": 108}]


def test_views_have_the_columns_of_their_schemas(out: str) -> None:
    schemas = {
        "sft": MIXTURE_SCHEMA,
        "corpus": CORPUS_SCHEMA,
        "quarantine": QUARANTINE_SCHEMA,
        "decisions": DECISION_SCHEMA,
        "clusters": CLUSTER_SCHEMA,
        "contamination": CONTAMINATION_SCHEMA,
        "benchmarks": CORPUS_SCHEMA,
        "manifest": MANIFEST_SCHEMA,
    }
    for view, schema in schemas.items():
        columns = [row["column_name"] for row in ask(out, f"DESCRIBE {view}")]
        assert columns == schema.names


def test_corpus_quarantine_and_decisions_join(out: str) -> None:
    assert count(out, "corpus") == 10
    assert ask(out, "SELECT reason, sum(rows) AS n FROM quarantine GROUP BY 1 ORDER BY 1") == [
        {"reason": "image_unreadable", "n": 1},
        {"reason": "no_turns", "n": 3},
    ]
    sql = """SELECT decision, count(*) AS n FROM decisions JOIN corpus USING (source, id)
        GROUP BY 1 ORDER BY 1"""
    # The kept copy and the merged one have the same id: they join with both corpus rows.
    assert ask(out, sql) == [{"decision": "keep", "n": 10}, {"decision": "merge", "n": 2}]


def test_the_manifest_has_a_row_per_stage_and_source(out: str) -> None:
    row = ask(out, f"SELECT * FROM manifest WHERE source = '{VQAV2}'")[0]
    assert row["rows_in"] == row["kept"] + row["merged"] + row["dropped"] + row["quarantined"] == 12
    assert row["reasons"] == {
        "exact_copy": 1,
        "image_unreadable": 1,
        "no_turns": 3,
        "same_image": 2,
    }
    assert (row["epochs"], row["rows"], row["share_reached"]) == (2.0, 10, 0.6)
    missing = ask(out, "SELECT stage, source, rows_in FROM manifest WHERE unavailable IS NOT NULL")
    assert missing == [{"stage": "sft", "source": "goat", "rows_in": None}]


def test_an_empty_folder_has_empty_views(tmp_path: Path) -> None:
    views = {
        "corpus": CORPUS_SCHEMA,
        "quarantine": QUARANTINE_SCHEMA,
        "decisions": DECISION_SCHEMA,
        "clusters": CLUSTER_SCHEMA,
        "contamination": CONTAMINATION_SCHEMA,
        "benchmarks": CORPUS_SCHEMA,
    }
    for view, schema in views.items():
        assert count(str(tmp_path), view) == 0
        columns = [row["column_name"] for row in ask(str(tmp_path), f"DESCRIBE {view}")]
        assert columns == schema.names
    assert count(str(tmp_path), "manifest") == 0


def test_corpora_are_there_before_any_mixture(tmp_path: Path) -> None:
    out = make_out(str(tmp_path / "out"), mixture=False)
    assert count(out, "corpus") == 10
    assert count(out, "decisions") == 10
    with pytest.raises(UsageError, match=r"sft does not exist.*there are: .*corpus, decisions"):
        ask(out, "SELECT * FROM sft")


def test_no_quarantine_is_an_empty_view(own_out: str) -> None:
    path = f"{own_out}/corpus/{VQAV2}/aaa111/manifest.json"
    manifest = storage.read_json(path)
    for part in manifest["parts"]:
        part["quarantine"] = None
    storage.write_json(path, manifest)
    shutil.rmtree(f"{own_out}/quarantine")
    assert count(own_out, "quarantine") == 0


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        ask(str(tmp_path / "nothing"), "SELECT 1")


def test_what_has_no_manifest_is_not_shown(own_out: str) -> None:
    os.unlink(f"{own_out}/corpus/{LIMA}/bbb222/manifest.json")
    shutil.copytree(f"{own_out}/mixtures/tiny/sft", f"{own_out}/mixtures/other")
    os.unlink(f"{own_out}/mixtures/other/manifest.json")
    assert ask(own_out, "SELECT DISTINCT source FROM corpus") == [{"source": VQAV2}]
    assert "other" not in [row["name"] for row in ask(own_out, "SHOW TABLES")]


def test_a_source_is_never_shown_with_two_fingerprints(own_out: str) -> None:
    """An older or newer corpus beside the one that the mixture was made of changes nothing."""
    make_out(own_out, mixture=False, lima="eee555")
    assert ask(own_out, f"SELECT count(*) AS n FROM corpus WHERE source = '{LIMA}'") == [{"n": 4}]
    assert count(own_out, "decisions") == 10
    with connect(own_out) as connection:
        sql = "SELECT sql FROM duckdb_views() WHERE view_name = 'corpus'"
        text = connection.execute(sql).fetchall()[0][0]
    assert "bbb222" in text
    assert "eee555" not in text


def test_without_a_mixture_the_newest_corpus_is_shown(tmp_path: Path) -> None:
    out = make_out(str(tmp_path / "out"), mixture=False)
    make_out(out, mixture=False, lima="eee555")
    for number, folder in enumerate(("cccaaa111bbb222", "cccaaa111eee555")):
        os.utime(f"{out}/curation/{folder}/manifest.json", (number, number))
    with connect(out) as connection:
        sql = "SELECT sql FROM duckdb_views() WHERE view_name = 'corpus'"
        assert "eee555" in connection.execute(sql).fetchall()[0][0]


def test_a_stage_may_be_called_like_a_view(own_out: str) -> None:
    os.rename(f"{own_out}/mixtures/tiny/sft", f"{own_out}/mixtures/tiny/Corpus")
    path = f"{own_out}/mixtures/tiny/Corpus/manifest.json"
    storage.write_json(path, storage.read_json(path) | {"stage": "Corpus"})
    assert count(own_out, "corpus") == 10
    assert count(own_out, "mixture_Corpus") == 16
    assert ask(own_out, "SELECT count(*) AS n FROM tiny.corpus") == [{"n": 16}]


def test_a_broken_manifest_is_named(own_out: str) -> None:
    Path(f"{own_out}/mixtures/tiny/sft/manifest.json").write_text('{"stage": 1}')
    with pytest.raises(CauldronError, match=r"mixtures/tiny/sft/manifest.json is not a manifest"):
        ask(own_out, "SELECT 1")


def test_a_moved_manifest_is_named(own_out: str) -> None:
    os.rename(f"{own_out}/mixtures/tiny/sft", f"{own_out}/mixtures/moved")
    with pytest.raises(CauldronError, match="describes mixtures/tiny/sft: move it back"):
        ask(own_out, "SELECT 1")


def test_names_with_the_signs_of_a_pattern_are_taken_as_they_are(tmp_path: Path) -> None:
    out = make_out(str(tmp_path / "o[1]*'?"))
    assert count(out, "sft") == 16


# Images stay unread


def large_images(out: str) -> str:
    """Give the first shard 16 images of 1 MiB; its path."""
    path = f"{out}/mixtures/tiny/sft/data/ddd444/train-00000-of-00002.parquet"
    rows = pq.read_table(path).to_pylist()
    for row in rows:
        row["images"] = [{"bytes": os.urandom(1024 * 1024), "path": None}] * 2
    schema = mixture_schema_with_features()
    table = pa.Table.from_pylist(rows, schema=schema)
    pq.write_table(table, path, compression="NONE", use_dictionary=False, row_group_size=2)
    return path


NO_IMAGES = "SELECT source, messages, image_info, tokens FROM sft"


def test_image_bytes_are_read_only_when_asked_for(
    own_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    large_images(own_out)
    read: list[int] = []
    fetch = database._LocalRanges.fetch

    def counted(self: Any, start: int, end: int) -> bytes:
        read.append(end - start)
        return fetch(self, start, end)

    monkeypatch.setattr(database._LocalRanges, "fetch", counted)
    assert len(ask(own_out, NO_IMAGES)) == 16
    assert sum(read) < 1024 * 1024
    read.clear()
    ask(own_out, "SELECT max(octet_length(images[1].bytes)) FROM sft")
    assert sum(read) > 16 * 1024 * 1024


def test_a_query_without_images_does_not_notice_that_they_are_broken(own_out: str) -> None:
    path = large_images(own_out)
    leaves = pq.ParquetFile(path).metadata.row_group(0)
    pixels = next(
        leaves.column(i)
        for i in range(leaves.num_columns)
        if leaves.column(i).path_in_schema == "images.list.element.bytes"
    )
    with open(path, "r+b") as file:
        file.seek(pixels.data_page_offset)
        file.write(b"\xff" * pixels.total_compressed_size)
    assert len(ask(own_out, NO_IMAGES)) == 16
    with pytest.raises((CauldronError, UsageError)):
        ask(own_out, "SELECT max(octet_length(images[1].bytes)) FROM sft")


# What it must not see or do


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM glob('cauldron://*')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT getenv('HOME')",
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM read_text('{out}/../secret.txt')",
        "SELECT * FROM read_text('{out}/secret.txt')",
        "SELECT * FROM read_text('cauldron://secret.txt')",
        "SELECT * FROM read_text('cauldron://../secret.txt')",
        "SELECT * FROM read_text('cauldron://mixtures/tiny/sft/manifest.json')",
        "SELECT * FROM read_text('file://{secret}')",
        "SELECT * FROM query('SELECT * FROM read_text(''{secret}'')')",
        "SELECT * FROM read_parquet('https://127.0.0.1:1/x.parquet')",
        "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
        "SELECT * FROM read_parquet('hf://datasets/a/b/x.parquet')",
        "SELECT * FROM read_duckdb('{secret}')",
        "SELECT * FROM local_variable",
    ],
)
def test_no_other_file_and_no_network_is_seen(own_out: str, sql: str) -> None:
    local_variable = pa.table({"x": [1]})
    assert local_variable.num_rows == 1
    secret = Path(own_out).parent / "secret.txt"
    secret.write_text(SECRET)
    os.symlink(secret, f"{own_out}/secret.txt")
    with pytest.raises(CauldronError) as caught:
        ask(own_out, sql.format(out=own_out, secret=secret))
    assert SECRET not in str(caught.value)


def test_a_listed_file_that_is_a_link_to_outside_is_refused(own_out: str) -> None:
    path = Path(own_out) / "mixtures/tiny/sft/data/ddd444/train-00000-of-00002.parquet"
    outside = Path(own_out).parent / "outside.parquet"
    path.rename(outside)
    path.symlink_to(outside)
    with pytest.raises(CauldronError, match="a link to outside"):
        ask(own_out, "SELECT * FROM sft")


def test_the_output_folder_itself_may_be_a_link(own_out: str) -> None:
    link = Path(own_out).parent / "link"
    link.symlink_to(own_out)
    assert count(str(link), "sft") == 16


def test_a_manifest_cannot_name_files_elsewhere(own_out: str) -> None:
    path = f"{own_out}/mixtures/tiny/sft/manifest.json"
    manifest = storage.read_json(path)
    manifest["shards"][0]["name"] = "../../../secret.parquet"
    storage.write_json(path, manifest)
    with pytest.raises(CauldronError, match="not a plain file name"):
        ask(own_out, "SELECT * FROM sft")


WRITING = [
    "COPY sft TO '{out}/copy.parquet'",
    "COPY (SELECT 1) TO 'cauldron://mixtures/tiny/sft/data/ddd444/train-00000-of-00002.parquet'",
    "EXPLAIN ANALYZE COPY sft TO '{out}/copy.parquet'",
    "EXPLAIN (FORMAT json) COPY sft TO '{out}/copy.parquet'",
    "/* so */ EXPLAIN ANALYZE COPY sft TO '{out}/copy.parquet'",
    "WITH a AS (COPY (SELECT 1) TO '{out}/copy.parquet') SELECT * FROM a",
    "WITH a AS (INSERT INTO manifest (stage) VALUES ('x') RETURNING *) SELECT * FROM a",
    "SELECT * FROM (WITH a AS (DELETE FROM manifest RETURNING *) SELECT * FROM a)",
    "CREATE TABLE t AS SELECT 1",
    "CREATE OR REPLACE VIEW sft AS SELECT 1",
    "INSERT INTO manifest (stage) VALUES ('x')",
    "UPDATE manifest SET stage = 'x'",
    "DELETE FROM manifest",
    "DROP VIEW sft",
    "ALTER VIEW sft RENAME TO other",
    "ATTACH '{out}/x.db'",
    "EXPORT DATABASE '{out}/export'",
    "IMPORT DATABASE '{out}/export'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "RESET enable_external_access",
    "PRAGMA enable_profiling",
    "CALL enable_logging()",
    "CHECKPOINT",
    "VACUUM",
    "USE memory",
    "BEGIN",
    "PREPARE p AS SELECT 1",
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY sft TO '{out}/copy.parquet'",
    "",
]


@pytest.mark.parametrize("sql", WRITING)
def test_only_one_reading_statement_is_taken(out: str, sql: str) -> None:
    before = sorted(str(path) for path in Path(out).rglob("*"))
    with pytest.raises(UsageError):
        ask(out, sql.format(out=out))
    assert sorted(str(path) for path in Path(out).rglob("*")) == before


@pytest.mark.parametrize(
    "sql",
    [
        "WITH a AS (COPY (SELECT 1 AS x) TO '{target}' (FORMAT parquet,"
        " USE_TMP_FILE false)) FROM a",
        "FROM query('WITH a AS (COPY (SELECT 1 AS x) TO ''{target}'' (FORMAT parquet,"
        " USE_TMP_FILE false)) FROM a')",
        "COPY (SELECT 1 AS x) TO '{target}' (FORMAT parquet, USE_TMP_FILE false)",
        "COPY (SELECT 1 AS x) TO '{target}' (FORMAT parquet)",
    ],
)
@pytest.mark.parametrize("scheme", ["cauldron://", ""])
def test_the_connection_itself_cannot_write(out: str, sql: str, scheme: str) -> None:
    """Not even where the statement is not looked at: what is listed can only be opened to read."""
    name = "mixtures/tiny/sft/data/ddd444/train-00000-of-00002.parquet"
    path = Path(out) / name
    before = path.read_bytes()
    target = f"cauldron://{name}" if scheme else str(path)
    with (
        connect(out) as connection,
        pytest.raises(Exception, match=r"(?i)only read|disabled|top level"),
    ):
        connection.execute(sql.format(target=target)).fetchall()
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 2


@pytest.mark.parametrize("setting", ["enable_external_access = true", "lock_configuration = false"])
def test_settings_are_locked(out: str, setting: str) -> None:
    with connect(out) as connection, pytest.raises(Exception, match="locked"):
        connection.execute(f"SET {setting}")


@pytest.mark.parametrize(
    "sql",
    [
        "FROM sft",
        "VALUES (1)",
        "TABLE manifest",
        "SUMMARIZE quarantine",
        "SHOW ALL TABLES",
        "EXPLAIN SELECT * FROM sft",
        "explain analyze SELECT count(*) FROM sft",
        "PIVOT sft ON source IN ('lima') USING count(*)",
        "UNPIVOT (SELECT rows, images FROM manifest) ON rows, images",
        "SELECT 1 UNION ALL SELECT 2 ORDER BY 1",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) FROM t",
        "WITH a AS MATERIALIZED (SELECT * FROM sft) SELECT (SELECT count(*) FROM a)",
        "SELECT [x * 2 FOR x IN [1, 2]], list_transform([1], lambda x: x)",
        "SELECT 'COPY_QUERY_NODE' AS type, {'type': 'INSERT_QUERY_NODE'} AS s;",
        "-- a comment\nSELECT 1",
    ],
)
def test_every_form_of_reading_is_taken(out: str, sql: str) -> None:
    assert ask(out, sql) is not None


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELEC 1", 'syntax error at or near "SELEC"'),
        ("SELECT sourc FROM sft", 'Referenced column "sourc" not found .* "source"'),
        ("SELECT * FROM corpu", 'Did you mean "corpus"'),
        ("SELECT 'a'::INTEGER", "Could not convert"),
        ("SELECT error(source) FROM sft", "lima|vqav2"),
        ("PIVOT sft ON source USING count(*)", "give PIVOT its values"),
    ],
)
def test_wrong_sql_is_one_line_with_the_hint(out: str, sql: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        ask(out, sql)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_not_the_queries_fault(own_out: str) -> None:
    os.unlink(f"{own_out}/mixtures/tiny/sft/data/ddd444/train-00001-of-00002.parquet")
    with pytest.raises(CauldronError) as caught:
        ask(own_out, "SELECT count(*) FROM sft")
    assert caught.value.exit_code == 1
    assert "train-00001-of-00002.parquet" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_not_the_queries_fault(own_out: str) -> None:
    path = f"{own_out}/mixtures/tiny/sft/data/ddd444/train-00000-of-00002.parquet"
    os.truncate(path, os.path.getsize(path) // 2)
    with pytest.raises(CauldronError, match=r"train-00000-of-00002.*cauldron verify") as caught:
        ask(own_out, "SELECT count(*) FROM sft")
    assert caught.value.exit_code == 1


# How it is written


def test_a_table_cuts_long_cells_and_shows_bytes_as_their_size(out: str) -> None:
    sql = "SELECT repeat('ab', 200) AS long, 'x'::BLOB AS data, NULL AS nothing, 7 AS n"
    text = shown(out, sql)
    assert "ab" * 29 + "a…" in text.replace("\n", "")
    assert "<1 bytes>" in text
    assert "·" in text
    assert text.endswith("1 row\n")


def test_a_wide_result_is_shown_row_by_row(out: str) -> None:
    text = shown(out, f"SELECT *, * FROM sft WHERE source = '{VQAV2}' LIMIT 2")
    assert "row 2 ─" in text
    assert '[{"bytes": "<' in text


def test_a_table_stops_at_a_readable_length(out: str) -> None:
    text = shown(out, "SELECT * FROM range(100000)")
    assert text.count("\n") < 1010
    assert "the first 1,000 rows" in text


def test_what_a_publisher_wrote_does_not_steer_the_terminal(out: str) -> None:
    text = shown(out, "SELECT chr(27) || '[2Jgone' || chr(10) || '[bold]x' AS evil")
    assert "\x1b" not in text
    assert r"\x1b[2Jgone\n[bold]x" in text


def test_json_is_one_array_of_plain_values(out: str) -> None:
    rows = ask(
        out,
        """SELECT 18446744073709551615::UBIGINT AS big, sum(1) AS whole, 1.25::DECIMAL(5, 2) AS dec,
        'nan'::DOUBLE AS nan, DATE '2024-02-03' AS day, MAP {'a': 1} AS map, {'b': [1, NULL]} AS s,
        'é<>' AS text, '12345'::BLOB AS data, NULL AS nothing""",
    )
    assert rows == [
        {
            "big": 18446744073709551615,
            "whole": 1,
            "dec": 1.25,
            "nan": None,
            "day": "2024-02-03",
            "map": {"a": 1},
            "s": {"b": [1, None]},
            "text": "é<>",
            "data": "<5 bytes>",
            "nothing": None,
        }
    ]
    assert ask(out, "SELECT * FROM sft WHERE false") == []
    assert ask(out, "SELECT 1 AS a, 2 AS a") == [{"a": 1, "a_1": 2}]


def test_csv_has_a_header_and_nested_values_as_json(out: str) -> None:
    sql = "SELECT source, tokens, NULL AS nothing, 'a,\"b' AS q FROM sft ORDER BY source LIMIT 1"
    lines = list(csv.reader(io.StringIO(shown(out, sql, "csv"))))
    assert lines == [
        ["source", "tokens", "nothing", "q"],
        [LIMA, '{"answer": 12, "text": 20, "image": 0}', "", 'a,"b'],
    ]


def test_parquet_takes_everything_as_it_is(out: str, tmp_path: Path) -> None:
    target = str(tmp_path / "result.parquet")
    run_query(out, "SELECT id, images, messages FROM sft ORDER BY id, epoch", "parquet", target)
    found = pq.read_table(target)
    names = ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    shards = [pq.read_table(f"{out}/mixtures/tiny/sft/data/ddd444/{name}") for name in names]
    expected = pa.concat_tables(shards).sort_by([("id", "ascending"), ("epoch", "ascending")])
    for name in ("id", "images", "messages"):
        assert found[name].to_pylist() == expected[name].to_pylist()


def test_an_empty_result_is_a_parquet_file_with_columns(out: str, tmp_path: Path) -> None:
    target = str(tmp_path / "result.parquet")
    run_query(out, "SELECT id, tokens FROM sft WHERE false", "parquet", target)
    table = pq.read_table(target)
    assert (table.num_rows, table.column_names) == (0, ["id", "tokens"])


def test_a_failed_query_leaves_the_parquet_file_that_was_there(out: str, tmp_path: Path) -> None:
    target = tmp_path / "result.parquet"
    target.write_bytes(b"before")
    sql = "SELECT CASE WHEN range > 5000 THEN error('late') END FROM range(10000)"
    with pytest.raises(CauldronError, match="late"):
        run_query(out, sql, "parquet", str(target))
    with pytest.raises(UsageError, match="CAST the column"):
        run_query(out, "SELECT INTERVAL 1 DAY AS i", "parquet", str(target))
    assert target.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["result.parquet"]


def test_parquet_needs_a_file_that_can_be_written(out: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="which parquet file"):
        run_query(out, "SELECT 1", "parquet")
    (tmp_path / "file").write_text("")
    with pytest.raises(CauldronError):
        run_query(out, "SELECT 1", "parquet", str(tmp_path / "file" / "result.parquet"))


def test_nothing_stays_in_the_temporary_folder(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ask(out, "SELECT * FROM sft")
    with pytest.raises(UsageError):
        ask(out, "nonsense")
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_is_given_up_half_way_does_no_harm(out: str) -> None:
    for _ in range(5):
        with connect(out) as connection:
            reader = connection.sql("SELECT * FROM sft, range(100000)").to_arrow_reader(10)
            assert reader.read_next_batch().num_rows
            del reader


# Other file systems


@pytest.fixture
def memory() -> Iterator[str]:
    root = f"memory://{uuid.uuid4().hex}/out"
    yield make_out(root)
    storage.remove(root)


def test_any_file_system_of_fsspec_works(memory: str) -> None:
    assert count(memory, "sft") == 16
    assert count(memory, "corpus") == 10
    with pytest.raises(CauldronError):
        ask(memory, f"SELECT * FROM read_text('{memory}/mixtures/tiny/sft/README.md')")
    with pytest.raises(UsageError, match="no such folder"):
        ask(memory + "x", "SELECT 1")


def test_google_cloud_storage_works_and_images_stay_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeGcs(["bucket"], page_size=5) as store:
        store.use(monkeypatch)
        out = make_out("gs://bucket/deep/out")
        local = io.BytesIO(
            store.objects("bucket")[
                "deep/out/mixtures/tiny/sft/data/ddd444/train-00000-of-00002.parquet"
            ]
        )
        rows = pq.read_table(local).to_pylist()
        for row in rows:
            row["images"] = [{"bytes": os.urandom(1024 * 1024), "path": None}]
        buffer = io.BytesIO()
        table = pa.Table.from_pylist(rows, schema=mixture_schema_with_features())
        pq.write_table(table, buffer, compression="NONE", use_dictionary=False)
        store.put(
            "bucket",
            "deep/out/mixtures/tiny/sft/data/ddd444/train-00000-of-00002.parquet",
            buffer.getvalue(),
        )
        store.log.clear()
        sql = "SELECT source, count(*) AS n FROM sft GROUP BY 1 ORDER BY 1"
        assert ask(out, sql) == [{"source": LIMA, "n": 6}, {"source": VQAV2, "n": 10}]
        assert sum(answer.sent for answer in store.log) < 1024 * 1024
        assert ask(out, "SELECT max(octet_length(images[1].bytes)) AS n FROM sft") == [
            {"n": 1024 * 1024}
        ]
        with pytest.raises(CauldronError):
            ask(out, "SELECT * FROM read_text('gs://bucket/deep/out/mixtures/tiny/sft/README.md')")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(10000000) b(i)",
        "SELECT a.i FROM range(10000000) a(i), range(10000000) b(i) WHERE a.i + b.i = -1",
        "WITH RECURSIVE t(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM t) SELECT max(i) FROM t",
    ],
)
@pytest.mark.parametrize("style", ["table", "csv"])
def test_a_query_without_end_is_stopped(out: str, sql: str, style: Any) -> None:
    begun = time.monotonic()
    with pytest.raises(CauldronError, match=r"stopped after 0\.3 s; --timeout"):
        run_query(out, sql, style, stream=io.StringIO(), limits=Limits(seconds=0.3))
    assert time.monotonic() - begun < 20


def test_a_query_may_hold_only_so_much_memory(out: str) -> None:
    sql = "SELECT length(string_agg(repeat('x', 1000), '')) FROM range(1000000)"
    with pytest.raises(CauldronError, match="--memory") as caught:
        run_query(out, sql, stream=io.StringIO(), limits=Limits(memory=100 << 20))
    assert "\n" not in str(caught.value)


def test_the_limits_are_options_of_the_command(out: str) -> None:
    sql = "SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(10000000) b(i)"
    found = CliRunner().invoke(main, ["query", out, sql, "--timeout", "0.2", "--memory", "0.5"])
    assert found.exit_code == 1
    assert found.output == "cauldron: the query was stopped after 0.2 s; --timeout gives it more\n"
