"""The nine text-only sets, each in its published layout."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cauldron.errors import SourceUnavailable, UsageError
from sources.base import BadRow, RawTurn, Row, registry
from sources.conversations import conversation_of, text_of
from sources.files import Root
from sources.rows import RowProblem
from sources.text_only import members, reader

Rows = list[dict[str, Any]]


def read(root: Path, name: str, limit: int = -1, **options: Any) -> list[Row | BadRow]:
    source = registry()[name]
    there = Root.open(str(root))
    repo = there.repo(source.repo)
    pieces = source.pieces(there, repo, options, limit)
    return [row for piece in pieces for row in source.read(there, repo, piece, options)]


def talks(rows: list[Row | BadRow]) -> list[Any]:
    """Turns as (user, assistant), or the reason."""
    return [
        [(turn.user, turn.assistant) for turn in row.turns] if isinstance(row, Row) else row.reason
        for row in rows
    ]


def place(root: Path, name: str, path: str) -> Path:
    file = root / registry()[name].repo / path
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def as_array(file: Path, rows: Rows) -> None:
    file.write_text(json.dumps(rows, indent=2, ensure_ascii=False))


def as_lines(file: Path, rows: Rows) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def as_parquet(file: Path, rows: Rows) -> None:
    pq.write_table(pa.Table.from_pylist(rows), file)


def as_zip(file: Path, rows: Rows) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, row in enumerate(rows):
            archive.writestr(f"math/{number:03}_001.json", json.dumps(row))


def chat(*values: str, system: str | None = None) -> list[dict[str, str]]:
    speakers = ["human", "gpt"] * len(values)
    talk = [{"from": who, "value": value} for who, value in zip(speakers, values, strict=False)]
    return [{"from": "system", "value": system}, *talk] if system else talk


SUM = {"instruction": "What is 2+3?", "input": "2 + 3", "output": "2 + 3 = 5", "answer": "5"}

# Set, published file, writer, rows as published, turns read.
PUBLISHED: dict[str, tuple[str, Callable[[Path, Rows], None], Rows, list[Any]]] = {
    "openhermes_2_5": (
        "openhermes2_5.json",
        as_array,
        [
            {"conversations": chat("Q", "A"), "source": "x", "id": None, "idx": 0},
            {"conversations": chat("Q1", "A1", "Q2", "A2", system="Be brief."), "id": "k"},
            {"conversations": chat("Q1", "A1", "Q2"), "source": None},
        ],
        [[("Q", "A")], [("Q1", "A1"), ("Q2", "A2")], [("Q1", "A1"), ("Q2", None)]],
    ),
    "lima": (
        "train.jsonl",
        as_lines,
        [
            {"conversations": ["Q", "A"], "source": "stackexchange"},
            {"conversations": ["Q1", "A1", "Q2", "A2"], "source": "multi_turn"},
        ],
        [[("Q", "A")], [("Q1", "A1"), ("Q2", "A2")]],
    ),
    "dolly": (
        "databricks-dolly-15k.jsonl",
        as_lines,
        [
            {"instruction": "Q", "context": "", "response": "A", "category": "open_qa"},
            {"instruction": "Q", "context": "C", "response": "A", "category": "closed_qa"},
        ],
        [[("Q", "A")], [("Q\n\nC", "A")]],
    ),
    "metamathqa": (
        "MetaMathQA-395K.json",
        as_array,
        [{"type": "GSM_Rephrased", "query": "Q", "original_question": "O", "response": "A"}],
        [[("Q", "A")]],
    ),
    "math_instruct": (
        "MathInstruct.json",
        as_array,
        [{"source": "data/CoT/aqua_rat.json", "output": "A", "instruction": "Q"}],
        [[("Q", "A")]],
    ),
    "orca_math": (
        "data/train-00000-of-00001.parquet",
        as_parquet,
        [{"question": "Q", "answer": "A"}, {"question": None, "answer": "A"}],
        [[("Q", "A")], [(None, "A")]],
    ),
    "camel_ai_math": (
        "math.zip",
        as_zip,
        [
            {"role_1": "M", "topic;": "Algebra", "sub_topic": "x", "message_1": q, "message_2": "A"}
            for q in ("Q1", "Q2")
        ],
        [[("Q1", "A")], [("Q2", "A")]],
    ),
    "atlas_math_sets": (
        "data/atlas-math-train.jsonl",
        as_lines,
        [SUM, {"instruction": "Q", "input": "", "output": "", "answer": 5}],
        [[("What is 2+3?", "2 + 3 = 5")], [("Q", "5")]],
    ),
    "goat": ("dataset.json", as_array, [SUM], [[("What is 2+3?", "2 + 3 = 5")]]),
}


@pytest.mark.parametrize("name", PUBLISHED)
class TestEverySet:
    def test_its_published_layout(self, tmp_path: Path, name: str) -> None:
        path, write, rows, wanted = PUBLISHED[name]
        write(place(tmp_path, name, path), rows)
        got = read(tmp_path, name)
        assert talks(got) == wanted
        assert {row.origin.file for row in got} == {path}
        for row in got:
            assert isinstance(row, Row)
            assert row.images == []
            assert {turn.source for turn in row.turns} == {name}
        assert talks(read(tmp_path, name, limit=1)) == wanted[:1]
        assert registry()[name].dialogue == (name in ("openhermes_2_5", "lima"))

    @pytest.mark.parametrize(
        ("path", "write"),
        [
            ("data/train-00000-of-00001.parquet", as_parquet),
            ("default/train/0000.parquet", as_parquet),
            ("train.jsonl", as_lines),
            ("rows.json", as_array),
        ],
    )
    def test_copies_in_other_forms(
        self, tmp_path: Path, name: str, path: str, write: Callable[[Path, Rows], None]
    ) -> None:
        _, _, rows, wanted = PUBLISHED[name]
        write(place(tmp_path, name, path), rows[:1])
        place(tmp_path, name, "dataset_infos.json").write_text("{}")
        place(tmp_path, name, "README.md").write_text("a card")
        assert talks(read(tmp_path, name)) == wanted[:1]

    def test_rows_that_are_none_say_so(self, tmp_path: Path, name: str) -> None:
        path, write, rows, wanted = PUBLISHED[name]
        if write is as_parquet:
            pytest.skip("a parquet file has one schema")
        write(place(tmp_path, name, path), [rows[0], {"other": "x"}, rows[0]])
        assert talks(read(tmp_path, name)) == [wanted[0], "bad_row", wanted[0]]

    def test_nothing_there_is_unavailable(self, tmp_path: Path, name: str) -> None:
        place(tmp_path, name, "data/test-00000-of-00001.parquet").write_bytes(b"")
        place(tmp_path, name, "README.md").write_text("a card")
        with pytest.raises(SourceUnavailable, match="no "):
            read(tmp_path, name)

    def test_it_has_no_options(self, tmp_path: Path, name: str) -> None:
        path, write, rows, _ = PUBLISHED[name]
        write(place(tmp_path, name, path), rows)
        with pytest.raises(UsageError, match="split"):
            read(tmp_path, name, split="test")


def test_openhermes_keeps_the_system_prompt_and_the_key(tmp_path: Path) -> None:
    path, write, rows, _ = PUBLISHED["openhermes_2_5"]
    write(place(tmp_path, "openhermes_2_5", path), rows)
    got = [row for row in read(tmp_path, "openhermes_2_5") if isinstance(row, Row)]
    assert [row.system for row in got] == [None, "Be brief.", None]
    assert [row.origin.key for row in got] == ["", "k", ""]
    assert [row.origin.row for row in got] == [0, 1, 2]


def test_damage_inside_an_array_costs_one_row(tmp_path: Path) -> None:
    one = json.dumps({"conversations": chat("Q", "A"), "source": "x"})
    broken = one.replace('"value": "Q"', '"value": Q')
    place(tmp_path, "openhermes_2_5", "openhermes2_5.json").write_text(
        f"[{one}, {broken}, {one}, {one}"
    )
    got = talks(read(tmp_path, "openhermes_2_5"))
    assert got == [[("Q", "A")], "bad_json", [("Q", "A")], [("Q", "A")], "unreadable_file"]


def test_validation_and_test_rows_are_not_training_rows(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        row = {**SUM, "instruction": split}
        as_lines(place(tmp_path, "atlas_math_sets", f"data/atlas-math-{split}.jsonl"), [row])
    assert talks(read(tmp_path, "atlas_math_sets")) == [[("train", "2 + 3 = 5")]]


def test_the_limit_is_for_all_files_together(tmp_path: Path) -> None:
    for number in range(3):
        file = place(tmp_path, "goat", f"data/train-{number:05}-of-00003.parquet")
        as_parquet(file, [SUM] * 4)
        as_lines(place(tmp_path, "atlas_math_sets", f"data/{number}-train.jsonl"), [SUM] * 4)
    for name in ("goat", "atlas_math_sets"):
        assert len(read(tmp_path, name)) == 12
        assert [len(read(tmp_path, name, limit=limit)) for limit in (0, 1, 5, 30)] == [0, 1, 5, 12]


class TestZip:
    NAME = "camel_ai_math"

    def row(self, question: str) -> str:
        return json.dumps({"message_1": question, "message_2": "A"})

    def test_members_that_are_no_rows_say_why(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(members, "_MAX_MEMBER", 100)
        contents = {
            "math/b.json": self.row("Q"),
            "../../x.json": self.row("never"),
            "math/big.json": self.row("x" * 100),
            "math/c.json": "{not json",
            "math/d.json": b"\xff\xfe",
            "math/e.json": "[]",
            "math/a.json": self.row("Q2"),
            "__MACOSX/math/._a.json": "junk",
            "math/.DS_Store": "junk",
            "math/readme.txt": "junk",
        }
        with zipfile.ZipFile(place(tmp_path, self.NAME, "math.zip"), "w") as archive:
            archive.mkdir("math")
            for name, data in contents.items():
                archive.writestr(name, data)
        rows = read(tmp_path, self.NAME)
        assert talks(rows) == [
            [("Q", "A")],
            "unsafe_member",
            "member_too_large",
            "bad_json",
            "bad_json",
            "bad_row",
            [("Q2", "A")],
        ]
        assert [row.origin.row for row in rows] == list(range(7))
        assert rows[0].origin.key == "math/b.json"

    def test_pieces_are_runs_of_members(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(members, "_RUN_MEMBERS", 4)
        rows = [{"message_1": str(number), "message_2": "A"} for number in range(10)]
        as_zip(place(tmp_path, self.NAME, "math.zip"), rows)
        root = Root.open(str(tmp_path))
        source = registry()[self.NAME]
        pieces = source.pieces(root, root.repo(source.repo), {})
        assert [(piece.start, piece.stop) for piece in pieces] == [(0, 4), (4, 8), (8, 10)]
        assert talks(read(tmp_path, self.NAME)) == [[(str(n), "A")] for n in range(10)]
        assert len(read(tmp_path, self.NAME, limit=5)) == 5

    def test_a_broken_zip_is_one_bad_row(self, tmp_path: Path) -> None:
        place(tmp_path, self.NAME, "math.zip").write_bytes(b"PK\x03\x04 cut")
        rows = read(tmp_path, self.NAME)
        assert talks(rows) == ["unreadable_file"]


class TestConversations:
    def turns(self, messages: Any) -> list[tuple[str | None, str | None]]:
        return [(turn.user, turn.assistant) for turn in conversation_of(messages, "s").turns]

    def test_missing_halves_stay_turns(self) -> None:
        talk = [("gpt", "A0"), ("human", "Q1"), ("human", "Q2"), ("gpt", "A2"), ("gpt", "A3")]
        messages = [{"from": who, "value": value} for who, value in talk]
        assert self.turns(messages) == [(None, "A0"), ("Q1", None), ("Q2", "A2"), (None, "A3")]

    def test_role_and_content_are_read_too(self) -> None:
        messages = [
            {"role": "System", "content": "S"},
            {"role": "system", "content": "T"},
            {"role": "user", "content": None},
            {"role": "assistant", "content": "A"},
        ]
        assert conversation_of(messages, "s") == ("S\n\nT", [RawTurn(None, "A", "s")])

    @pytest.mark.parametrize(
        "messages",
        [
            None,
            "text",
            [],
            [3],
            [{"value": "x"}],
            [{"from": "tool", "value": "x"}],
            [{"from": "human", "value": ["x"]}],
            [{"from": "human", "value": "x"}, {"from": "system", "value": "x"}],
        ],
    )
    def test_another_structure_is_an_error(self, messages: Any) -> None:
        with pytest.raises(RowProblem):
            conversation_of(messages, "s")

    def test_text_of_scalars(self) -> None:
        values = [None, "", "é", 5, 2.5, "a\ud800b", "\ud83d\ude00"]
        assert [text_of(value) for value in values] == [
            None,
            "",
            "é",
            "5",
            "2.5",
            "a\ufffdb",
            "\U0001f600",
        ]
        for value in (True, [], {}):
            with pytest.raises(RowProblem):
                text_of(value)


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("data/test-00000-of-00001.parquet", True),
        ("data/atlas-math-val.jsonl", True),
        ("validation.json", True),
        ("test/0000.parquet", True),
        ("data/train-00000-of-00001.parquet", False),
        ("latest.json", False),
        ("contest_test2.json", False),
    ],
)
def test_other_splits_are_known_by_name(path: str, other: bool) -> None:
    assert bool(reader._OTHER_SPLIT.search(path)) is other
