"""The nine text-only sets, each in its published layout."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cauldron.sources.base import BadRow, RawTurn, Row
from cauldron.sources.catalog import registry
from cauldron.sources.repos.roots import open_root
from cauldron.sources.text_only import members, reader
from cauldron.sources.values.conversations import conversation_of, text_of
from cauldron.sources.values.rows import RowProblem

from tests.sources.reader_base import Outcome, ReaderTests, kept, read_all

Rows = list[dict[str, Any]]


def read(root: Path, name: str, limit: int = -1) -> list[Row | BadRow]:
    return read_all(root, registry()[name], {}, limit)


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


class TextTests(ReaderTests):
    """A text-only set, written in its published layout.

    Attributes:
        path: the published file.
        write: writes rows into it.
        rows: as published.
        turns: what comes out of them.
        systems: system prompts, where there are any.
    """

    path: ClassVar[str]
    write: ClassVar[Callable[[Path, Rows], None]]
    rows: ClassVar[Rows]
    turns: ClassVar[list[list[tuple[str | None, str | None]]]]
    systems: ClassVar[list[str | None]] = []
    # What else lies in the repository.
    others: ClassVar[list[str]] = ["README.md", "dataset_infos.json"]

    def publish(self, folder: Path, root: Path) -> None:
        for other in self.others:
            (folder / other).parent.mkdir(parents=True, exist_ok=True)
            (folder / other).write_text("{}")
        (folder / self.path).parent.mkdir(parents=True, exist_ok=True)
        type(self).write(folder / self.path, self.rows)

    def expected(self) -> list[Outcome]:
        systems = self.systems or [None] * len(self.turns)
        return [kept([], turns, system) for turns, system in zip(self.turns, systems, strict=True)]

    @property
    def published(self) -> list[str]:  # type: ignore[override]
        return [self.path]

    def test_only_chats_keep_the_order_of_their_turns(self) -> None:
        assert self.source.dialogue == (self.name in ("openhermes_2_5", "lima"))
        assert self.source.ships_images is None

    @pytest.mark.parametrize(
        ("path", "write"),
        [
            ("data/train-00000-of-00001.parquet", as_parquet),
            ("default/train/0000.parquet", as_parquet),
            ("train.jsonl", as_lines),
            ("rows.json", as_array),
        ],
    )
    def test_copies_in_other_forms_are_read(
        self, tmp_path: Path, path: str, write: Callable[[Path, Rows], None]
    ) -> None:
        write(place(tmp_path, self.name, path), self.rows)
        place(tmp_path, self.name, "dataset_infos.json").write_text("{}")
        assert talks(read(tmp_path, self.name)) == self.turns

    def test_rows_of_another_structure_say_so(self, tmp_path: Path) -> None:
        rows = [self.rows[0], {"other": "x"}, self.rows[0]]
        as_lines(place(tmp_path, self.name, "train.jsonl"), rows)
        assert talks(read(tmp_path, self.name)) == [self.turns[0], "bad_row", self.turns[0]]

    def test_a_table_of_another_structure_says_so(self, tmp_path: Path) -> None:
        as_parquet(place(tmp_path, self.name, "data/train-00000-of-00001.parquet"), [{"other": 1}])
        assert talks(read(tmp_path, self.name)) == ["wrong_columns"]


class TestOpenHermes(TextTests):
    name = "openhermes_2_5"
    path = "openhermes2_5.json"
    write = as_array
    rows: ClassVar = [
        {"conversations": chat("Q é", "A"), "source": "x", "id": None, "idx": 0},
        {"conversations": chat("Q1", "A1", "Q2", "A2", system="Be brief."), "id": "k"},
        {"conversations": chat("Q1", "A1", "Q2"), "source": None},
    ]
    turns: ClassVar = [[("Q é", "A")], [("Q1", "A1"), ("Q2", "A2")], [("Q1", "A1"), ("Q2", None)]]

    def test_system_prompts_are_kept_only_where_asked(self, tmp_path: Path) -> None:
        as_array(place(tmp_path, self.name, self.path), self.rows)
        asked = read_all(tmp_path, self.source, {"system_prompts": True})
        assert [row.system for row in asked if isinstance(row, Row)] == [None, "Be brief.", None]


class TestLima(TextTests):
    name = "lima"
    path = "train.jsonl"
    write = as_lines
    rows: ClassVar = [
        {"conversations": ["Q", "A"], "source": "stackexchange"},
        {"conversations": ["Q1", "A1", "Q2", "A2"], "source": "multi_turn"},
    ]
    turns: ClassVar = [[("Q", "A")], [("Q1", "A1"), ("Q2", "A2")]]
    others: ClassVar = ["README.md", "test.jsonl", "lima.py"]


class TestDolly(TextTests):
    name = "dolly"
    path = "databricks-dolly-15k.jsonl"
    write = as_lines
    rows: ClassVar = [
        {"instruction": "Q", "context": "", "response": "A", "category": "open_qa"},
        {"instruction": "Q", "context": "C", "response": "A", "category": "closed_qa"},
    ]
    turns: ClassVar = [[("Q", "A")], [("C\nQ", "A")]]


class TestMetaMathQa(TextTests):
    name = "metamathqa"
    path = "MetaMathQA-395K.json"
    write = as_array
    rows: ClassVar = [
        {"type": "GSM_Rephrased", "query": "Q", "original_question": "O", "response": "A"},
        {"type": "MATH_SV", "query": "Q2", "original_question": "O", "response": None},
    ]
    turns: ClassVar = [[("Q", "A")], [("Q2", None)]]


class TestMathInstruct(TextTests):
    name = "math_instruct"
    path = "MathInstruct.json"
    write = as_array
    rows: ClassVar = [{"source": "data/CoT/aqua_rat.json", "output": "A", "instruction": "Q"}]
    turns: ClassVar = [[("Q", "A")]]


class TestOrcaMath(TextTests):
    name = "orca_math"
    path = "data/train-00000-of-00001.parquet"
    write = as_parquet
    rows: ClassVar = [{"question": "Q", "answer": "A"}, {"question": None, "answer": "A"}]
    turns: ClassVar = [[("Q", "A")], [(None, "A")]]


class TestCamelMath(TextTests):
    name = "camel_ai_math"
    path = "math.zip"
    write = as_zip
    rows: ClassVar = [
        {"role_1": "M", "topic;": "Algebra", "sub_topic": "x", "message_1": q, "message_2": "A"}
        for q in ("Q1", "Q2", "Q3")
    ]
    turns: ClassVar = [[("Q1", "A")], [("Q2", "A")], [("Q3", "A")]]


class TestAtlas(TextTests):
    name = "atlas_math_sets"
    path = "data/atlas-math-train.jsonl"
    write = as_lines
    rows: ClassVar = [SUM, {"instruction": "Q", "input": "", "output": "", "answer": "5"}]
    turns: ClassVar = [[("What is 2+3?", "2 + 3 = 5")], [("Q", "5")]]
    others: ClassVar = ["README.md", "data/atlas-math-val.jsonl", "data/atlas-math-test.jsonl"]


class TestGoat(TextTests):
    name = "goat"
    path = "dataset.json"
    write = as_array
    rows: ClassVar = [SUM, {**SUM, "instruction": ""}]
    turns: ClassVar = [[("What is 2+3?", "2 + 3 = 5")], [("2 + 3", "2 + 3 = 5")]]
    others: ClassVar = ["README.md", "dataset.ipynb"]


def test_a_row_keeps_the_key_of_its_publisher(tmp_path: Path) -> None:
    as_array(place(tmp_path, "openhermes_2_5", TestOpenHermes.path), TestOpenHermes.rows)
    assert [row.origin.key for row in read(tmp_path, "openhermes_2_5")] == ["", "k", ""]


def test_notes_tell_of_shards_left_unread(tmp_path: Path) -> None:
    for count in (1, 2):
        path = place(tmp_path, "goat", f"data/train-00000-of-{count:05}.parquet")
        as_parquet(path, [SUM] * count)
    source = registry()["goat"]
    repo = open_root(str(tmp_path)).repo(source.repo)
    assert [file.path for file in source.files(repo, {})] == ["data/train-00000-of-00001.parquet"]
    assert len(source.notes(repo, {})) == 1
    assert len(read(tmp_path, "goat")) == 1


def test_damage_inside_an_array_costs_one_row(tmp_path: Path) -> None:
    one = json.dumps({"conversations": chat("Q", "A"), "source": "x"})
    broken = one.replace('"value": "Q"', '"value": Q')
    place(tmp_path, "openhermes_2_5", "openhermes2_5.json").write_text(
        f"[{one}, {broken}, {one}, {one}"
    )
    got = talks(read(tmp_path, "openhermes_2_5"))
    assert got == [[("Q", "A")], "bad_json", [("Q", "A")], [("Q", "A")], "unreadable_file"]


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

    def test_two_members_of_one_name_are_two_rows(self, tmp_path: Path) -> None:
        path = place(tmp_path, self.NAME, "math.zip")
        with zipfile.ZipFile(path, "w") as archive:
            for name, question in {"a.json": "Q1", "b.json": "Q2", "c.json": "Q3"}.items():
                archive.writestr(name, self.row(question))
        path.write_bytes(path.read_bytes().replace(b"b.json", b"a.json"))
        assert talks(read(tmp_path, self.NAME)) == [[(f"Q{n}", "A")] for n in (1, 2, 3)]

    def test_pieces_are_runs_of_members(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(members, "_RUN_MEMBERS", 4)
        rows = [{"message_1": str(number), "message_2": "A"} for number in range(10)]
        as_zip(place(tmp_path, self.NAME, "math.zip"), rows)
        root = open_root(str(tmp_path))
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
