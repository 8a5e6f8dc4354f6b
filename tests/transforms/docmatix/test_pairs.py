"""Pairs are found in whatever form a model numbers them, and each published rule fires alone."""

from __future__ import annotations

import time

import pytest
from cauldron.transforms.docmatix.pairs import Pair, parse, problem

from cauldron.core.reasons import PAIR_DROPPED
from cauldron.core.sections.docmatix import PUBLISHED_RULES

TWO = [("What?", "This."), ("Who?", "They.")]


def said(text: str) -> list[tuple[str, str]]:
    return [(pair.question, pair.answer) for pair in parse(text) if pair.paired]


@pytest.mark.parametrize(
    "text",
    [
        "Q1: What?\nA1: This.\n\nQ2: Who?\nA2: They.",
        "Q1: What? A1: This. Q2: Who? A2: They.",
        "Q1. What?\nA1. This.\nQ2. Who?\nA2. They.",
        "Q1) What?\nA1) This.\nQ2) Who?\nA2) They.",
        "Q 1 : What?\nA 1 : This.\nQ 2 : Who?\nA 2 : They.",
        "**Q1:** What?\n**A1:** This.\n\n**Q2:** Who?\n**A2:** They.",
        "**Q1: What?**\nA1: This.\n---\n**Q2: Who?**\nA2: They.",
        "### Question 1: What?\nAnswer 1: This.\n### Question 2: Who?\nAnswer 2: They.",
        "Question #1: What?\nAnswer #1: This.\nQuestion #2: Who?\nAnswer #2: They.",
        "Q: What?\nA: This.\nQ: Who?\nA: They.",
        "q1: What?\na1: This.\nq2: Who?\na2: They.",
        "1. Q: What?\n   A: This.\n2. Q: Who?\n   A: They.",
        "- Q1: What?\n- A1: This.\n- Q2: Who?\n- A2: They.",
        "Q1: What?\nQ2: Who?\nA1: This.\nA2: They.",
        "Q1: What?\nA1: This.\nQ1: Who?\nA1: They.",
        "Q3: What?\nA3: This.\nQ7: Who?\nA7: They.",
        "Here are the pairs:\n\nQ1: What?\r\nA1: This.\r\nQ2: Who?\r\nA2: They.\r\n",
    ],
)
def test_pairs_are_found_however_they_are_numbered(text: str) -> None:
    assert said(text) == TWO


@pytest.mark.parametrize(
    "text",
    [
        "Q1: Which steel?\nA1: It is of grade A1. It does not rust.",
        "Q1: Who wrote it?\nA1: The authors are\nA. Smith and\nQ. Jones.",
        "Q1: What is FAQ2: the list?\nA1: A list of\n1. questions\n2. answers",
    ],
)
def test_text_that_looks_like_a_label_stays_text(text: str) -> None:
    assert len(said(text)) == len(parse(text)) == 1


@pytest.mark.parametrize(
    ("text", "paired"),
    [
        ("Q1: What?\nQ2: Who?\nA2: They.", TWO[1:]),
        ("A1: This.\nQ2: Who?\nA2: They.", TWO[1:]),
        ("Q1: What?\nA2: They.", []),
        ("Q1: What?", []),
    ],
)
def test_what_has_no_partner_is_unpaired(text: str, paired: list[tuple[str, str]]) -> None:
    assert said(text) == paired
    left = [pair for pair in parse(text) if not pair.paired]
    assert left
    assert {problem(pair, PUBLISHED_RULES) for pair in left} == {"unpaired"}


@pytest.mark.parametrize("text", ["", "unanswerable", "I cannot help with that.", "Q", "::", "12"])
def test_an_answer_without_labels_has_no_pairs(text: str) -> None:
    assert parse(text) == []


FIRES = {
    "empty_question": ("", "Fine."),
    "empty_answer": ("What?", ""),
    "braces": ("What is {name}?", "Fine."),
    "brackets": ("Who?", "It is [your name]."),
    "angle_brackets": ("Who?", "The <b>boss</b>"),
    "ip_address": ("Which host?", "The host 10.0.0.1 answers."),
    "dot_in_word": ("Where?", "See example.org for it."),
    "blank_line": ("What?", "This.\n \nNote: that is all."),
    "unanswerable": ("What?", "The question is Unanswerable."),
    "question_number": ("Q4: What?", "This."),
    "answer_number": ("What?", "a4: This."),
}
KEPT = [
    ("What is due, and when?", "The sum of $1,250 is due on 3 May 2021, a Monday."),
    ("Is 5 < 7?", "Yes. It is less by 2; 10 > 7 too."),
    ("What does it say?", "First line.\nSecond line. It ends here..."),
    ("Which group answered Q4?", "Group A4 (the second) did: 40% of it."),
    ("Who?", "J. Smith, of Smith & Co. in St. Ives"),
    ("Which version?", "Version 10, not 1 . 2"),
]


@pytest.mark.parametrize("reason", FIRES)
def test_each_rule_fires_where_it_should(reason: str) -> None:
    pair = Pair(*FIRES[reason])
    assert problem(pair, PUBLISHED_RULES) == reason
    if reason in PUBLISHED_RULES:
        others = [rule for rule in PUBLISHED_RULES if rule != reason]
        without = problem(pair, others)
        # An address is also words around a dot, by the published rule.
        assert without == ("dot_in_word" if reason == "ip_address" else "")


@pytest.mark.parametrize("pair", KEPT)
def test_no_rule_fires_on_plain_pairs(pair: tuple[str, str]) -> None:
    assert problem(Pair(*pair), PUBLISHED_RULES) == ""


def test_decimals_are_dropped_as_published_unless_the_recipe_leaves_the_rule_out() -> None:
    pair = Pair("How long?", "It is 3.5 metres long.")
    assert problem(pair, PUBLISHED_RULES) == "dot_in_word"
    assert problem(pair, ("braces",)) == ""


def test_every_code_is_listed() -> None:
    assert {*FIRES, *PUBLISHED_RULES, "unpaired"} <= set(PAIR_DROPPED)


@pytest.mark.parametrize(
    "sign", ["*", "_", "-", "=", " ", "\t", "\n", "#", ">", "<", "{", "[", "a", "1"]
)
@pytest.mark.parametrize("form", ["Q1: a{}b\nA1: c{}d", "{}x", "Q1: a\nA1: {}x\x0c", "Q{}x"])
def test_an_answer_that_repeats_itself_takes_no_time(sign: str, form: str) -> None:
    """Models fall into such loops; 2,000 tokens of one sign are more than 100,000 of it."""
    text = form.replace("{}", sign * 100_000)
    start = time.process_time()
    for pair in parse(text):
        problem(pair, PUBLISHED_RULES)
    assert time.process_time() - start < 2
