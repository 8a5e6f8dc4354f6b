"""Prompts for ratings, and which answers are ratings."""

from __future__ import annotations

import numpy as np
import pytest
from cauldron.transforms.ratings.pipeline import _ASKED, owners
from cauldron.transforms.ratings.prompts import parse_rating, prompt
from cauldron.transforms.ratings.turns import is_sampled, turns_of

from cauldron.core.schema import messages_of
from cauldron.core.sections.ratings import SCALES


@pytest.mark.parametrize("text", ["4", " 4", "4\n", "\t4 \n"])
def test_a_single_digit_is_a_rating(text):
    assert parse_rating(text) == 4


@pytest.mark.parametrize(
    "text",
    ["", "0", "6", "45", "4.", "4/5", "4.0", "-4", "Rating: 4", "four", "<think>5</think>4", "٤"],
)
def test_anything_else_is_none(text):
    assert parse_rating(text) is None


def test_every_scale_asks_something_else_about_the_same_turn():
    texts = {prompt(scale, "Which colour?", "Red {0}.", 1) for scale in SCALES}
    assert len(texts) == len(SCALES)
    assert all("Which colour?" in text and "Red {0}." in text for text in texts)


def test_the_prompt_says_whether_the_images_are_seen():
    assert "that you do not see" in prompt("relevance", "q", "a", 2)
    assert "about the images" in prompt("visual_dependency", "q", "a", 2)
    assert "about a text" in prompt("formatting", "q", "a", 0)


def test_turns_are_the_pairs_of_a_conversation_without_its_system_prompt():
    messages = messages_of("Be brief.", [("q", "a"), ("r", "b")], images=2)
    assert turns_of(messages) == [("q", "a"), ("r", "b")]


def test_a_sample_is_a_part_of_every_larger_one():
    ids = [f"{number * 2654435761 % 2**32:08x}" + "0" * 24 for number in range(1000)]
    small, large = ({i for i in ids if is_sampled(i, share)} for share in (0.1, 0.4))
    assert small < large
    assert 80 <= len(small) <= 120
    assert all(is_sampled(i, 1.0) for i in ids)


def test_a_question_of_several_parts_belongs_to_the_first():
    asked = np.zeros(4, dtype=_ASKED)
    asked["high"], asked["low"] = [7, 7, 7, 9], [1, 1, 2, 1]
    asked["part"], asked["number"] = [5, 3, 5, 5], [0, 8, 1, 2]
    owned = owners([asked[:2].tobytes(), asked[2:].tobytes()])
    assert owned.tolist() == [(7, 1, 3, 8), (7, 2, 5, 1), (9, 1, 5, 2)]
