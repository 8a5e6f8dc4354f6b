"""Answers are grounded in the document, or dropped: measured on labelled answers."""

from __future__ import annotations

import time

import pytest
from cauldron.transforms.docmatix.grounding import Document

from tests.transforms.docmatix.labelled import (
    Case,
    invented_names,
    invented_numbers,
    made,
    written,
)

# Another seed than the one that the rules were written with.
MADE = list(made(seed=7))
TRUE = [*written(), *MADE]


def dropped(cases: list[Case]) -> list[Case]:
    documents = {case.document: Document([case.document]) for case in cases}
    return [case for case in cases if documents[case.document].missing(case.answer)[0]]


def test_true_answers_stay() -> None:
    assert len(TRUE) > 1_000
    lost = dropped(TRUE)
    assert len(lost) <= 0.02 * len(TRUE), [case.answer for case in lost]
    by_hand = dropped(written())
    assert len(by_hand) <= 0.02 * len(written()), [case.answer for case in by_hand]


@pytest.mark.parametrize("cases", [written(), MADE], ids=["written", "made"])
def test_invented_numbers_are_caught(cases: list[Case]) -> None:
    invented = list(invented_numbers(cases))
    assert len(invented) > 80
    caught = dropped(invented)
    assert len(caught) >= 0.95 * len(invented), [
        case.answer for case in invented if case not in caught
    ]


def test_invented_names_are_caught() -> None:
    """But for a single name at the start of a sentence, which looks like any other first word."""
    cases = list(invented_names(written()))
    assert len(cases) > 20
    assert len(dropped(cases)) >= 0.8 * len(cases)


@pytest.mark.parametrize(
    ("document", "answer", "missing"),
    [
        ("It costs 12 EUR.", "It costs 13 euros.", ["13"]),
        ("It costs 12 EUR.", "Anna Berg sells it for 12 euros.", ["Anna Berg"]),
        ("Signed 2 May 2020", "It was signed in June 2020.", ["June"]),
        ("A sum of 1,200", "The sum is 1.4 million.", ["1.4 million"]),
        ("A sum of 1,200", "About 1,250 in all", []),
        ("A sum of 1,200", "1,250 in all", ["1,250"]),
        ("No figures", "There are several sections.", []),
        ("No figures", "", []),
        ("\u0661\u0662\u0663 dirhams", "It is 123 dirhams.", []),
        ("x" * 9, "In the year \u0661\u0669\u0669\u0668", ["\u0661\u0669\u0669\u0668"]),
    ],
)
def test_what_is_missing_is_named(document: str, answer: str, missing: list[str]) -> None:
    assert Document([document]).missing(answer)[0] == missing


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        # The end of a range is not always a year without its century.
        ("It sells 10-12,500 units.", ["10", "12,500"]),
        ("It costs from 100-1,500 EUR.", ["100", "1,500"]),
        ("It grew by 1990-95.5 points.", ["1990", "95.5"]),
        # A pattern that ignores case takes a dotless i for an i.
        ("It is 5 m\u0131llion.", ["5 million"]),
        ("It has twenty-s\u0131x.", ["twenty-six"]),
        ("It has f\u0131ve.", []),
    ],
)
def test_no_notation_of_a_number_ends_the_job(answer: str, missing: list[str]) -> None:
    assert Document(["nothing"]).missing(answer)[0] == missing


@pytest.mark.parametrize(
    "text",
    [sign * 100_000 for sign in "9\n -'\"(*_."]
    + ["x-" + "\n" * 100_000 + ".", "0.5 " * 5_000, "(1) " * 5_000],
)
def test_text_that_repeats_itself_takes_no_time(text: str) -> None:
    start = time.process_time()
    Document([text]).missing(text + "Ab")
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "text",
    ["9" * 5_000, "1," * 4_000, "1-" * 4_000, "two hundred " * 2_000, "A. " * 3_000, "IV" * 3_000],
)
def test_strange_text_takes_no_time(text: str) -> None:
    start = time.process_time()
    Document([text]).missing(text)
    assert time.process_time() - start < 2
