"""VLMEvalKit's TSV files, whole and damaged."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path
from typing import Any

import pytest
from cauldron.sources.base import BadRow, Row
from cauldron.sources.benchmarks.delimited import COMMA, TAB, read_records

from tests.sources.benchmark_files import (
    encoded,
    one_turn,
    picture,
    read,
    rows_of,
    source_of,
    write_tsv,
)


def test_tsv_rows_hold_pictures_lists_of_them_or_the_index_of_another_row(tmp_path: Path) -> None:
    two = str([encoded(2), encoded(3)])
    rows = [
        {"index": "0", "image": "1", "question": "forward", "answer": "A", "A": "x", "B": "y"},
        {"index": "1", "image": encoded(1), "question": 'a "quoted"\nquestion', "answer": "B"},
        {"index": "1000001", "image": "1", "question": "again", "answer": "B"},
        {"index": "2", "image": two, "question": "two of them", "answer": ""},
        {"index": "3", "image": "", "question": "text only", "answer": "C"},
    ]
    path = write_tsv(tmp_path / "MMBench_DEV_EN.tsv", rows)
    found = rows_of("mmbench_dev", path)
    assert [(row.origin.row, row.origin.key, len(row.images)) for row in found] == [
        (1, "1", 1),
        (2, "1000001", 1),
        (3, "2", 2),
        (4, "3", 0),
        (0, "0", 1),
    ]
    assert one_turn(found[0]) == ('a "quoted"\nquestion', "B")
    assert one_turn(found[-1]) == ("forward\nA. x\nB. y", "A")
    assert {row.images[0].data for row in (found[0], found[1], found[4])} == {picture(1)}
    assert [image.data for image in found[2].images] == [picture(2), picture(3)]


def test_tsv_rows_may_name_files_beside_the_table(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/1.png").write_bytes(picture(1))
    (tmp_path.parent / "outside.png").write_bytes(picture(2))
    rows = [
        {"index": "0", "question": "here", "image_path": "images/1.png"},
        {"index": "1", "question": "gone", "image_path": "images/2.png"},
        {"index": "2", "question": "away", "image_path": "../outside.png"},
        {"index": "3", "question": "web", "image_path": "https://example.org/3.png"},
    ]
    write_tsv(tmp_path / "Ours.tsv", rows)
    source = source_of("ours", tmp_path)
    kept, *bad = read(source)
    assert isinstance(kept, Row)
    assert kept.images[0].data == picture(1)
    assert [row.reason for row in bad] == ["missing_image", "unsafe_member", "missing_image"]
    assert "1 image files beside the tables" in source.notes(source.place.repo, {})[1]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("not base64 at all, though it is longer than any index that a row may have, %%%", None),
        ("9999", "missing_image"),
        ("A" * 101, "image_unreadable"),
    ],
)
def test_a_picture_that_is_no_base64_is_a_loss(
    tmp_path: Path, image: str, reason: str | None
) -> None:
    rows = [
        {"index": "0", "image": encoded(1), "question": "good"},
        {"index": "1", "image": image, "question": "bad"},
    ]
    good, bad = read(source_of("mmstar", write_tsv(tmp_path / "x.tsv", rows)))
    assert isinstance(good, Row)
    assert isinstance(bad, BadRow)
    assert bad.reason == (reason or "image_unreadable")


def test_a_line_that_is_wrong_costs_no_other_line(tmp_path: Path) -> None:
    good = encoded(1)
    lines = [
        b"index\timage\tquestion",
        f"0\t{good}\tfine".encode(),
        f"1\t{good}\tone\ttoo many".encode(),
        f"2\t{good}\t".encode() + b"\xff\xfe",
        f"3\t{good}".encode(),
        f'4\t{good}\t"never closed'.encode(),
        f"5\t{good}\tfine".encode(),
    ]
    path = tmp_path / "x.tsv"
    path.write_bytes(b"\n".join(lines) + b"\r\n")
    found = read(source_of("mmstar", path))
    assert [getattr(row, "reason", "") for row in found] == [
        "",
        "bad_row",
        "bad_row",
        "",
        "bad_row",
        "",
    ]
    assert one_turn(found[3]) == ("3", "3")  # type: ignore[arg-type]


class Trickle(io.BytesIO):
    """A file that gives a few bytes at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(7, size) if size and size > 0 else 7)


@pytest.mark.parametrize("make", [io.BytesIO, Trickle])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("\n\r\n", []),
        ("a\tb\n1\t2", [["a", "b"], ["1", "2"]]),
        ('\ufeffa\tb\r\n"x\ty"\t"1\n2"\r\n', [["a", "b"], ["x\ty", "1\n2"]]),
        ('"he said ""no"""\t5" nail\n', [['he said "no"', '5" nail']]),
        ('""\t"""\t"""\n', [["", '"\t"']]),
        ("a\t\t\n", [["a", "", ""]]),
        ('x\t"ends', [["?"]]),
        ('x\t"open\ny\tz\n', [["?"], ["y", "z"]]),
    ],
)
def test_records_are_cut_as_pandas_cuts_them(make: Any, text: str, expected: Any) -> None:
    file = make(text.encode())
    found = list(read_records(file, TAB))
    fields = [[f.decode() for f in r.fields] if not r.problem else ["?"] for r in found]
    assert fields == expected
    for record in found:
        if not record.problem:
            part = text.encode()[record.offset : record.offset + record.length]
            assert next(read_records(io.BytesIO(part), TAB)).fields == record.fields


def test_records_are_those_of_the_csv_module() -> None:
    random_ = random.Random(3)
    compared = 0
    for _ in range(2_000):
        text = "".join(random_.choices('ab""\t\n', k=random_.randrange(1, 30)))
        found = list(read_records(Trickle(text.encode()), TAB))
        if any(record.problem for record in found):
            continue  # the module takes an open quote for closed at the end
        rows = csv.reader(io.StringIO(text), delimiter="\t")
        expected = [row for row in rows if row not in ([], [""])]
        assert [[field.decode() for field in record.fields] for record in found] == expected
        compared += 1
    assert compared > 1_000


def test_a_record_over_the_limit_is_passed_over_without_being_held() -> None:
    text = b"a,b\n" + b"x" * 5_000_000 + b",1\n2,3\n"
    first, long, last = read_records(io.BytesIO(text), COMMA, max_record=1_000_000)
    assert (first.fields, last.fields) == ([b"a", b"b"], [b"2", b"3"])
    assert "longer than" in long.problem
