"""A model is asked what it was trained to be asked."""

from __future__ import annotations

import pytest
from cauldron.sources.the_cauldron.new_prompts import INSTRUCTIONS, QUESTION

from cauldron.evaluate.benchmarks.catalog import BENCHMARKS
from cauldron.evaluate.benchmarks.prompts import IMAGE, Part, answer_of
from cauldron.evaluate.items.read import Item


def item(benchmark: str, question: str, choices: tuple[str, ...] = (), **meta: str) -> Item:
    images = (b"1", b"2") if "<image 2>" in question else (b"1",)
    return Item(benchmark, "1", images, question, choices, ("A",), meta)


def shown(benchmark: str, question: str, choices: tuple[str, ...] = (), **meta: str) -> str:
    """The message as text, an image as its number in braces."""
    parts = BENCHMARKS[benchmark].prompt(item(benchmark, question, choices, **meta))
    return "".join(f"{{{part.image}}}" if part.kind == IMAGE else part.text for part in parts)


def test_multiple_choice_is_the_template_of_training() -> None:
    expected = "{0}Question: Which?\nChoices:\nA. x\nB. y\nAnswer with the letter."
    assert shown("ai2d", "Which?", ("x", "y")) == expected
    assert shown("mmstar", "Which?", ("x", "y")) == expected
    assert shown("mathvista", "Which?", ("x", "y"), query="Hint: …") == expected


def test_choices_without_a_text_are_left_out_and_letters_stay() -> None:
    assert "A. x\nC. z\n" in shown("mmbench", "Which?", ("x", "", "z"))


def test_a_question_that_holds_its_choices_has_no_list_of_them() -> None:
    assert shown("mmstar", "Which?") == "{0}Question: Which?\nAnswer with the letter."


def test_mmbench_has_its_hint_after_the_question() -> None:
    assert shown("mmbench", "Which?", ("x", "y"), hint="See.") == (
        "{0}Question: Which?\nHint: See.\nChoices:\nA. x\nB. y\nAnswer with a letter."
    )


def test_mmmu_names_its_images_and_refers_to_them_in_place() -> None:
    question = "<image 1>Which follows <image 2>, here?"
    assert shown("mmmu", question, ("<image 2>", "none")) == (
        "Question: <image 1>:{0}\n<image 2>:{1}\n<image 1> Which follows <image 2> , here?\n"
        "Choices:\nA. <image 2>\nB. none\nAnswer with the letter."
    )
    assert shown("mmmu", "How much?") == (
        "Question: <image 1>:{0}\nHow much?\nGive a very brief answer."
    )


def test_mathvista_says_the_form_of_an_open_answer() -> None:
    query = "Hint: Give one decimal.\nQuestion: How much?"
    assert shown("mathvista", "How much?", query=query) == (
        "{0}Give one decimal.\nQuestion: How much?"
    )
    assert shown("mathvista", "Which?", ("1", "2"), unit="$").startswith(
        "{0}Question: Which? (Unit: $)\nChoices:"
    )


@pytest.mark.parametrize("benchmark", ["docvqa", "textvqa", "chartqa"])
def test_the_instruction_is_that_of_training(benchmark: str) -> None:
    text = INSTRUCTIONS[benchmark].replace(QUESTION, "Why {this}?")
    parts = BENCHMARKS[benchmark].prompt(item(benchmark, "Why {this}?"))
    assert parts == [Part("image", image=0), Part("text", text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Answer: B", "B"),
        (" answer :\n B \n", "B"),
        ("Answered by B", "Answered by B"),
        ("Answer B", "Answer B"),
        ("", ""),
        ("Answer:", ""),
        ("The Answer: B", "The Answer: B"),
    ],
)
def test_the_form_that_training_answers_in_is_removed(text: str, expected: str) -> None:
    assert answer_of(text) == expected
