"""Parse the pairs in a model's answer, and apply the published rules to them.

Asked for ``Q1: … A1: …``, models also write ``Question 1.``, ``**Q1:**``, ``Q:``, all questions
before all answers, or numbers that skip. An answer belongs to the open question with its number,
without a number to the last open question. What is left over has no partner and is ``unpaired``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from cauldron.core.sections.docmatix import PublishedRule

_LABEL = re.compile(
    # Anywhere in a line only in the form that was asked for; "grade A1." is text.
    r"(?<![\w.])(?P<inline>(?-i:[QA]))(?P<inline_number>\d{1,3})\s*:"
    # At the start of a line, after signs of lists and headings, in other forms too. Without a
    # number only before a colon; "A. Smith" is text.
    # Nothing is tried twice (``*+``): a model that repeats itself writes lines of 100,000 signs.
    r"|^[ \t>*#_\-]*+(?:\d{1,3}[.)][ \t]*+)?+[*_]*+(?P<word>question|answer|q|a)"
    r"(?:[ \t]*+[#.]?[ \t]*+(?P<number>\d{1,3})[ \t]*+[*_]*+[ \t]*+[:.)](?!\w)"
    r"|[ \t]*+[*_]*+[ \t]*+:)",
    re.IGNORECASE | re.MULTILINE,
)
_MARKS = " \t\r\n*_"
_RULE_LINE_SIGNS = ("-", "*", "_", "=")

# As published, in this order; the first that matches is the reason. The published rules ignore
# case, and are applied to question and answer alike. Four are written in another way that finds the
# same texts, in one pass: the published ``\{.*?\}`` looks for an end from each of many starts.
_PUBLISHED: dict[PublishedRule, re.Pattern[str]] = {
    "braces": re.compile(r"\{[^{}\n]*+\}"),
    "brackets": re.compile(r"\[[^\[\]\n]*+\]"),
    "angle_brackets": re.compile(r"<[^<>\n]*+>"),
    "ip_address": re.compile(r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b"),
    "dot_in_word": re.compile(r"\w\.\w"),
    "blank_line": re.compile(r"\n\s*\n"),
    "unanswerable": re.compile("unanswerable", re.IGNORECASE),
    "question_number": re.compile(r"Q\d+: ", re.IGNORECASE),
    "answer_number": re.compile(r"A\d+: ", re.IGNORECASE),
}


class Pair(NamedTuple):
    """A question and its answer, either may be empty.

    Attributes:
        number: as the model numbers it, -1 if it does not.
        paired: False for a question without an answer, or an answer without a question.
    """

    question: str
    answer: str
    number: int = -1
    paired: bool = True


def parse(text: str) -> list[Pair]:
    """The pairs in an answer, in the order of their questions; text before the first is ignored."""
    found: list[Pair] = []
    # Places in `found` of the questions without an answer yet.
    waiting: list[int] = []
    labels = list(_LABEL.finditer(text))
    stops = [*(label.start() for label in labels[1:]), len(text)]
    for label, stop in zip(labels, stops, strict=False):
        said = _stripped(text[label.end() : stop])
        number = int(label["inline_number"] or label["number"] or -1)
        if (label["inline"] or label["word"])[0].lower() == "q":
            waiting.append(len(found))
            found.append(Pair(said, "", number, paired=False))
            continue
        place = _question(found, waiting, number)
        if place is None:
            found.append(Pair("", said, number, paired=False))
        else:
            waiting.remove(place)
            found[place] = Pair(found[place].question, said, found[place].number)
    return found


def _question(found: Sequence[Pair], waiting: Sequence[int], number: int) -> int | None:
    """The place of the question that an answer of this number belongs to."""
    if not waiting:
        return None
    if number < 0 or found[waiting[-1]].number < 0:
        return waiting[-1]
    return next((place for place in reversed(waiting) if found[place].number == number), None)


def _stripped(text: str) -> str:
    """Without the marks of Markdown around a label, and without a line between two pairs."""
    text = text.strip(_MARKS)
    end = text.rstrip()
    if end.endswith(tuple(3 * sign for sign in _RULE_LINE_SIGNS)):
        text = end.rstrip(end[-1]).rstrip()
    return text.strip(_MARKS)


def problem(pair: Pair, rules: Sequence[PublishedRule]) -> str:
    """Why a pair is dropped, a code of `cauldron.core.reasons.PAIR_DROPPED`; "" if it is kept."""
    if not pair.paired:
        return "unpaired"
    if not pair.question:
        return "empty_question"
    if not pair.answer:
        return "empty_answer"
    for rule, pattern in _PUBLISHED.items():
        if rule in rules and (pattern.search(pair.question) or pattern.search(pair.answer)):
            return rule
    return ""
