"""Parquet files cut, read, and read when they are broken."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cauldron.sources import base
from cauldron.sources.base import BadRow, Piece, lost_rows
from cauldron.sources.formats import parquet
from cauldron.sources.formats.parquet import ParquetRow, parquet_pieces, read_parquet
from cauldron.sources.formats.parquet_files import Columns, batches_of, open_parquet
from cauldron.sources.formats.shards import Missing, choose_shards
from cauldron.sources.repos.files import FileInfo, Repo
from cauldron.sources.repos.folders import FolderRepo

SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string())])
BOTH = Columns(("id", "text"))


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    (tmp_path / "org/name").mkdir(parents=True)
    return FolderRepo(str(tmp_path), "org/name")


def write(repo: Repo, path: str, count: int, per_group: int = 10, **options: Any) -> Path:
    rows = [{"id": i, "text": f"{path} {i}"} for i in range(count)]
    file = Path(repo.url) / path
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), file, row_group_size=per_group, **options)
    return file


def plan(repo: Repo, limit: int = -1, columns: Columns = BOTH) -> list[Piece]:
    return parquet_pieces("s", repo, choose_shards(repo.list()), columns, limit)


def rows_of(repo: Repo, limit: int = -1, columns: Columns = BOTH) -> list[ParquetRow | BadRow]:
    return [
        row
        for piece in plan(repo, limit, columns)
        for row in (lost_rows(piece) if piece.reason else read_parquet(repo, piece, columns))
    ]


def ids(rows: list[ParquetRow | BadRow]) -> list[Any]:
    return [r.values["id"] if isinstance(r, ParquetRow) else r.reason for r in rows]


class Faulty(FolderRepo):
    """A repository behind Python files, one of whose reads fails."""

    def __init__(self, repo: Repo, error: Exception | None, after: int) -> None:
        super().__init__(str(Path(repo.url).parents[1]), repo.id)
        self.error = error
        self.after = after

    def open(self, path: str) -> BinaryIO:
        stream = io.BytesIO(super().open(path).read())
        read, left = stream.read, [self.after]

        def faulty(size: int = -1) -> bytes:
            left[0] -= 1
            if self.error and left[0] < 0:
                raise self.error
            return read(size)

        stream.read = faulty  # type: ignore[method-assign, assignment]
        return stream


def test_pieces_are_runs_of_row_groups(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    write(repo, "a.parquet", 55)
    whole = plan(repo)
    assert [(p.start, p.stop, p.limit) for p in whole] == [(0, 6, -1)]
    monkeypatch.setattr(base, "PIECE_BYTES", whole[0].size // 2)
    cut = plan(repo)
    assert [(p.start, p.stop) for p in cut] == [(0, 2), (2, 4), (4, 6)]
    assert sum(p.size for p in cut) == whole[0].size
    monkeypatch.setattr(base, "PIECE_BYTES", 1)
    assert [(p.start, p.stop) for p in plan(repo)] == [(i, i + 1) for i in range(6)]
    assert ids(rows_of(repo)) == list(range(55))


def test_a_large_source_has_larger_pieces_not_more(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.parquet", "b.parquet"):
        write(repo, name, 55)
    monkeypatch.setattr(base, "PIECE_BYTES", 1)
    assert len(plan(repo)) == 12
    monkeypatch.setattr(base, "MOST_PIECES", 4)
    assert len(plan(repo)) <= 6  # a file's last piece may be small
    assert ids(rows_of(repo)) == [*range(55), *range(55)]


def test_only_the_columns_that_are_read_count(repo: Repo) -> None:
    write(repo, "a.parquet", 55)
    assert plan(repo, columns=Columns(("id",)))[0].size < plan(repo)[0].size


def test_origins_count_rows_of_the_file(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    write(repo, "a.parquet", 25)
    monkeypatch.setattr(base, "PIECE_BYTES", 1)
    origins = [r.origin for r in rows_of(repo)]
    assert [(o.row_group, o.row) for o in origins] == [(i // 10, i) for i in range(25)]


@pytest.mark.parametrize("limit", [0, 1, 10, 14, 15, 16, 25, 33, 34, 100])
def test_a_limit_is_exact_over_files(
    repo: Repo, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(repo, "train-00000-of-00002.parquet", 15)
    write(repo, "train-00001-of-00002.parquet", 19)
    expected = [*range(15), *range(19)]
    assert ids(rows_of(repo, limit)) == expected[:limit]
    monkeypatch.setattr(base, "PIECE_BYTES", 1)
    assert ids(rows_of(repo, limit)) == expected[:limit]


def test_a_limit_opens_no_more_files_than_it_needs(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(4):
        write(repo, f"train-0000{i}-of-00004.parquet", 10)
    opened: list[str] = []
    survey = parquet._survey
    monkeypatch.setattr(parquet, "_survey", lambda *args: opened.append(args[1]) or survey(*args))
    assert len(rows_of(repo, 12)) == 12
    assert len(opened) == 2


def test_a_limit_of_a_thousand_shards_opens_few(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = choose_shards(
        FileInfo(f"train-{i:05d}-of-01000.parquet", 1_000_000, "") for i in range(1_000)
    )
    opened: list[str] = []

    def survey(repo: Repo, path: str, columns: Columns) -> list[parquet.Group]:
        opened.append(path)
        return [parquet.Group(700, 1_000_000)]

    monkeypatch.setattr(parquet, "_survey", survey)
    pieces = parquet_pieces("s", repo, shards, BOTH, limit=10_000)
    assert len(opened) == 15  # 10,000 of 700 each
    assert sum(piece.limit for piece in pieces) == 10_000
    assert [piece.limit for piece in pieces] == [700] * 14 + [200]


def test_pieces_of_a_limit_say_how_many_rows_they_hold(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(repo, "a.parquet", 55)
    monkeypatch.setattr(base, "PIECE_BYTES", 1)
    assert [piece.limit for piece in plan(repo, 35)] == [10, 10, 10, 5]
    assert {piece.limit for piece in plan(repo)} == {-1}


def test_of_very_many_files_none_is_opened_for_planning_and_the_reader_finds_the_broken_ones(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"train-0000{number}-of-00006.parquet" for number in range(6)]
    for name in names[:3]:
        write(repo, name, 25)
    whole = write(repo, names[3], 25).read_bytes()
    (Path(repo.url) / names[3]).write_bytes(whole[:-40])
    pq.write_table(pa.table({"other": range(7)}), Path(repo.url) / names[4])
    planned = rows_of(repo)
    monkeypatch.setattr(parquet, "_MOST_FOOTERS", 4)
    opened: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(FolderRepo, "open", lambda repo, path: opened.append(path))
        pieces = plan(repo)
    assert opened == []
    assert [piece.file for piece in pieces[:5]] == names[:5]
    assert [piece.reason for piece in pieces] == [""] * 5 + ["missing_shard"]
    assert sum(p.size for p in pieces) == sum(file.size for file in repo.list())
    assert rows_of(repo) == planned
    lost = [(r.reason, r.rows) for r in planned if isinstance(r, BadRow) and r.whole_piece]
    assert lost == [("unreadable_file", 1), ("wrong_columns", 7), ("missing_shard", 1)]


@pytest.mark.parametrize("rows_per_batch", [1, 3, 1000])
def test_batches_do_not_show(
    repo: Repo, rows_per_batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(repo, "a.parquet", 25)
    monkeypatch.setattr("cauldron.sources.formats.parquet_files.BATCH_ROWS", rows_per_batch)
    assert ids(rows_of(repo)) == list(range(25))
    assert ids(rows_of(repo, 12)) == list(range(12))


@pytest.mark.parametrize("codec", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("listed", [False, True])
def test_batches_are_bounded_by_what_dictionaries_decode_to(
    repo: Repo, codec: str, listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cauldron.sources.formats.parquet_files.DECODED_BYTES", 2_000_000)
    rows, picture = 512, random.Random(0).randbytes(100_000)
    values: Any = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [picture])
    if listed:
        values = pa.ListArray.from_arrays(pa.array(range(0, rows + 1, 4), pa.int32()), values)
    path = Path(repo.url) / "a.parquet"
    pq.write_table(pa.table({"image": values}), path, store_schema=False, compression=codec)
    assert path.stat().st_size < 120_000
    columns = Columns(("image",))
    with open_parquet(repo, "a.parquet", columns) as file:
        batches = list(batches_of(file, 0, ["image"], len(values)))
    assert sum(batch.num_rows for batch in batches) == len(values)
    assert max(batch.nbytes for batch in batches) <= 2_000_000
    read = [r.values["image"] for r in rows_of(repo, columns=columns) if isinstance(r, ParquetRow)]
    assert read == ([[picture] * 4] * (rows // 4) if listed else [picture] * rows)


def test_small_dictionaries_leave_batches_large(repo: Repo) -> None:
    write(repo, "a.parquet", 2000, per_group=2000, compression="snappy")
    with open_parquet(repo, "a.parquet", BOTH) as file:
        assert next(batches_of(file, 0, ["id", "text"], 2000)).num_rows == 1024


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 1000, b"PAR1" + b"\0" * 50 + b"PAR1"])
def test_what_is_no_parquet_file_is_one_bad_row(repo: Repo, content: bytes) -> None:
    write(repo, "train-00000-of-00003.parquet", 5)
    (Path(repo.url) / "train-00001-of-00003.parquet").write_bytes(content)
    write(repo, "train-00002-of-00003.parquet", 5)
    rows = rows_of(repo)
    assert ids(rows) == [*range(5), "unreadable_file", *range(5)]
    assert (rows[5].origin.row, rows[5].origin.file) == (-1, "train-00001-of-00003.parquet")


def test_a_file_that_breaks_after_planning_is_one_bad_row(repo: Repo) -> None:
    file = write(repo, "a.parquet", 5)
    pieces = plan(repo)
    file.write_bytes(file.read_bytes()[:-3])
    assert ids(list(read_parquet(repo, pieces[0], BOTH))) == ["unreadable_file"]


def test_other_columns_are_told_with_the_rows_they_cost(repo: Repo) -> None:
    write(repo, "train-00000-of-00002.parquet", 5)
    other = pa.table({"id": list(range(7)), "words": ["x"] * 7})
    pq.write_table(other, Path(repo.url) / "train-00001-of-00002.parquet")
    rows = rows_of(repo)
    last = rows[-1]
    assert ids(rows) == [*range(5), "wrong_columns"]
    assert isinstance(last, BadRow)
    assert (last.rows, last.origin.row) == (7, -1)
    assert "no column text" in last.message
    assert "id, words" in last.message
    assert [r.rows for r in rows_of(repo, 8) if isinstance(r, BadRow)] == [3]


def test_a_column_that_is_there_twice_is_a_wrong_column(repo: Repo) -> None:
    twice = pa.Table.from_arrays(
        [pa.array([1]), pa.array(["a"]), pa.array(["b"])], ["id", "text", "text"]
    )
    pq.write_table(twice, Path(repo.url) / "a.parquet")
    assert ids(rows_of(repo)) == ["wrong_columns"]


def test_optional_columns_are_read_where_they_are(repo: Repo) -> None:
    write(repo, "a.parquet", 1)
    row = rows_of(repo, columns=Columns((), ("text", "note")))[0]
    assert isinstance(row, ParquetRow)
    assert row.values == {"text": "a.parquet 0"}
    assert ids(rows_of(repo, columns=Columns((), ("note",)))) == ["wrong_columns"]


def test_a_broken_row_group_costs_its_rows_alone(repo: Repo) -> None:
    file = write(repo, "a.parquet", 30, compression="snappy")
    start = pq.read_metadata(file).row_group(1).column(1).dictionary_page_offset
    data = bytearray(file.read_bytes())
    data[start : start + 60] = b"\xff" * 60
    file.write_bytes(bytes(data))
    rows = rows_of(repo)
    assert ids(rows) == [*range(10), *["unreadable_row_group"] * 10, *range(20, 30)]
    assert [r.origin.row for r in rows] == list(range(30))
    assert len({(r.origin.row_group, r.origin.row) for r in rows}) == 30


def test_a_page_that_breaks_costs_the_rows_from_there_on(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cauldron.sources.formats.parquet_files.BATCH_ROWS", 5)
    how = {"use_dictionary": False, "compression": "none", "data_page_size": 1}
    file = write(repo, "a.parquet", 30, 20, write_batch_size=5, **how)
    data = file.read_bytes()
    spot = data.index(b"a.parquet 12")
    file.write_bytes(data[: spot - 4] + b"\xff\xff\xff\x7f" + data[spot:])
    rows = rows_of(repo)
    assert ids(rows) == [*range(10), *["unreadable_row_group"] * 10, *range(20, 30)]


def test_text_that_is_not_utf8_costs_its_row_alone(repo: Repo) -> None:
    texts = pa.array([b"good", b"\xff\xfe bad", b"fine"], pa.binary()).view(pa.string())
    table = pa.table({"id": pa.array([0, 1, 2]), "text": texts})
    pq.write_table(table, Path(repo.url) / "a.parquet")
    rows = rows_of(repo)
    assert ids(rows) == [0, "bad_row", 2]
    assert rows[1].origin.row == 1


def test_a_footer_that_lies_about_its_rows_is_not_believed(repo: Repo) -> None:
    problem = parquet.ParquetError("unreadable_row_group", "m", 10**12)
    lost = list(parquet._lost(rows_of_one(repo).origin, problem))
    assert [row.rows for row in lost] == [2**31 - 1]


def rows_of_one(repo: Repo) -> ParquetRow | BadRow:
    write(repo, "a.parquet", 1)
    return rows_of(repo)[0]


@pytest.mark.parametrize(
    "error", [ConnectionResetError("gone"), OSError(5, "Input/output error"), MemoryError()]
)
@pytest.mark.parametrize("after", [0, 3])
def test_trouble_of_the_machine_is_no_bad_row(repo: Repo, error: Exception, after: int) -> None:
    write(repo, "a.parquet", 30)
    piece = plan(repo)[0]
    with pytest.raises(type(error)):
        list(read_parquet(Faulty(repo, error, after), piece, BOTH))


def test_files_that_are_not_local_are_read_through_python(repo: Repo) -> None:
    write(repo, "a.parquet", 30)
    assert ids(list(read_parquet(Faulty(repo, None, 0), plan(repo)[0], BOTH))) == list(range(30))


def test_a_missing_shard_is_named(repo: Repo) -> None:
    for i in (1, 4):
        write(repo, f"train-0000{i}-of-00005-2ce340398c113b79.parquet", 2)
    rows = rows_of(repo)
    absent = ["missing_shard"]
    assert ids(rows) == [*absent, 0, 1, *absent * 2, 0, 1]
    bad = [r for r in rows if isinstance(r, BadRow)]
    assert [r.origin.file for r in bad] == [f"train-0000{i}-of-00005" for i in (0, 2, 3)]
    assert "train-00003-of-00005" in bad[-1].message
    assert ids(rows_of(repo, 2)) == [*absent, 0, 1]


def test_many_missing_shards_are_one_piece(repo: Repo) -> None:
    write(repo, "train-00500-of-01106.parquet", 1)
    shards = choose_shards(repo.list())
    assert shards.slots[0] == Missing("train-*-of-01106", 0, 500)
    assert len(plan(repo)) == 3
    assert len(rows_of(repo)) == 1106


MEASURE = """
import resource, sys
import pyarrow as pa
from cauldron.sources.repos.folders import FolderRepo
from cauldron.sources.formats.parquet import parquet_pieces, read_parquet
from cauldron.sources.formats.parquet_files import Columns, batches_of, open_parquet
from cauldron.sources.formats.shards import choose_shards
repo = FolderRepo(sys.argv[1], "org/name")
columns = Columns(("image",))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = total = 0
for piece in parquet_pieces("s", repo, choose_shards(repo.list()), columns):
    for row in read_parquet(repo, piece, columns):
        rows += 1
        total += len(row.values["image"])
print(rows, total, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
def test_a_large_row_group_is_streamed(repo: Repo, tmp_path: Path) -> None:
    """One row group of 400 MB, in pages of 8 MB: reading it takes a small part of that."""
    blob = bytes(range(256)) * 4096
    schema = pa.schema([("image", pa.binary())])
    how = {"compression": "none", "use_dictionary": False, "write_batch_size": 8}
    with pq.ParquetWriter(Path(repo.url) / "a.parquet", schema, **how) as writer:
        chunk = pa.chunked_array([pa.array([blob] * 20, pa.binary()) for _ in range(20)])
        writer.write_table(pa.table([chunk], schema=schema), row_group_size=400)
    script = [sys.executable, "-c", MEASURE, str(tmp_path)]
    here = Path(__file__).parents[3]
    done = subprocess.run(script, capture_output=True, text=True, check=True, cwd=here)
    rows, total, grown = map(int, done.stdout.split())
    assert (rows, total) == (400, 400 * len(blob))
    assert grown < 150
