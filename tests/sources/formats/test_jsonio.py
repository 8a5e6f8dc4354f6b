"""JSON lines and arrays: every row once, wherever it is cut, and damage costs little."""

from __future__ import annotations

import io
import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from cauldron.sources.base import BadRow, Piece
from cauldron.sources.formats import jsonarray, jsonio, jsonlines
from cauldron.sources.formats.jsonarray import JsonText, read_array
from cauldron.sources.formats.jsonlines import JsonRow, cut_lines, read_lines
from cauldron.sources.repos.files import FileInfo, Repo
from cauldron.sources.repos.roots import open_root

NAMES = ("q", "turns")


def lines_of(data: bytes, **options: Any) -> list[JsonRow | BadRow]:
    return list(read_lines(io.BytesIO(data), "f.jsonl", **options))


def array_of(text: str | bytes, **options: Any) -> list[JsonRow | BadRow]:
    data = text if isinstance(text, bytes) else text.encode()
    return list(read_array(io.BytesIO(data), "f.json", NAMES, **options))


def values(rows: list[JsonRow | BadRow]) -> list[Any]:
    return [row.value if isinstance(row, JsonRow) else row.reason for row in rows]


def write(folder: Path, name: str, data: bytes) -> tuple[Repo, FileInfo]:
    path = folder / "org" / "set" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    repo = open_root(str(folder)).repo("org/set")
    return repo, FileInfo(name, len(data), "1")


class TestLines:
    DATA = '\ufeff{"q": 1}\r\n\n{"q": "é\\u00e9"}\n  \t\r\n{"q": [3]}\n\n{"q": 4}'.encode()

    def test_reads_objects_at_their_byte_offsets(self) -> None:
        rows = lines_of(self.DATA)
        assert values(rows) == [{"q": 1}, {"q": "éé"}, {"q": [3]}, {"q": 4}]
        assert [row.origin.row for row in rows] == [0, 14, 37, 49]
        assert {row.origin.file for row in rows} == {"f.jsonl"}

    @pytest.mark.parametrize("chunk", [1, 3, 1024])
    def test_ranges_cover_every_line_once(
        self, monkeypatch: pytest.MonkeyPatch, chunk: int
    ) -> None:
        monkeypatch.setattr(jsonlines, "_CHUNK", chunk)
        whole = lines_of(self.DATA)
        for piece_bytes in range(1, len(self.DATA) + 2):
            ranges = cut_lines(len(self.DATA), piece_bytes)
            assert ranges[0][0] == 0
            assert ranges[-1][1] == len(self.DATA)
            rows = [row for a, b in ranges for row in lines_of(self.DATA, start=a, stop=b)]
            assert rows == whole

    def test_what_is_not_a_row_says_why(self) -> None:
        rows = lines_of(b'{"q": 1}\n{"q": \xff}\n{"q": \nnull\n[1]\n{"q": NaN}\n"x"\n{"q": 2}')
        assert values(rows)[:5] == [{"q": 1}, "bad_json", "bad_json", "bad_row", "bad_row"]
        assert values(rows)[6:] == ["bad_row", {"q": 2}]
        assert isinstance(rows[5], JsonRow)
        assert math.isnan(rows[5].value["q"])
        bad = [row for row in rows if isinstance(row, BadRow)]
        assert "UTF-8" in bad[0].message
        assert "null" in bad[2].message

    @pytest.mark.parametrize("line", [b"[" * 200_000, b"1" * 10_000])
    def test_hostile_json_is_a_bad_row(self, line: bytes) -> None:
        assert values(lines_of(b'{"q": ' + line + b"\n" + b'{"q": 1}'))[-1] == {"q": 1}
        assert values(lines_of(b'{"q": ' + line + b"}")) == ["bad_json"]

    def test_a_line_over_the_limit_is_passed_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(jsonlines, "_CHUNK", 5)
        long = b'{"q": "' + b"x" * 40 + b'"}'
        rows = lines_of(b'{"q": 1}\n' + long + b'\n{"q": 2}\n' + long, max_line=20)
        assert values(rows) == [{"q": 1}, "bad_json", {"q": 2}, "bad_json"]
        assert [row.origin.row for row in rows] == [0, 9, 59, 68]

    def test_a_long_line_is_not_held_in_memory(self) -> None:
        file = Endless(100 * 1024 * 1024)
        tracemalloc.start()
        rows = list(read_lines(file, "f", max_line=1024))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert values(rows) == ["bad_json"]
        assert peak < 8 * 1024 * 1024


class Endless(io.RawIOBase):
    """A file of one line of `size` bytes."""

    def __init__(self, size: int) -> None:
        self._left = size

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        assert (offset, whence) == (0, 0)
        return 0

    def read(self, size: int = -1) -> bytes:
        data = b"x" * min(size, self._left)
        self._left -= len(data)
        return data


ROWS = [
    {"turns": [{"from": "human", "value": 'a ] } , { "b'}, {"from": "gpt", "value": "é😀\n"}]},
    {"q": "x", "n": -1.5e3, "t": True, "z": None, "big": 123456789012345678901234567890},
    {"q": "", "more": {"deep": [[1, 2], {"k": "v"}]}},
]


class TestArrays:
    @pytest.mark.parametrize("indent", [None, 1, 4])
    @pytest.mark.parametrize("ascii_only", [True, False])
    @pytest.mark.parametrize("wrap", [None, "data", "train"])
    def test_reads_every_element_wherever_chunks_end(
        self, monkeypatch: pytest.MonkeyPatch, indent: int | None, ascii_only: bool, wrap: str
    ) -> None:
        value: Any = {"version": {"data": 1}, wrap: ROWS, "after": [1]} if wrap else ROWS
        text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
        for chunk in [1, 2, 7, 31, 1 << 20]:
            monkeypatch.setattr(jsonarray, "_CHUNK", chunk)
            rows = array_of("\ufeff" + text + "\n ")
            assert values(rows) == ROWS
            assert [row.origin.row for row in rows] == [0, 1, 2]

    def test_an_empty_array_has_no_rows(self) -> None:
        assert array_of("[ ]") == []
        assert array_of('{"data": []}') == []

    def test_elements_that_are_no_objects_are_bad_rows(self) -> None:
        rows = array_of('[{"q": 1}, 12, "x", null, [1], {"q": 2}]')
        assert values(rows) == [{"q": 1}, *["bad_row"] * 4, {"q": 2}]

    @pytest.mark.parametrize(
        "broken",
        [
            '{"q": tru}',
            '{"q" 1}',
            '{"q": "unescaped " quote"}',
            '{"q": "line\nbreak"}',
            '{"q": [1, {"x": 2}}',
            '{"turns": [{"from": "a", "value": "x"}, {"from": "b" "value": 1}, {"from": "c"}]}',
            "nonsense",
            "]",
        ],
    )
    @pytest.mark.parametrize("chunk", [3, 1 << 20])
    def test_damage_costs_one_element(
        self, monkeypatch: pytest.MonkeyPatch, broken: str, chunk: int
    ) -> None:
        monkeypatch.setattr(jsonarray, "_CHUNK", chunk)
        before, after = json.dumps(ROWS[0]), json.dumps(ROWS[1])
        text = f"[{before}, {broken}, {after}, {after}]"
        rows = array_of(text)
        assert values(rows) == [ROWS[0], "bad_json", ROWS[1], ROWS[1]]
        assert isinstance(rows[1], BadRow)
        begin, end = text.encode().index(broken.encode()), text.encode().index(after.encode())
        if broken != "]":
            assert f"element 1; bytes {begin} to {end}" in rows[1].message
        assert values(array_of(f"[{before}, {broken}]"))[:2] == [ROWS[0], "bad_json"][:2]

    def test_a_file_that_ends_early_keeps_what_came_before(self) -> None:
        text = json.dumps([{"q": number} for number in range(20)])
        for cut in range(1, len(text)):
            rows = array_of(text[:cut])
            whole = text[:cut].count("}")
            assert values(rows)[:whole] == [{"q": number} for number in range(whole)]
            assert values(rows)[whole:] == ["unreadable_file"]

    def test_bytes_that_are_not_utf8_cost_one_element(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = '[{"q": "é"}, {"q": "X"}, {"q": "ü"}]'.encode().replace(b"X", b"\xc3")
        for chunk in [1, 5, 1 << 20]:
            monkeypatch.setattr(jsonarray, "_CHUNK", chunk)
            assert values(array_of(data)) == [{"q": "é"}, "bad_json", {"q": "ü"}]

    def test_an_element_over_the_limit_is_passed_over(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(jsonarray, "_CHUNK", 10)
        text = json.dumps([{"q": 1}, {"q": "x" * 500}, {"q": 2}])
        assert values(array_of(text, max_element=100)) == [{"q": 1}, "bad_json", {"q": 2}]

    @pytest.mark.parametrize(
        ("before", "repeated"),
        [
            ('{"q": 1}', ",{"),
            ('{"q": 1}', ',{"q": 1},{"q": x}'),
            ('{"q": 1}', ',{"z": [0, {"q": 1}'),
            ('{"q": 1}' + ',{"z": [1' * 50, ",1"),
            ('{"q": 1}', ',{"z": "'),
        ],
    )
    def test_the_work_of_recovery_grows_with_the_file_not_with_its_square(
        self, monkeypatch: pytest.MonkeyPatch, before: str, repeated: str
    ) -> None:
        work = []
        for count in (2_000, 4_000, 8_000):
            seen = count_characters(monkeypatch)
            array_of(f'[{before}{repeated * count},{{"q": 2}}]', max_element=1000)
            work.append(seen[0])
        # In proportion, it would be half of the last; quadratic work would be a quarter of it.
        assert work[2] < 2.2 * work[1] + 10_000
        assert work[2] < 20 * 8_000 * len(repeated) + 4_000 + 20 * len(before)

    def test_lines_are_not_counted_for_errors(self) -> None:
        text = JsonText(io.BytesIO(b"\n" * 100 + b"x"))
        assert json.JSONDecodeError("no", text.buffer, 100).lineno == 1

    def test_a_lost_bracket_costs_its_element_wherever_it_is(self) -> None:
        good = [{"q": number} for number in range(50)]
        rows = [json.dumps(row) for row in good]
        rows[20:20] = ['{"q": 0, "turns": [{"from": "a"}']
        assert values(array_of("[" + ", ".join(rows) + "]")) == [
            *good[:20], "bad_json", *good[20:],
        ]  # fmt: skip

    def test_a_long_array_takes_little_memory(self) -> None:
        one = json.dumps({"q": "x" * 1000}).encode() + b","
        data = io.BytesIO(b"[" + one * 30_000 + b"{}]")
        tracemalloc.start()
        count = sum(1 for _ in read_array(data, "f", NAMES))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == 30_001
        assert peak < 12 * 1024 * 1024


def count_characters(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sum of what is parsed and measured from now on, in characters."""
    seen = [0]
    value, measure = JsonText.value, jsonarray._bytes_in

    class Counting(JsonText):
        def value(self) -> Any:
            begin = self.at
            try:
                return value(self)
            except jsonarray.DamageError:
                seen[0] += self._failed - begin
                raise
            finally:
                seen[0] += max(0, self.at - begin)

    def measured(text: str) -> int:
        seen[0] += len(text)
        return measure(text)

    monkeypatch.setattr(jsonarray, "JsonText", Counting)
    monkeypatch.setattr(jsonarray, "_bytes_in", measured)
    return seen


class TestFiles:
    def test_the_content_decides_the_form(self, tmp_path: Path) -> None:
        forms = {
            b'{"q": 1}\n{"q": 2}': jsonio.LINES,
            b'{"q": 1}': jsonio.LINES,
            b'{"q": 1, "data": 3}\n{"q": 1, "data": 4}': jsonio.LINES,
            b"not json": jsonio.LINES,
            b' \n[{"q": 1}]': jsonio.ARRAY,
            b'{"data": [{"q": 1}]}': jsonio.ARRAY,
            b'{"a": 1, "train": [{"q": 1}]}': jsonio.ARRAY,
            b" \n": "empty",
            b"": "empty",
        }
        for number, (data, form) in enumerate(forms.items()):
            repo, file = write(tmp_path, f"{number}.json", data)
            assert jsonio.form_of(repo, file.path) == form, data

    @pytest.mark.parametrize(
        "data", [b'{"q": 1}\n{"q": 2}\n{"q": 3}', b'[{"q":1},{"q":2},{"q":3}]']
    )
    def test_pieces_hold_all_rows_or_the_first(self, tmp_path: Path, data: bytes) -> None:
        repo, file = write(tmp_path, "f.json", data)
        for limit, wanted in [(-1, 3), (0, 0), (1, 1), (2, 2), (9, 3)]:
            pieces = jsonio.json_pieces("s", repo, file, limit, piece_bytes=10)
            rows = [row for piece in pieces for row in jsonio.read_json(repo, piece, NAMES)]
            assert values(rows) == [{"q": 1}, {"q": 2}, {"q": 3}][:wanted]

    def test_an_empty_file_is_one_piece_with_a_reason(self, tmp_path: Path) -> None:
        repo, file = write(tmp_path, "f.jsonl", b"")
        pieces = jsonio.json_pieces("s", repo, file)
        assert [(piece.reason, piece.source) for piece in pieces] == [("unreadable_file", "s")]

    def test_a_file_that_is_no_array_after_all(self, tmp_path: Path) -> None:
        repo, _ = write(tmp_path, "f.json", b'{"q": 1}')
        rows = list(jsonio.read_json(repo, Piece("s", "f.json", jsonio.ARRAY), NAMES))
        assert values(rows) == ["unreadable_file"]
