"""Benchmarks in their published layouts, and what people have instead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cauldron.sources.base import BadRow, Row

from cauldron.core.errors import CauldronError
from tests.sources.benchmark_files import (
    IMAGE,
    encoded,
    one_turn,
    picture,
    read,
    rows_of,
    source_of,
    struct,
    write_parquet,
    write_tsv,
)


def test_mmmu_has_up_to_seven_images_and_its_options_written_out(tmp_path: Path) -> None:
    for split, key in (("dev", "dev_Math_1"), ("validation", "v_1"), ("test", "test_Math_1")):
        columns: dict[str, list[Any]] = {
            "id": [key, key + "b"],
            "question": ["<image 1> Which is larger?", "What follows?"],
            "options": ["['the left', \"the 'right'\", '<image 2>']", "[]"],
            "explanation": [None, None],
            **{f"image_{n}": [None, None] for n in range(1, 8)},
            "answer": ["B", "?"],
            "question_type": ["multiple-choice", "open"],
        }
        columns["image_1"] = [struct(1, "a.png"), struct(3)]
        columns["image_2"] = [struct(2), None]
        types = {f"image_{n}": IMAGE for n in range(1, 8)}
        write_parquet(tmp_path / f"Math/{split}-00000-of-00001.parquet", columns, **types)
    rows = rows_of("mmmu", tmp_path)
    assert len(rows) == 6
    first, second = rows[:2]
    assert [image.data for image in first.images] == [picture(1), picture(2)]
    assert one_turn(first) == (
        "<image 1> Which is larger?\nA. the left\nB. the 'right'\nC. <image 2>",
        "B",
    )
    assert one_turn(second) == ("What follows?", "?")
    assert (first.origin.file, first.origin.row_group, first.origin.row, first.origin.key) == (
        "Math/dev-00000-of-00001.parquet",
        0,
        0,
        "dev_Math_1",
    )


def test_mathvista_keeps_the_picture_in_decoded_image_and_its_path_in_image(tmp_path: Path) -> None:
    columns = {
        "pid": ["1", "2"],
        "question": ["How many?", "How much?"],
        "image": ["images/1.jpg", "images/2.jpg"],
        "decoded_image": [struct(1), struct(2)],
        "choices": [["3", "4"], None],
        "answer": ["4", ""],
        "query": ["Hint: …\nQuestion: How many?", "…"],
    }
    write_parquet(tmp_path / "data/testmini-00000-of-00001-725687bf7a18d64b.parquet", columns)
    first, second = rows_of("MathVista", tmp_path)
    assert [image.data for image in first.images] == [picture(1)]
    assert one_turn(first) == ("How many?\nA. 3\nB. 4", "4")
    # The test split keeps its answers back.
    assert one_turn(second) == ("How much?", "2")


def test_mmstar_is_read_from_its_parquet_and_its_tsv(tmp_path: Path) -> None:
    question = "What is it?\nOptions: A: a cat, B: a dog"
    columns = {"index": [0], "question": [question], "image": [struct(1)], "answer": ["A"]}
    write_parquet(tmp_path / "mmstar.parquet", columns)
    row = {"index": "0", "question": question, "image": encoded(1), "answer": "A"}
    write_tsv(tmp_path / "MMStar.tsv", [row])
    rows = rows_of("mmstar", tmp_path)
    assert [row.origin.file for row in rows] == ["MMStar.tsv", "mmstar.parquet"]
    for row in rows:
        assert one_turn(row) == (question, "A")
        assert [image.data for image in row.images] == [picture(1)]
        assert row.origin.key == "0"


def docvqa(answers: list[Any]) -> dict[str, list[Any]]:
    return {
        "questionId": ["337", "338"],
        "question": ["What is the date?", "Who signed?"],
        "question_types": [["layout"], None],
        "image": [struct(1), struct(2)],
        "docId": [279, 280],
        "answers": answers,
        "data_split": ["val", "val"],
    }


def test_docvqa_is_read_in_all_splits_but_the_one_to_train_on(tmp_path: Path) -> None:
    answered = docvqa([["1/8/93", "Jan 8"], ["Smith", "Smith"]])
    hidden = docvqa([None, None])
    for split, columns in (("train", answered), ("validation", answered), ("test", hidden)):
        types = {"answers": pa.list_(pa.string())}
        write_parquet(tmp_path / f"DocVQA/{split}-00000-of-00001.parquet", columns, **types)
    write_parquet(tmp_path / "InfographicVQA/test-00000-of-00001.parquet", docvqa([None, None]))
    source = source_of("docvqa", tmp_path)
    rows = rows_of("docvqa", tmp_path)
    assert sorted({row.origin.file for row in rows}) == [
        "DocVQA/test-00000-of-00001.parquet",
        "DocVQA/validation-00000-of-00001.parquet",
        "InfographicVQA/test-00000-of-00001.parquet",
    ]
    validation = [row for row in rows if "validation" in row.origin.file]
    assert [one_turn(row) for row in validation] == [
        ("What is the date?", "1/8/93\nJan 8"),
        ("Who signed?", "Smith"),
    ]
    notes = source.notes(source.place.repo, {})
    assert notes[0] == "3 tables read: test (2), validation (1)"
    assert "train split" in notes[1]
    assert "DocVQA/train-00000-of-00001.parquet" in notes[1]


def test_a_split_to_train_on_is_read_where_nothing_else_is_there_or_it_is_named(
    tmp_path: Path,
) -> None:
    path = write_parquet(
        tmp_path / "data/train-00000-of-00001.parquet", {"id": ["7"], "image": [struct(1)]}
    )
    assert len(rows_of("ours", tmp_path)) == 1
    write_parquet(tmp_path / "data/test-00000-of-00001.parquet", {"image": [struct(2)]})
    assert [row.images[0].data for row in rows_of("ours", tmp_path)] == [picture(2)]
    assert [row.images[0].data for row in rows_of("ours", path)] == [picture(1)]


def test_textvqa_has_ten_answers(tmp_path: Path) -> None:
    columns = {
        "image_id": ["0054c91397f2fe05"],
        "question_id": [34602],
        "question": ["what is the brand?"],
        "question_tokens": [["what", "is", "the", "brand"]],
        "image": [struct(1)],
        "answers": [["nous les gosses", "dakota", "dakota"] + ["dakota digital"] * 7],
        "ocr_tokens": [["DAKOTA"]],
    }
    write_parquet(tmp_path / "data/validation-00000-of-00001.parquet", columns)
    (row,) = rows_of("textvqa_val", tmp_path)
    assert one_turn(row) == ("what is the brand?", "nous les gosses\ndakota\ndakota digital")
    assert row.origin.key == "34602"


@pytest.mark.parametrize(
    "columns",
    [
        {"image": [struct(1)], "query": ["How high?"], "label": [["14"]], "human_or_machine": [0]},
        {"type": ["human_test"], "question": ["How high?"], "answer": ["14"], "image": [struct(1)]},
    ],
    ids=["HuggingFaceM4", "lmms-lab"],
)
def test_chartqa_is_published_with_two_sets_of_names(
    tmp_path: Path, columns: dict[str, list[Any]]
) -> None:
    write_parquet(tmp_path / "data/test-00000-of-00001-e2cd0b7a0f9eb20d.parquet", columns)
    (row,) = rows_of("chartqa", tmp_path)
    assert one_turn(row) == ("How high?", "14")
    assert row.images[0].data == picture(1)


def test_ai2d_has_a_list_of_options(tmp_path: Path) -> None:
    columns = {
        "question": ["which of these define dairy item"],
        "options": [["c", "D", "b", "a"]],
        "answer": ["1"],
        "image": [struct(1)],
    }
    write_parquet(tmp_path / "data/test-00000-of-00002.parquet", columns)
    write_parquet(tmp_path / "data/test-00001-of-00002.parquet", columns)
    rows = rows_of("ai2d", tmp_path)
    assert one_turn(rows[0]) == ("which of these define dairy item\nA. c\nB. D\nC. b\nD. a", "1")
    assert len(rows) == 2


MMBENCH = {
    "index": [241, 252],
    "question": ["Identify the question.", "Which?"],
    "hint": ["The passage below.", "nan"],
    "answer": ["A", None],
    "A": ["one", "two"],
    "B": ["three", "four"],
    "C": [None, "nan"],
    "D": [None, None],
    "category": ["x", "y"],
    "L2-category": ["x", "y"],
}


@pytest.mark.parametrize("image", ["struct", "base64"])
def test_mmbench_has_its_options_in_columns(tmp_path: Path, image: str) -> None:
    images: list[Any] = [struct(1), struct(2)]
    if image == "base64":  # HuggingFaceM4/MMBench
        images = [encoded(1), encoded(2)]
    columns = {**MMBENCH, "image": images}
    types = {"D": pa.string()}
    write_parquet(tmp_path / "en/dev-00000-of-00001.parquet", columns, **types)
    first, second = rows_of("mmbench", tmp_path)
    assert one_turn(first) == ("The passage below.\nIdentify the question.\nA. one\nB. three", "A")
    assert one_turn(second) == ("Which?\nA. two\nB. four", "252")
    assert [row.images[0].data for row in (first, second)] == [picture(1), picture(2)]


def test_under_any_other_name_every_column_of_pictures_is_taken(tmp_path: Path) -> None:
    features = {
        "sound": {"_type": "Audio"},
        "before": {"_type": "Image"},
        "after": {"feature": {"_type": "Image"}, "_type": "Sequence"},
    }
    table = pa.table(
        {
            "key": pa.array(["k1"]),
            "before": pa.array([struct(1)], IMAGE),
            "sound": pa.array([{"bytes": b"RIFF", "path": None}], IMAGE),
            "after": pa.array([[struct(2), struct(3)]], pa.large_list(IMAGE)),
            "caption": pa.array([["what changed", "the colour"]]),
        }
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, tmp_path / "x.parquet")
    (row,) = rows_of("changes", tmp_path / "x.parquet")
    assert [image.data for image in row.images] == [picture(1), picture(2), picture(3)]
    assert one_turn(row) == ("what changed\nthe colour", "k1")


def test_bytes_without_a_struct_are_pictures_too(tmp_path: Path) -> None:
    columns = {"jpg": [picture(1, "JPEG")], "Question": ["Why?"], "Correct Answer": ["so"]}
    write_parquet(tmp_path / "x.parquet", columns)
    (row,) = rows_of("ours", tmp_path)
    assert row.images[0].data == picture(1, "JPEG")
    assert one_turn(row) == ("Why?", "so")


def test_a_row_without_text_goes_by_its_name_and_says_so(tmp_path: Path) -> None:
    columns = {"image": [struct(1), struct(2, "b.png"), None], "id": ["k", None, None]}
    write_parquet(tmp_path / "x.parquet", columns)
    first, second, third = rows_of("ours", tmp_path)
    assert one_turn(first) == ("k", "k")
    assert one_turn(second) == ("b.png", "b.png")
    assert one_turn(third) == ("x.parquet row 2", "x.parquet row 2")
    assert {row.turns[0].source for row in (first, second, third)} == {"ours (no question)"}
    asked = rows_of("ours", write_tsv(tmp_path / "a.tsv", [{"image": encoded(1), "question": "?"}]))
    assert asked[0].turns[0].source == "ours"


def test_a_text_of_which_nothing_is_left_counts_as_none(tmp_path: Path) -> None:
    texts = ["<image>", "<ima<image>ge>", "\0", " \n"]
    columns = {"id": texts, "question": texts, "answer": texts, "image": [struct(1)] * 4}
    write_parquet(tmp_path / "x.parquet", columns)
    names = [f"x.parquet row {number}" for number in range(4)]
    assert [one_turn(row) for row in rows_of("ours", tmp_path)] == [(n, n) for n in names]


def test_tables_without_pictures_are_left_out_and_named(tmp_path: Path) -> None:
    write_parquet(tmp_path / "test.parquet", {"image": [struct(1)]})
    write_parquet(tmp_path / "answers.parquet", {"id": ["1"], "answer": ["x"]})
    source = source_of("ours", tmp_path)
    assert len(read(source)) == 1
    assert source.notes(source.place.repo, {})[1:] == [
        "not read, because no column holds pictures: answers.parquet"
    ]


def test_a_benchmark_of_questions_without_pictures_is_read(tmp_path: Path) -> None:
    write_parquet(tmp_path / "x.parquet", {"uid": ["1"], "question": ["Why?"], "answer": ["So."]})
    write_parquet(tmp_path / "y.parquet", {"uid": ["1"], "answer": ["x"]})
    (row,) = rows_of("gsm8k", tmp_path)
    assert (one_turn(row), row.images) == (("Why?", "So."), [])


@pytest.mark.parametrize(
    ("name", "column"), [("ours", "words"), ("mmmu", "words"), ("mmmu", "question")]
)
def test_no_column_of_pictures_anywhere_is_an_error_that_names_the_columns(
    tmp_path: Path, name: str, column: str
) -> None:
    write_parquet(tmp_path / "x.parquet", {"uid": ["1"], column: ["x"]})
    source = source_of(name, tmp_path)
    with pytest.raises(CauldronError, match=f"its columns: uid, {column}") as caught:
        read(source)
    assert "\n" not in str(caught.value)


def test_a_table_of_a_known_benchmark_without_its_columns_is_a_loss(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", {"id": ["1"], "decoded_image": [struct(1)]})
    write_parquet(tmp_path / "b.parquet", {"id": ["2"], "picture": [struct(2)]}, picture=IMAGE)
    good, bad = read(source_of("mathvista", tmp_path))
    assert isinstance(good, Row)
    assert isinstance(bad, BadRow)
    assert bad.reason == "wrong_columns"
    assert "its columns: id, picture" in bad.message


@pytest.mark.parametrize("damage", ["emptied", "cut in half", "no parquet"])
def test_a_damaged_table_costs_nothing_else(tmp_path: Path, damage: str) -> None:
    write_parquet(tmp_path / "a.parquet", {"image": [struct(1)]})
    victim = write_parquet(tmp_path / "b.parquet", {"image": [struct(2)]})
    whole = victim.read_bytes()
    victim.write_bytes({"emptied": b"", "cut in half": whole[: len(whole) // 2]}.get(damage, b"x"))
    good, bad = read(source_of("mmstar", tmp_path))
    assert isinstance(good, Row)
    assert isinstance(bad, BadRow)
    assert bad.reason == "unreadable_file"


def test_an_empty_tsv_is_a_loss(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(b"")
    (bad,) = read(source_of("mmstar", path))
    assert isinstance(bad, BadRow)
    assert bad.reason == "unreadable_file"


def test_options_are_read_as_data_and_never_run(tmp_path: Path) -> None:
    options = ["__import__('os').system('true')", "[" * 50_000, "[1, 'two']"]
    columns = {"id": ["a", "b", "c"], "image": [struct(1)] * 3, "options": options}
    write_parquet(tmp_path / "x.parquet", columns)
    first, second, third = rows_of("mmmu", tmp_path)
    assert one_turn(first)[0] == options[0]
    assert one_turn(second)[0] == options[1]
    assert one_turn(third)[0] == "A. 1\nB. two"
