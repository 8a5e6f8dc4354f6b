"""MathVista: the answer in a model's text by rules, made the type of answer that is asked for.

`quick_extract`, `normalise` and `is_equal` are equal to the parts of MathVista's evaluation, as
lmms-eval has it, that ask no other model. `extract` adds rules for the texts that the original
gives to one: MMMU's for letters, and the last number or list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cauldron.evaluate.metrics.anls import levenshtein
from cauldron.evaluate.metrics.mmmu import find_choice

MULTI_CHOICE = "multi_choice"

_QUOTED = re.compile(r'The answer is "(.*)"\.')
_LETTER = re.compile(r"\(([a-zA-Z])\)")
_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.?\d+)(?:[eE][+-]?\d+)?")
_LIST = re.compile(r"\[[^\[\]]*\]")


@dataclass(frozen=True)
class Problem:
    """What is asked for.

    Attributes:
        question_type: ``multi_choice`` or ``free_form``.
        answer_type: ``text``, ``integer``, ``float`` or ``list``.
        precision: decimals of a float.
    """

    question_type: str
    answer_type: str
    choices: Sequence[str] = ()
    precision: int = 0


def extract(text: str, problem: Problem) -> str:
    """The answer in a text, "" if no rule finds one.

    Where no letter is found for a choice, it is the whole text: `normalise` takes the nearest.
    """
    text = text.strip()
    if found := quick_extract(text, problem):
        return found
    if problem.question_type == MULTI_CHOICE:
        return find_choice(text, problem.choices) or text
    if problem.answer_type == "list":
        return _last(_LIST.findall(text))
    if problem.answer_type in ("integer", "float"):
        return _last(_NUMBER.findall(text)).replace(",", "")
    return ""


def _last(found: list[str]) -> str:
    return found[-1] if found else ""


def quick_extract(text: str, problem: Problem) -> str:
    """The answer if the text is nothing else, or says ``The answer is "…".``; else ""."""
    if problem.question_type == MULTI_CHOICE and text in problem.choices:
        return text
    try:
        if problem.answer_type == "integer":
            return str(int(text))
        if problem.answer_type == "float":
            return str(float(text))
    except ValueError:
        pass  # other words beside the number: the next rule
    match = _QUOTED.search(text)
    return match[1] if match else ""


def normalise(found: str, problem: Problem) -> str | None:
    """The answer in the form of the published ones; None if it is not of the type.

    A choice is the one whose letter was found, else the one nearest to the text by edit distance,
    so a text without any answer gets the shortest choice.
    """
    if problem.question_type == MULTI_CHOICE:
        return _choice(found.strip(), problem.choices)
    try:
        if problem.answer_type == "integer":
            return str(int(float(found)))
        if problem.answer_type == "float":
            return str(round(float(found), problem.precision))
    except (ValueError, OverflowError):
        return None
    return found


def _choice(found: str, choices: Sequence[str]) -> str:
    if match := _LETTER.search(found):
        found = match[1].upper()
    letters = [chr(ord("A") + number) for number in range(len(choices))]
    if found in letters:
        return choices[letters.index(found)]
    return min(choices, key=lambda choice: levenshtein(found, choice))


def is_equal(prediction: str | None, answer: str) -> bool:
    return str(prediction).strip() == answer.strip()
