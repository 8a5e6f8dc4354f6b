"""Runs of words that two questions share."""

from __future__ import annotations

import pytest
from cauldron.transforms.matching.contamination.overlap import (
    QuestionIndex,
    runs_of,
    split_question,
)

THIRTEEN = "one two three four five six seven eight nine ten eleven twelve thirteen"


def shared(asked: str, benchmark: str, ngram: int = 13) -> str | None:
    index = QuestionIndex([[split_question(benchmark)]], ngram, 3)
    return index.shared(runs_of([split_question(asked)], ngram)).get(0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What's THE year, 2014?", "what s the year 2014"),
        ("fill in ____ here", "fill in here"),
        ("Stra\u00dfe STRASSE \ufb01le", "strasse strasse file"),
        ("3.5 and x=4", "3 5 and x 4"),
        ("图中有几只2014狗\uff1f", "图 中 有 几 只 2014 狗"),
        ("हिन्दी भाषा", "हिन्दी भाषा"),
        ("ภาษา", "ภ า ษ า"),
        ("한국 사람", "한국 사람"),
        ("co\u00adoperate", "cooperate"),
        ("cafe\u0301 CAF\u00c9", "caf\u00e9 caf\u00e9"),
        ("", ""),
        ("?!\u2026", ""),
    ],
)  # fmt: skip
def test_words_are_normalised(text, words):
    assert " ".join(split_question(text).words) == words


def test_a_run_of_n_words_is_found_wherever_it_stands():
    assert shared(f"Look: {THIRTEEN}, and so on", f"First {THIRTEEN.upper()} last.") == THIRTEEN


def test_a_run_one_word_short_is_not_enough():
    twelve = THIRTEEN.rpartition(" ")[0]
    assert shared(f"a {twelve} b", f"c {twelve} d") is None


def test_the_first_run_is_told():
    asked = f"zero {THIRTEEN} fourteen"
    assert shared(asked, asked) == f"zero {THIRTEEN.rpartition(' ')[0]}"


@pytest.mark.parametrize(
    ("asked", "benchmark", "found"),
    [
        ("What is this?", "what is THIS", "what is this"),
        ("What is this?\nAnswer with the letter.", "What is this?", "what is this"),
        ("Question: What is this?\nChoices:\nA. B", "What is this?", "what is this"),
        ("What is this?", "Hint: be brief. What is this? Choices: (A) 1 (B) 2", "what is this"),
        ("请看图。这是什么\uff1f", "这是什么?", "这 是 什 么"),
        ("What is this person doing?", "What is this?", None),
        ("What is this?", "Tell me what is this thing", None),
        ("What is this? Be brief.", "What is that? Be brief.", None),
        ("", "", None),
        ("?", "!", None),
    ],
)  # fmt: skip
def test_a_short_question_counts_whole_and_between_sentence_ends(asked, benchmark, found):
    assert shared(asked, benchmark) == found


def test_every_row_with_a_run_is_told_and_only_the_first_of_many():
    rows = [[split_question(f"What is {n % 2}?")] for n in range(10)]
    index = QuestionIndex(rows, 13, 3)
    runs = runs_of([split_question("What is 1?"), split_question("What is 2?")], 13)
    assert index.shared(runs) == dict.fromkeys((1, 3, 5), "what is 1")


def test_a_row_may_have_several_questions_and_none():
    rows = [[], [split_question("Why?"), split_question("What is 1?")]]
    index = QuestionIndex(rows, 13, 3)
    assert index.shared(runs_of([split_question("What is 1?")], 13)) == {1: "what is 1"}
    assert index.shared(runs_of([], 13)) == {}
