"""MMMU: the letter or the short answer in a model's text, as the benchmark's authors read it.

Equal to `parse_multi_choice_response`, `parse_open_response` and `eval_open` of MMMU's own
evaluation, oddities included, with two exceptions:

- Where a text names no choice, the original draws one from Python's global random numbers. Here
  the draw follows from the item's id, so it does not depend on the order of items or the run.
- lmms-eval keeps only the first of a set of parsed answers, whose order changes from run to run.
  Here all are kept, as in the original.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence

Parsed = tuple[str | float, ...]

_STRIPPED = (",", ".", "!", "?", ";", ":", "'")
_LONG_TEXT = 5  # words; in a shorter text the words of a choice are not looked for
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)
# What comes after the last of one of these may be the answer.
_INDICATORS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_TRIVIAL = (":", ",", ".", "!", "?", ";", "'")


def parse_choice(text: str, choices: Sequence[str], item_id: str) -> str:
    """The letter of the choice that a text names; one drawn by `item_id` if it names none.

    Of several letters the last is taken: in parentheses, else before a space, else before a full
    stop. A text of more than five words may name a choice by its words.
    """
    letters = [chr(ord("A") + number) for number in range(len(choices))]
    return find_choice(text, choices) or _drawn(letters, item_id)


def find_choice(text: str, choices: Sequence[str]) -> str:
    """As `parse_choice`; "" if the text names no choice."""
    letters = [chr(ord("A") + number) for number in range(len(choices))]
    for character in _STRIPPED:
        text = text.strip(character)
    text = f" {text} "
    if found := [letter for letter in letters if f"({letter})" in text]:
        return _last(found, lambda letter: text.rfind(f"({letter})"))
    # Places are those before a space even where the letter was found before a full stop, so of
    # several such letters the first in the alphabet is taken.
    for mark in (" ", "."):
        if found := [letter for letter in letters if f"{letter}{mark}" in text]:
            return _last(found, lambda letter: text.rfind(f" {letter} "))
    if len(text.split()) <= _LONG_TEXT:
        return ""
    lower = text.lower()
    words = {letter: choice.lower() for letter, choice in zip(letters, choices, strict=True)}
    found = [letter for letter in letters if words[letter] in lower]
    return _last(found, lambda letter: lower.rfind(words[letter])) if found else ""


def _last(letters: list[str], place: Callable[[str], int]) -> str:
    """The letter with the greatest place, the first of equal ones."""
    return max(letters, key=place)


def _drawn(letters: Sequence[str], item_id: str) -> str:
    digest = hashlib.sha256(f"mmmu {item_id}".encode()).digest()
    return letters[int.from_bytes(digest[:8], "big") % len(letters)]


def parse_open(text: str) -> Parsed:
    """Every text and number of an open answer that may be meant, each once."""
    parts = _key_parts(text)
    numbers = [number for part in parts for number in _numbers(part)]
    found = [value for part in (*parts, *numbers) for value in normalised(part)]
    return tuple(dict.fromkeys(found))


def _key_parts(text: str) -> list[str]:
    """The shortest ends of lines that follow an indicator; the whole text if there is none."""
    text = text.strip().strip(".").lower()
    lines = text.split("\n")
    found = []
    for number, line in enumerate(lines):
        indicators = (*_INDICATORS, "=") if number == len(lines) - 1 else _INDICATORS
        ends = [line.split(word)[-1].strip() for word in indicators if word in line]
        end = _shortest(ends)
        if end and end not in _TRIVIAL:
            found.append(end)
    return found or [text]


def _shortest(ends: list[str]) -> str:
    """The shortest text. An empty one is only kept until another comes, as in the original."""
    shortest = ""
    for end in ends:
        if not shortest or len(end) < len(shortest):
            shortest = end
    return shortest


def _numbers(text: str) -> list[str]:
    return [number for pattern in _NUMBERS for number in pattern.findall(text)]


def normalised(text: str) -> list[str | float]:
    """A number to two decimals, or the text in lower case. One letter alone becomes two texts, with
    a space before and after, so that it is not found inside a word."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        text = text.lower()
    return [f" {text}", f"{text} "] if len(text) == 1 else [text]


def score_choice(letter: str, answers: Sequence[str]) -> float:
    return float(letter in answers)


def score_open(parsed: Parsed, answers: Sequence[str]) -> float:
    """1.0 if one of the parsed numbers is an answer, or an answer is part of a parsed text."""
    accepted = [value for answer in answers for value in normalised(answer)]
    texts = [value for value in accepted if isinstance(value, str)]
    for value in parsed:
        if isinstance(value, str):
            if any(text in value for text in texts):
                return 1.0
        elif value in accepted:
            return 1.0
    return 0.0
