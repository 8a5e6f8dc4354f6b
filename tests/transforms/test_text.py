"""What cleaning does to questions and answers, and which turns it leaves out."""

from __future__ import annotations

import time

import pytest
from cauldron.sources.base import RawTurn
from cauldron.transforms.text import clean_text, clean_turns

from cauldron.core.reasons import TURN_DROPPED, outcome_of
from cauldron.core.sections.rules import TextRules

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


def question(published: str, rules: TextRules = RULES, images: int = 1) -> str:
    """The question of a row with images, as it is kept."""
    clean = clean_turns([turn(published)], rules, images)
    assert clean.problem is None
    return clean.turns[0][0]


XML = "<channel>\n<image>\n<url>a.png</url>\n</image>\n</channel>"


@pytest.mark.parametrize(
    ("published", "images", "cleaned"),
    [
        ("<image>\nWhat is this?", 1, "What is this?"),
        ("What is this?\n<image>", 1, "What is this?"),
        ("<image><image> \n Compare them", 2, "Compare them"),
        ("<image>\nCompare them\n<image>", 2, "Compare them"),
        ("Left <image> right", 1, "Left <image> right"),
        ("<image>\nWhat is an <image> tag?", 1, "What is an <image> tag?"),
        (f"What does this say?\n{XML}", 1, f"What does this say?\n{XML}"),
        ("<image><url>a.png</url></image>", 1, "<image><url>a.png</url></image>"),
        ("Write <image>", 0, "Write <image>"),
        ("Ensure brevity in your answer. ", 1, "Ensure brevity in your answer. "),
        ("an <Image> is no placeholder", 1, "an <Image> is no placeholder"),
    ],
)
def test_image_placeholders_go_and_other_text_keeps_its_space(published, images, cleaned):
    assert question(published, images=images) == cleaned


def test_an_image_tag_in_an_answer_is_text():
    clean = clean_turns([turn("<image>\nWrite it as XML.", "<image>\n<url/>")], RULES, 1)
    assert clean.turns == [("Write it as XML.", "<image>\n<url/>", "test")]


def test_image_placeholders_stay_where_the_recipe_says_so():
    rules = TextRules(strip_image_tokens=False)
    assert question("<image>\nWhat?", rules) == "<image>\nWhat?"


@pytest.mark.parametrize(
    ("questions", "images"),
    [
        (["<image>a", "<image>b"], 1),  # independent questions on one image
        (["<image>a", "b"], 1),
        (["<image>a", "<image>b", "c"], 2),  # a dialogue that shows two images
        (["<image><image>a", "b<image><image>"], 2),
    ],
)
def test_placeholders_agree_with_the_images_in_each_turn_or_in_all(questions, images):
    clean = clean_turns([turn(text) for text in questions], RULES, images)
    assert clean.problem is None
    assert [user for user, _, _ in clean.turns] == ["a", "b", "c"][: len(questions)]


@pytest.mark.parametrize(
    ("questions", "images"),
    [(["<image>a"], 2), (["<image><image>a"], 1), (["<image>a", "<image><image>b"], 1)],
)
def test_placeholders_that_disagree_with_the_images_quarantine_the_row(questions, images):
    clean = clean_turns([turn(text) for text in questions], RULES, images)
    assert clean.problem is not None
    reason, message = clean.problem
    assert (reason, outcome_of(reason)) == ("image_placeholders", "quarantined")
    assert message.endswith(f" questions, {images} images")
    assert clean.turns == []


def test_a_hundred_thousand_placeholders_are_counted_in_a_blink():
    start = time.perf_counter()
    text = "<image> " * 100_000
    assert clean_turns([turn(text)], RULES, 100_000).dropped == {"empty_question": 1}
    assert time.perf_counter() - start < 1


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


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (turn(user=None), "empty_question"),
        (turn(assistant="Sorry, no."), "refusal"),
        (turn(user="What is </s>?"), "special_token"),
    ],
)
def test_a_bad_turn_of_a_dialogue_takes_its_row(place, bad, reason):
    turns = [turn(), turn()]
    turns.insert(place, bad)
    clean = clean_turns(turns, FILTERED, dialogue=True)
    assert clean.problem == ("bad_turn", f"turn {place} of a dialogue: {reason}")
    assert outcome_of("bad_turn") == "dropped"
    assert (clean.turns, clean.dropped) == ([], {reason: 1})


def test_only_an_unanswered_last_question_is_left_out_of_a_dialogue():
    open_end = clean_turns([turn(), turn(assistant=None)], RULES, dialogue=True)
    assert (len(open_end.turns), open_end.dropped) == (1, {"empty_answer": 1})
    gap = clean_turns([turn(assistant=None), turn()], RULES, dialogue=True)
    assert gap.problem == ("bad_turn", "turn 0 of a dialogue: empty_answer")


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
    clean = clean_turns(turns, FILTERED, 1)
    assert time.perf_counter() - start < 1
    assert len(clean.turns) == 10_000
    assert clean.turns[-1][:2] == ("Question 9999?", "Answer 9999!")


def test_more_turns_than_the_guard_are_dropped():
    clean = clean_turns([turn()] * 4, TextRules(max_turns=3))
    assert clean.problem == ("too_many_turns", "4 turns, the limit is 3")
