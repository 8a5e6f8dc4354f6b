"""Labelled answers, to measure `not_in_document`: true ones, and ones with an invented fact.

True answers are written by hand (`labelled.yaml`) or made from a fact that the document states in
another notation. An invented answer is a true one in which one number is replaced by another of the
same length, a year by another year, or a name by another name. A replaced number or name is checked
not to stand in the document, as digits or as a word.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

_NUMBER = re.compile(r"\d[\d.,]*\d|\d")
_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_NAMES = ("Quentin", "Zelda", "Tarkovsky", "Wolverton", "Xanthia", "Yarborough", "Zimbabwe")
# Of the true answers: names that can be replaced.
_REPLACED = re.compile(
    r"Vargas|Ashford|Millbrook|O'Brien|Paris|Whitfield|Okonkwo|Roy Tan|Chen|Novelis|Munich|"
    r"Italy|Adeyemi|Bluebird|Springfield|Northgate|Germany"
)


class Case(NamedTuple):
    """Attributes:
    invented: ``number``, ``name``, or "" for a true answer.
    """

    document: str
    answer: str
    invented: str = ""


def written() -> list[Case]:
    """The true answers written by hand."""
    entries = yaml.safe_load((Path(__file__).parent / "labelled.yaml").read_text())
    return [Case(entry["document"], answer) for entry in entries for answer in entry["answers"]]


def made(seed: int = 0, documents: int = 60) -> Iterator[Case]:
    """True answers made from facts: each fact in one notation on the page, in others in answers."""
    for number in range(documents):
        drawn = random.Random(f"{seed}/{number}")
        facts = [_amount(drawn), _percent(drawn), _date(drawn), _count(drawn), _range(drawn)]
        page = "\n".join(drawn.choice(forms) for _, forms in facts)
        for sentence, forms in facts:
            yield from (Case(page, sentence.format(form)) for form in forms)


def _amount(drawn: random.Random) -> tuple[str, list[str]]:
    units, cents = drawn.randrange(1_000, 9_000_000), drawn.choice((0, drawn.randrange(10, 99)))
    decimals = f".{cents}" if cents else ""
    grouped = f"{units:,}"
    forms = [
        f"${grouped}{decimals}",
        f"USD {units}{decimals}",
        f"{grouped}{decimals} dollars",
        f"€ {grouped.replace(',', '.')}{decimals.replace('.', ',')}",
        f"{grouped.replace(',', ' ')}{decimals}",
        f"{grouped.replace(',', chr(0x2019))}{decimals}",
    ]
    return "The amount due is {}.", forms


def _percent(drawn: random.Random) -> tuple[str, list[str]]:
    value = drawn.randrange(13, 98)
    word = _in_words(value)
    return "It grew by {}.", [
        f"{value}%", f"{value} %", f"{value} percent", f"{value} per cent", f"{word} percent",
        f"{word} per cent ({value}%)",
    ]  # fmt: skip


def _date(drawn: random.Random) -> tuple[str, list[str]]:
    year, month, day = drawn.randrange(1985, 2025), drawn.randrange(1, 13), drawn.randrange(13, 29)
    name, end = _MONTHS[month - 1], {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return "It was signed on {}.", [
        f"{day} {name} {year}",
        f"{name} {day}, {year}",
        f"the {day}{end} of {name}, {year}",
        f"{name[:3]}. {day}, {year}",
        f"{year}-{month:02d}-{day:02d}",
        f"{day:02d}.{month:02d}.{year}",
        f"{month:02d}/{day:02d}/{year}",
        f"{day}/{month}/{year % 100:02d}",
    ]


def _count(drawn: random.Random) -> tuple[str, list[str]]:
    value = drawn.randrange(101, 999)
    hundreds, rest = divmod(value, 100)
    words = f"{_ONES[hundreds]} hundred"
    tail = f" {_in_words(rest)}" if rest else ""
    long = words + (f" and{tail}" if rest else "")
    return "There are {} members.", [str(value), words + tail, long]


def _range(drawn: random.Random) -> tuple[str, list[str]]:
    first = drawn.randrange(1950, 1990)
    last = first + drawn.randrange(3, 9)
    same = first // 100 == last // 100
    forms = [
        f"{first} to {last}",
        f"{first}-{last}",
        f"{first}\u2013{last}",
        f"between {first} and {last}",
    ]
    return "The works of {} were the largest.", [*forms, *([f"{first}-{last % 100:02d}"] * same)]


def _in_words(value: int) -> str:
    if value < 20:
        return _ONES[value]
    tens, ones = divmod(value, 10)
    return _TENS[tens] + (f"-{_ONES[ones]}" if ones else "")


def invented_numbers(cases: list[Case], seed: int = 0) -> Iterator[Case]:
    """Each answer with one of its numbers of two digits or more replaced by another.

    Numbers of one digit are left: of ten there are, most stand on every page.
    """
    for case in cases:
        drawn = random.Random(f"{seed}/{case.answer}")
        numbers = [match for match in _NUMBER.finditer(case.answer) if len(match[0]) > 1]
        if not numbers:
            continue
        match = drawn.choice(numbers)
        digits = set(re.findall(r"\d+", case.document)) | _spelled_out(case.document)
        changed = match[0]
        for _ in range(200):
            changed = "".join(_other(drawn, sign, at) for at, sign in enumerate(match[0]))
            if not set(re.findall(r"\d+", changed)) & digits:
                break
        answer = case.answer[: match.start()] + changed + case.answer[match.end() :]
        yield Case(case.document, answer, "number")


def _spelled_out(document: str) -> set[str]:
    """Numbers under a hundred that stand in the document as words."""
    words = set(re.findall(r"[a-z]+(?:-[a-z]+)?", document.lower()))
    return {str(value) for value in range(100) if _in_words(value) in words}


def _other(drawn: random.Random, sign: str, place: int) -> str:
    if not sign.isdigit():
        return sign
    return str(drawn.randrange(1 if place == 0 else 0, 10))


def invented_names(cases: list[Case], seed: int = 0) -> Iterator[Case]:
    """Each answer with one of its names replaced by another."""
    for case in cases:
        drawn = random.Random(f"{seed}/{case.answer}")
        answer, count = _REPLACED.subn(drawn.choice(_NAMES), case.answer, count=1)
        if count:
            yield Case(case.document, answer, "name")
