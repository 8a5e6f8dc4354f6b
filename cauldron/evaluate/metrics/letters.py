"""The letter of a choice in a model's text: MMStar and MMBench as lmms-eval reads it, and AI2D.

`extract_letter` is equal to lmms-eval's `extract_mcq_answer`, `infer_letter` to the part of
MMBench's evaluation that asks no other model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

_STRIPPED = (",", ".", "!", "?", ";", ":", "'", '"')
# Equal to lmms-eval's list, in its order. An answer may follow one of these.
_PHRASES = (
    *("the answer is", "answer is", "the correct answer is", "correct answer is"),
    *("the best answer is", "best answer is", "the correct option is", "correct option is"),
    *("the best option is", "best option is", "the choice is", "choice is"),
    *("the correct choice is", "correct choice is", "i choose", "i select", "i pick"),
    *("my answer is", "my choice is"),
    *("옵션", "정답은", "답은", "답:"),
    *("答案是", "答案为", "选"),
    "答えは",
)
# A letter found in a form of higher rank is believed over one of a lower rank.
_START, _END, _PHRASE, _ANYWHERE = 10, 9, 7, 0
_FORMS = (("({})", 6), ("{}.", 5), ("{}:", 4), ("{})", 3), ("{} ", 2))
# How MMBench's evaluation writes a letter, in the order in which it looks.
_WRITTEN = (
    *(("", "."), ("", ","), ("", ":"), ("", ")"), ("", ")."), ("(", ")"), ("(", ").")),
    *((":", ""), (":", ","), (":", "."), (":", ")"), (":", ").")),
)
_LETTERS = "ABCDE"
_ARTICLE_FROM = 3  # in a text of more words a lone "A" may be the article
_FAILED = "Failed to obtain answer via API"


class _Found(NamedTuple):
    rank: int
    place: int
    letter: str


def extract_letter(text: str, letters: Sequence[str]) -> str:
    """The letter in the form of the highest rank, the last of those in equal form; "" for none."""
    text = text.strip()
    if not text:
        return ""
    for character in _STRIPPED:
        text = text.strip(character)
    found = list(_found(f" {text} ", letters))
    if not found:
        found = [_Found(_ANYWHERE, text.rfind(letter), letter) for letter in letters]
        found = [item for item in found if item.place >= 0]
    # Of equal ones the first that was found.
    return max(found, key=lambda item: (item.rank, item.place)).letter if found else ""


def _found(text: str, letters: Sequence[str]) -> Iterator[_Found]:
    for form, rank in _FORMS:
        for letter in letters:
            place = text.rfind(form.format(letter))
            if place >= 0:
                yield _Found(rank, place, letter)
    lower = text.lower()
    for phrase in _PHRASES:
        start = lower.find(phrase)
        if start >= 0:
            places = ((letter, text.find(letter, start + len(phrase))) for letter in letters)
            yield from (_Found(_PHRASE, place, letter) for letter, place in places if place >= 0)
    bare = text.strip()
    for letter in letters:
        if bare.startswith(letter) and not bare[1:2].isalpha():
            yield _Found(_START, 0, letter)
    for letter in letters:
        if bare.endswith(letter) and not bare[-2:-1].isalpha():
            yield _Found(_END, len(text) - 1, letter)


def infer_letter(text: str, choices: Mapping[str, str]) -> str:
    """The choice that a text names without doubt, by its letter or its words; "" for none.

    Args:
        choices: texts by letter, A to D.
    """
    return _infer_by_letter(text) or _infer_by_words(text, choices)


def _infer_by_letter(text: str) -> str:
    if _FAILED in text:
        return ""
    words = text.split()
    found = [letter for letter in _LETTERS if letter in words]
    if len(found) == 1 and not ("A" in words and len(words) > _ARTICLE_FROM):
        return found[0]
    for before, after in _WRITTEN:
        found = [letter for letter in _LETTERS if f"{before}{letter}{after}" in words]
        if len(found) == 1:
            return found[0]
    return ""


def _infer_by_words(text: str, choices: Mapping[str, str]) -> str:
    text = text.lower()
    found = [letter for letter, words in choices.items() if words.lower() in text]
    return found[0] if len(found) == 1 else ""


_LETTER_FIRST = re.compile(r"\s*([A-Z])\.")
_PUNCTUATION = str.maketrans("", "", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


def ai2d_answer(text: str) -> str:
    """The letter before a full stop at the start of a text, else the text."""
    match = _LETTER_FIRST.match(text)
    return match[1] if match else text


def score_exact(prediction: str, answer: str) -> float:
    """1.0 if two texts are equal without punctuation, in lower case."""
    texts = (text.lower().translate(_PUNCTUATION) for text in (prediction, answer))
    return float(len(set(texts)) == 1)
