"""What cleaning does to questions and answers, and which turns it leaves out."""

from __future__ import annotations

import time

import pytest
from cauldron.sources.base import RawTurn
from cauldron.transforms.text import clean_text, clean_turns

from cauldron.core.reasons import TURN_DROPPED, outcome_of
from cauldron.core.rules import TextRules

RULES = TextRules()
FILTERED = TextRules(
    refusals=("language model", "Sorry", "openai"),
    special_tokens=("<unk>", "<s>", "</s>", "<end_of_utterance>"),
)


def turn(user: str | None = "Why?", assistant: str | None = "So.") -> RawTurn:
    return RawTurn(user, assistant, "test")


def test_good_turns_keep_their_order_and_source():
    clean = clean_turns([RawTurn("a", "b", "x"), RawTurn("c", "d", "y")], RULES)
    assert clean.turns == [("a", "b", "x"), ("c", "d", "y")]
    assert clean.problem is None
    assert not clean.dropped


@pytest.mark.parametrize(
    ("published", "cleaned"),
    [
        ("<image>\nWhat is this?", "What is this?"),
        ("What is this?\n<image>", "What is this?"),
        ("<image><image> \n Compare them", "Compare them"),
        ("Left <image> right", "Left  right"),
        ("<ima<image>ge> nested", "nested"),
        ("Ensure brevity in your answer. ", "Ensure brevity in your answer. "),
        ("an <Image> is no placeholder", "an <Image> is no placeholder"),
    ],
)
def test_image_placeholders_go_and_other_text_keeps_its_space(published, cleaned):
    assert clean_text(published, RULES) == cleaned


def test_image_placeholders_stay_where_the_recipe_says_so():
    rules = TextRules(strip_image_tokens=False)
    assert clean_text("<image>\nWhat?", rules) == "<image>\nWhat?"


@pytest.mark.parametrize(
    ("published", "cleaned"),
    [
        ("Is it red?.", "Is it red?"),
        ("Stop!.", "Stop!"),
        ("Why?. Because.", "Why? Because."),
        ("Why?.\nBecause.", "Why?\nBecause."),
        ('He said "Why?."', 'He said "Why?"'),
        ("(really?.)", "(really?)"),
        ("What?!.", "What?!"),
        ("Well?...", "Well?..."),
        ("Oh!..", "Oh!.."),
        ("user?.name?.[0]", "user?.name?.[0]"),
        (r"^.*?.*!.x$", r"^.*?.*!.x$"),
    ],
)
def test_wrong_full_stops_go_and_ellipses_and_code_stay(published, cleaned):
    assert clean_text(published, RULES) == cleaned


def test_wrong_full_stops_stay_where_the_recipe_says_so():
    assert clean_text("Why?.", TextRules(fix_punctuation=False)) == "Why?."


def test_text_can_always_be_written_as_utf8():
    clean = clean_text("nul\0 lone \ud83d pair \ud83d\ude00 end", RULES)
    assert clean == "nul lone \ufffd pair \U0001f600 end"
    assert clean.encode()


def test_windows_line_ends_become_newlines():
    assert clean_text("a\r\nb\rc", RULES) == "a\nb\rc"


def test_mojibake_is_data():
    assert clean_text("cafÃ© â€œquotedâ€\x9d", RULES) == "cafÃ© â€œquotedâ€\x9d"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (turn(user=None), "empty_question"),
        (turn(user=" \n"), "empty_question"),
        (turn(user="<image>"), "empty_question"),
        (turn(assistant=None), "empty_answer"),
        (turn(assistant="\t"), "empty_answer"),
        (turn(assistant="I'm SORRY, no."), "refusal"),
        (turn(assistant="As a Language Model I"), "refusal"),
        (turn(user="What is </s>?"), "special_token"),
        (turn(assistant="<unk> is it"), "special_token"),
    ],
)
def test_a_bad_turn_goes_and_its_row_stays(bad, reason):
    clean = clean_turns([turn(), bad, turn()], FILTERED)
    assert len(clean.turns) == 2
    assert clean.dropped == {reason: 1}
    assert set(clean.dropped) <= set(TURN_DROPPED)
    assert clean.problem is None


def test_a_refusal_phrase_in_the_question_is_no_refusal():
    assert clean_turns([turn(user="Write: sorry")], FILTERED).problem is None


def test_a_row_without_a_good_turn_is_dropped_and_says_why():
    clean = clean_turns([turn(assistant=""), turn(assistant="sorry")], FILTERED)
    assert clean.problem is not None
    reason, message = clean.problem
    assert (reason, outcome_of(reason)) == ("no_turns", "dropped")
    assert "empty_answer 1, refusal 1" in message
    assert clean_turns([], RULES).problem == ("no_turns", "no turn left of 0: none given")


def test_docmatix_rule_drops_a_row_with_one_long_text():
    rules = TextRules(max_turn_chars=500)
    assert clean_turns([turn(assistant="x" * 500)], rules).problem is None
    clean = clean_turns([turn(), turn(user="x" * 501)], rules)
    assert clean.problem == ("long_turn", "turn 1: 501 characters, limit 500")
    assert clean.turns == []


def test_ten_thousand_turns_are_cleaned_in_a_blink():
    turns = [turn(f"<image>\nQuestion {i}?.", f"Answer {i}!.") for i in range(10_000)]
    start = time.perf_counter()
    clean = clean_turns(turns, FILTERED)
    assert time.perf_counter() - start < 1
    assert len(clean.turns) == 10_000
    assert clean.turns[-1][:2] == ("Question 9999?", "Answer 9999!")


def test_more_turns_than_the_guard_are_dropped():
    clean = clean_turns([turn()] * 4, TextRules(max_turns=3))
    assert clean.problem == ("too_many_turns", "4 turns, the limit is 3")
