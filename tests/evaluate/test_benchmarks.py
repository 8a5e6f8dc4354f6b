"""From a model's text to the scores of a benchmark."""

from __future__ import annotations

import random

import pytest

from cauldron.evaluate.benchmarks.aggregate import Score, Scored
from cauldron.evaluate.benchmarks.catalog import BENCHMARKS
from cauldron.evaluate.items.read import Item, read_items
from tests.evaluate.published import publish


def score(benchmark: str, item: Item, text: str) -> float:
    return BENCHMARKS[benchmark].score(item, BENCHMARKS[benchmark].parse(item, text))


def item(
    benchmark: str, answers: tuple[str, ...], choices: tuple[str, ...] = (), **meta: str
) -> Item:
    return Item(benchmark, "7", (), "?", choices, answers, meta)


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Item]]:
    root = publish(tmp_path_factory.mktemp("hub"))
    return {
        name: [found for found in read_items(name, str(root)) if isinstance(found, Item)]
        for name in BENCHMARKS
    }


@pytest.mark.parametrize("name", BENCHMARKS)
def test_published_answers_score_fully_and_others_do_not(
    name: str, items: dict[str, list[Item]]
) -> None:
    benchmark = BENCHMARKS[name]
    for found in items[name]:
        wrong = next(letter for letter in "ABCD" if letter not in found.answers)
        answer = max(found.answers, key=found.answers.count)
        assert score(name, found, answer) == 1.0
        assert score(name, found, f"Answer: {answer}") == 1.0
        if name != "mathvista":
            assert score(name, found, wrong) < 0.5
    rows = [Scored(found.id, 1.0, found.meta) for found in items[name]]
    scores = benchmark.aggregate(rows)
    assert scores["overall"].value == 1.0
    assert {name.partition("/")[0] for name in scores} <= {"overall", *benchmark.told_apart_by}


@pytest.mark.parametrize("name", BENCHMARKS)
@pytest.mark.parametrize("text", ["", " \n", "\0", "…", "日本語", "\u0410", "1e999", "-" * 5_000])
def test_any_text_of_a_model_has_a_score(
    name: str, text: str, items: dict[str, list[Item]]
) -> None:
    for found in items[name]:
        assert 0.0 <= score(name, found, text) <= 1.0


def test_an_empty_text_is_no_answer(items: dict[str, list[Item]]) -> None:
    for name in ("mmstar", "docvqa", "chartqa", "ai2d", "mmbench"):
        assert [score(name, found, "") for found in items[name]] == [0.0] * len(items[name])


def test_settings_are_those_of_the_paper() -> None:
    edges = {name: benchmark.longest_edge for name, benchmark in BENCHMARKS.items()}
    assert edges.pop("docvqa") == 1_820
    assert set(edges.values()) == {1_456}
    assert BENCHMARKS["mmmu"].published == {
        "Idefics2-8B": 45.2,
        "Idefics2-70B": 58.0,
        "Idefics3-8B": 46.6,
    }
    assert BENCHMARKS["docvqa"].published["Idefics3-8B"] == 87.7
    assert not BENCHMARKS["ai2d"].published


def test_two_benchmarks_are_scored_on_another_split_than_the_papers_did() -> None:
    """The answers of their test splits are not published."""
    other = {
        name: (benchmark.layout.split, benchmark.published_split)
        for name, benchmark in BENCHMARKS.items()
        if benchmark.layout.split != benchmark.published_split
    }
    assert other == {"docvqa": ("validation", "test"), "mmbench": ("dev", "test")}


def test_a_letter_drawn_for_mmmu_follows_from_the_item_alone() -> None:
    choices = ("w", "x", "y", "z")
    asked = [
        Item(
            "mmmu",
            f"validation_Art_{number}",
            (),
            "?",
            choices,
            ("A",),
            {"type": "multiple-choice"},
        )
        for number in range(400)
    ]
    drawn = [BENCHMARKS["mmmu"].parse(found, "no idea") for found in asked]
    random.seed(1)
    assert [BENCHMARKS["mmmu"].parse(found, "?") for found in asked] == drawn
    counts = [drawn.count(letter) for letter in "ABCD"]
    assert sum(counts) == 400
    assert min(counts) > 70  # 100 are expected


def test_an_open_answer_of_mmmu_may_be_any_of_its_answers() -> None:
    found = item("mmmu", ("5", "five"), type="open")
    assert score("mmmu", found, "The result is 5.0") == 1.0
    assert score("mmmu", found, "It is FIVE") == 1.0
    assert score("mmmu", found, "55") == 0.0


@pytest.mark.parametrize(
    ("answer_type", "answer", "text", "expected"),
    [
        ("integer", "12", "about 1,500 or rather 12", 1.0),
        ("integer", "12", "12.7", 1.0),
        ("float", "1.5", "The price is $1.5.", 1.0),
        ("float", "1.5", "1.46", 1.0),
        ("float", "1.5", "1.44", 0.0),
        ("float", "1.5", "none", 0.0),
        ("list", "[1, 2]", "They are [1, 2], I think", 1.0),
        ("list", "[1, 2]", "[1, 3]", 0.0),
    ],
)
def test_mathvista_reads_an_open_answer_by_rules(
    answer_type: str, answer: str, text: str, expected: float
) -> None:
    found = item("mathvista", (answer,), type="free_form", answer_type=answer_type, precision="1")
    assert score("mathvista", found, text) == expected


@pytest.mark.parametrize("text", ["B", "(b)", "blue", "the blue one", "Answer: B", "It is B."])
def test_mathvista_reads_a_choice_by_letter_or_by_words(text: str) -> None:
    found = item(
        "mathvista", ("blue",), ("yellow", "blue"), type="multi_choice", answer_type="text"
    )
    assert score("mathvista", found, text) == 1.0


def test_mmbench_counts_a_question_right_in_every_order() -> None:
    rows = [
        Scored("7", 1.0, {"group": "7", "category": "x"}),
        Scored("1000007", 0.0, {"group": "7", "category": "x"}),
        Scored("8", 1.0, {"group": "8", "category": "y"}),
    ]
    assert BENCHMARKS["mmbench"].aggregate(rows) == {
        "overall": Score(0.5, 2),
        "category/x": Score(0.0, 1),
        "category/y": Score(1.0, 1),
    }


def test_scores_do_not_depend_on_the_order_of_items() -> None:
    draw = random.Random(5)
    rows = [
        Scored(str(number), draw.random(), {"type": draw.choice("xy")}) for number in range(1_000)
    ]
    expected = BENCHMARKS["chartqa"].aggregate(rows)
    for _ in range(3):
        draw.shuffle(rows)
        assert BENCHMARKS["chartqa"].aggregate(rows) == expected
    assert BENCHMARKS["chartqa"].aggregate([]) == {}
