"""Merging texts: nothing is lost, nothing is said twice, and conflicts go as the recipe says."""

from __future__ import annotations

import pytest
from cauldron.transforms.curate.merging import merge_samples, normalise_text

from cauldron.core.schema import Sample
from tests.curated import LNQA, OKVQA, VQA, Texts, row, turns_of


def sample(source: str, texts: Texts) -> Sample:
    return row(source, texts, 1)[0]


def merged(texts: list[Texts], conflicts: str = "keep") -> list[tuple[str, str]]:
    first, *others = [sample(VQA, item) for item in texts]
    result = merge_samples(first, others, conflicts)
    return [(turn.user, turn.assistant) for turn in result.turns]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is it?", "what  is\nit"),
        ("A dog.", "a dog"),
        ("STRASSE", "straße"),
        ("ﬁne", "fine"),
        ("e\u0301t\u00e9", "\u00e9t\u00e9"),
        ("何ですか？", "何ですか"),  # noqa: RUF001 - the wide question mark is meant
        ("What ?!", "what"),
        ("a\u00a0b", "a b"),
    ],
)
def test_texts_that_differ_in_form_alone_are_the_same(one, other):
    assert normalise_text(one) == normalise_text(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("50%", "50"), ("C#", "C"), ("5'", '5"'), ("-3", "3"), ("?", "!"), ("a-b", "ab"), ("", ".")],
)
def test_signs_that_carry_meaning_stay(one, other):
    assert normalise_text(one) != normalise_text(other)


def test_turns_are_appended_with_their_source_and_tokens():
    one, two, three = (
        sample(VQA, [("Q1?", "one"), ("Q2?", "two words")]),
        sample(OKVQA, [("Q3?", "x y z")]),
        sample(LNQA, [("Q4?", "w"), ("Q5?", "v")]),
    )
    result = merge_samples(one, [two, three], "keep")
    assert turns_of(result) == [*turns_of(one), *turns_of(two), *turns_of(three)]
    assert (result.id, result.images, result.origin) == (one.id, one.images, one.origin)
    assert result.answer_tokens == 3 + 3 + 2
    assert result.text_tokens == 5 * 3 + 8


def test_a_repeated_question_with_the_same_answer_goes():
    texts = [[("What is it?", "A dog.")], [("what is it", "a dog"), ("Where?", "here")]]
    assert merged(texts) == [("What is it?", "A dog."), ("Where?", "here")]


def test_repetitions_within_the_row_that_stays_stay():
    own = [("Q?", "a"), ("Q?", "a"), ("Q?", "b")]
    assert merged([own, [("q", "A")]]) == own
    assert merged([own, [("q", "A")]], "first") == own


def test_repetitions_within_a_row_that_comes_go():
    assert merged([[("Q?", "a")], [("R?", "b"), ("r", "B.")]]) == [("Q?", "a"), ("R?", "b")]


CONFLICT = [
    [("What?", "cat"), ("How many?", "2")],
    [("what", "dog"), ("Where?", "here")],
    [("what?", "bird")],
]


def test_conflicting_answers_are_all_kept():
    assert merged(CONFLICT, "keep") == [
        ("What?", "cat"), ("How many?", "2"), ("what", "dog"), ("Where?", "here"), ("what?", "bird")
    ]  # fmt: skip


def test_of_conflicting_answers_the_first_rows_is_kept():
    assert merged(CONFLICT, "first") == [("What?", "cat"), ("How many?", "2"), ("Where?", "here")]
    others = [[("Q?", "a")], [("R?", "b"), ("R?", "c")], [("r", "d")]]
    assert merged(others, "first") == [("Q?", "a"), ("R?", "b"), ("R?", "c")]


def test_questions_in_conflict_are_dropped():
    assert merged(CONFLICT, "drop") == [("How many?", "2"), ("Where?", "here")]


def test_several_answers_of_one_row_are_no_conflict():
    captions = [("Describe.", "a"), ("Describe.", "b")]
    assert merged([[("Q?", "x")], captions], "drop") == [("Q?", "x"), *captions]
    assert merged([captions, captions[::-1]], "drop") == captions
    assert merged([[("Q?", "x"), *captions], captions[:1]], "drop") == [("Q?", "x")]


def test_the_last_turn_of_a_row_is_never_dropped():
    assert merged([[("Q?", "a")], [("q", "b")]], "drop") == [("Q?", "a")]


def test_licences_of_all_that_gave_turns_are_named():
    one, two, three = (
        sample(VQA, [("A", "1")]),
        sample(OKVQA, [("B", "2")]),
        sample(LNQA, [("C", "3")]),
    )
    assert merge_samples(one, [two, three], "keep").license == "cc-by-4.0 AND mit"
    assert merge_samples(one, [three], "keep").license == "cc-by-4.0"
    nothing_new = sample(OKVQA, [("a", "1")])
    assert merge_samples(one, [nothing_new], "keep").license == "cc-by-4.0"
    both = merge_samples(two, [one], "keep")
    assert merge_samples(both, [three], "keep").license == "cc-by-4.0 AND mit"
