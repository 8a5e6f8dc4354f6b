"""Items of the eight benchmarks as published; what cannot be asked or scored has a reason."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from cauldron.core.errors import SourceUnavailable, UsageError
from cauldron.evaluate.benchmarks.catalog import BENCHMARKS
from cauldron.evaluate.items.read import Item, Refused, read_items
from tests.evaluate.published import PUBLISHERS, publish
from tests.sources.benchmark_files import (
    encoded,
    picture,
    source_of,
    struct,
    write_parquet,
    write_tsv,
)
from tests.sources.benchmark_files import read as read_source


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(tmp_path_factory.mktemp("hub"))


def items(benchmark: str, root: Path | str, place: Path | None = None) -> list[Item]:
    found = read_items(benchmark, str(root), str(place) if place else None)
    return [item for item in found if isinstance(item, Item)]


def refused(benchmark: str, root: Path | str) -> dict[str, str]:
    found = read_items(benchmark, str(root))
    return {item.id: item.reason for item in found if isinstance(item, Refused)}


def test_every_benchmark_has_a_layout_and_a_test() -> None:
    assert set(BENCHMARKS) == set(PUBLISHERS)


def test_mmmu_has_subjects_disciplines_and_lists_written_out(root: Path) -> None:
    art, spanish, math, _ = items("mmmu", root)
    assert (art.id, art.choices, art.answers) == (
        "validation_Art_Theory_1",
        ("the left", "the 'right'", "<image 2>"),
        ("B",),
    )
    assert art.images == (picture(1), picture(2))
    assert art.meta == {
        "type": "multiple-choice",
        "image_type": "['Plots']",
        "difficulty": "Easy",
        "subject": "Art_Theory",
        "discipline": "Art & Design",
    }
    assert (spanish.question, spanish.choices) == ("¿Qué sigue a <image 1>?", ())
    assert spanish.answers == ("5", "five")
    assert (math.meta["subject"], math.meta["discipline"]) == ("Math", "Science")


def test_mmmu_refuses_what_cannot_be_asked_or_scored(root: Path) -> None:
    found = {name: reason for name, reason in refused("mmmu", root).items() if "Math" in name}
    assert found == {
        "validation_Math_3": "empty_question",
        "validation_Math_4": "missing_image",
        "validation_Math_5": "empty_answer",
        "validation_Math_6": "image_truncated",
    }


def test_mathvista_keeps_what_its_rules_need(root: Path) -> None:
    choice, number, listed = items("mathvista", root)
    assert (choice.choices, choice.answers) == (("red", "blue"), ("blue",))
    assert (number.meta["precision"], number.meta["unit"]) == ("1", "$")
    assert number.meta["task"] == "figure question answering"
    assert listed.answers == ("[1, 2]",)
    assert refused("mathvista", root) == {"4": "bad_row"}


def test_mmstar_has_its_choices_in_the_question(root: Path) -> None:
    first, second = items("mmstar", root)
    assert (first.question, first.answers) == ("What is it?", ("B",))
    assert first.choices == ("a cat", "a dog, or so", "a cow", "none")
    assert (second.question, second.choices) == ("Which is right?\nOptions: as drawn", ())
    assert second.answers == ("D",)
    assert refused("mmstar", root) == {"2": "image_unreadable"}


def test_docvqa_is_its_validation_split_without_infographics(root: Path) -> None:
    first, russian = items("docvqa", root)
    assert (first.id, first.answers) == ("337", ("1/8/93", "Jan 8"))
    assert first.meta == {"type": "layout; form"}
    assert (russian.question, russian.answers) == ("Что это?", ("да",))
    assert refused("docvqa", root) == {"338": "empty_answer"}


def test_textvqa_keeps_all_ten_answers_as_they_are(root: Path) -> None:
    (item,) = items("textvqa", root)
    assert item.answers == ("nan", "", "dakota", *["dakota digital"] * 7)
    assert refused("textvqa", root) == {"2": "no_images"}


def test_chartqa_has_no_ids_and_answers_that_look_like_lists(root: Path) -> None:
    human, augmented = items("chartqa", root)
    assert (human.id, human.meta) == ("data/test-00000-of-00001:0", {"type": "human"})
    assert (augmented.answers, augmented.meta) == (("[2018, 2019]",), {"type": "augmented"})


def test_ai2d_answers_with_the_number_of_a_choice(root: Path) -> None:
    assert [(item.choices, item.answers) for item in items("ai2d", root)] == [
        (("fox", "hare"), ("B",)),
        (("a", "b", "c", "d"), ("D",)),
    ]
    assert refused("ai2d", root) == {"data/test-00000-of-00001:2": "bad_row"}


def test_mmbench_is_english_and_groups_the_orders_of_a_question(root: Path) -> None:
    first, second = items("mmbench", root)
    assert (first.choices, first.answers) == (("cat", "dog"), ("A",))
    assert [item.meta["group"] for item in (first, second)] == ["7", "7"]
    assert first.meta["hint"] == "A hint."
    assert refused("mmbench", root) == {"8": "bad_row"}


@pytest.mark.parametrize("name", PUBLISHERS)
def test_items_stand_where_the_contamination_evidence_says(name: str, root: Path) -> None:
    layout = BENCHMARKS[name].layout
    rows = read_source(source_of(name, root / layout.repo))
    known = {row.origin for row in rows}
    found = {item.origin for item in items(name, root)}
    assert found
    assert found <= known


def test_a_tsv_of_two_splits_gives_one(tmp_path: Path) -> None:
    rows = [
        {"index": "dev_Art_1", "split": "dev", "question": "q", "A": "x", "B": "y", "answer": "A"},
        {"index": "validation_Art_2", "split": "validation", "question": "<image 1> q"},
    ]
    rows[1] |= {"A": "x", "B": "y", "answer": "B"}
    table = write_tsv(tmp_path / "MMMU_DEV_VAL.tsv", [{**row, "image": encoded(1)} for row in rows])
    (item,) = items("mmmu", tmp_path, table)
    assert (item.id, item.choices, item.answers) == ("validation_Art_2", ("x", "y"), ("B",))
    assert (item.meta["type"], item.meta["subject"]) == ("multiple-choice", "Art")


def test_an_id_that_comes_again_is_numbered(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {
        "question_id": [5, 5, 5],
        "question": ["a?", "b?", "c?"],
        "image": [struct(1), struct(2), struct(3)],
        "answers": [["x"]] * 3,
    }
    table = write_parquet(tmp_path / "validation.parquet", columns)
    assert [item.id for item in items("textvqa", tmp_path, table)] == ["5", "5#2", "5#3"]


def test_a_damaged_table_is_a_reason_and_the_others_are_read(tmp_path: Path) -> None:
    PUBLISHERS["mmmu"](tmp_path)
    broken = tmp_path / "MMMU/MMMU/Math/validation-00000-of-00001.parquet"
    broken.write_bytes(broken.read_bytes()[:100])
    assert {item.meta["subject"] for item in items("mmmu", tmp_path)} == {"Art_Theory"}
    assert "unreadable_file" in refused("mmmu", tmp_path).values()


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'mmmu'"):
        list(read_items("mmu", str(tmp_path)))
    with pytest.raises(SourceUnavailable):
        list(read_items("mmmu", str(tmp_path)))
    PUBLISHERS["textvqa"](tmp_path)
    folder = tmp_path / "lmms-lab/textvqa/data"
    half = folder / "validation-00000-of-00002.parquet"
    (folder / "validation-00000-of-00001.parquet").rename(half)
    with pytest.raises(SourceUnavailable, match="shards are missing"):
        list(read_items("textvqa", str(tmp_path)))
    half.unlink()
    with pytest.raises(SourceUnavailable, match="no validation split"):
        list(read_items("textvqa", str(tmp_path)))


def test_memory_does_not_grow_with_the_benchmark(tmp_path: Path) -> None:
    """MMMU has 10,500 test rows of up to seven pictures."""
    large = {"bytes": picture(1) + bytes(1_500_000), "path": None}
    columns: dict[str, list[Any]] = {
        "question": ["q?"] * 100,
        "image": [large] * 100,
        "answer": ["1"] * 100,
    }
    table = write_parquet(tmp_path / "test.parquet", columns)
    tracemalloc.start()
    count = sum(isinstance(item, Item) for item in read_items("chartqa", str(tmp_path), str(table)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 100
    assert peak < 75_000_000  # all pictures together: 150 MB; a batch of rows: 64 MiB at most
