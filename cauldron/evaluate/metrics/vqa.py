"""VQA accuracy, the score of TextVQA: how many of ten annotators gave the same answer.

Both sides are processed first: lower case, no articles, number words as digits, contractions with
their apostrophe, no punctuation. Equal to the answer processor of EvalAI, which lmms-eval uses.
"""

from __future__ import annotations

import csv
import functools
import re
import statistics
from collections.abc import Mapping, Sequence
from importlib import resources

_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_NUMBERS: Mapping[str, str] = {
    "none": "0",
    "ten": "10",
    **{word: str(number) for number, word in enumerate(_NUMBER_WORDS)},
}
_ARTICLES = ("a", "an", "the")
_PUNCTUATION = ';/[]"{}()=+\\_-><@`!'
_FULL_STOP = re.compile(r"(?!<=\d)\.(?!\d)")
# The original gives a flag of `re` in the place of the count: no more full stops are removed.
_MOST_FULL_STOPS = 32
# An answer is right if this many others gave it.
_ENOUGH = 3


def vqa_accuracy(prediction: str, answers: Sequence[str]) -> float:
    """The mean over annotators of min(1, others with the predicted answer / 3), from 0 to 1."""
    predicted = processed(prediction)
    same = [processed(answer) == predicted for answer in answers]
    scores = [min(1, (sum(same) - is_same) / _ENOUGH) for is_same in same]
    return float(statistics.mean(scores))


def processed(answer: str) -> str:
    """An answer in the form that is compared."""
    text = answer.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    text = text.replace("\n", " ").replace("\t", " ").strip()
    words = (_NUMBERS.get(word, word) for word in _without_punctuation(text).lower().split())
    contractions = _contractions()
    return " ".join(contractions.get(word, word) for word in words if word not in _ARTICLES)


def _without_punctuation(text: str) -> str:
    """A mark beside a space is removed, one between two letters becomes a space."""
    out = text
    for mark in _PUNCTUATION:
        is_beside_space = f"{mark} " in text or f" {mark}" in text
        out = out.replace(mark, "" if is_beside_space else " ")
    return _FULL_STOP.sub("", out, count=_MOST_FULL_STOPS)


@functools.cache
def _contractions() -> Mapping[str, str]:
    table = resources.files("cauldron").joinpath("data/vqa_contractions.csv")
    lines = table.read_text(encoding="utf-8").splitlines()
    return {row["written"]: row["read_as"] for row in csv.DictReader(lines)}
