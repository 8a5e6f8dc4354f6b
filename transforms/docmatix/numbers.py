"""The numbers in a document and in an answer, in one form whatever the notation.

``1,234.50``, ``1.234,50``, ``1 234.5`` and ``$1234.50`` are one number; so are ``25``, ``25 %``,
``twenty-five`` and ``25th``. A notation that can be read in several ways has several readings, and
an answer's number is in the document if one of them is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cauldron.transforms.docmatix.number_words import SCALES, spelled

MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_MONTH = re.compile(
    r"\b(?P<name>" + "|".join(f"{name[:3]}(?:{name[3:]})?" for name in MONTHS) + r"|Sept)\b\.?",
    re.IGNORECASE,
)
# A number with its separators: thousands by spaces or apostrophes, or any dots and commas.
_RUN = re.compile(r"\d{1,3}(?:[ ']\d{3})+(?![\d])(?:[.,]\d+)?|\d+(?:[.,]\d+)*")
_CHAIN = re.compile(r"(?<!\d)\d++(?:[-./() ]{1,2}\d++)++")
_DATE = re.compile(r"\b(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})\b")
_YEAR_RANGE = re.compile(r"\b(\d{2,5})\s?[-/]\s?(\d{1,4})\b")
_SHORT_YEAR = re.compile(r"'(\d\d)\b")
_CLOCK = re.compile(r"\b\d{1,2}([:.])(?P<minutes>\d\d)\b(?P<half>\s?[ap]\.?m\b)?", re.IGNORECASE)
_TIME = re.compile(r"\b(\d{1,2})(?:[:.]\d\d|\s?[ap]\.?m\b)", re.IGNORECASE)
_ROMAN = re.compile(r"\b(?=[IVXLC]{2,})(?:C{0,3})(X[CL]|L?X{0,3})(I[XV]|V?I{0,3})\b")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_SCALED = re.compile(
    r"[ -]?(?:(hundred|thousand|million|billion|trillion)\b|(k|m|mn|bn|b)\b)", re.IGNORECASE
)
_LETTERS = {"k": 1_000, "m": 1_000_000, "mn": 1_000_000, "b": 10**9, "bn": 10**9}
_PERCENT = re.compile(r"\s?(?:%|per\s?cent)", re.IGNORECASE)
_CURRENCY = re.compile(r"[$€£]\s?$")
_ABOUT = re.compile(
    r"\b(?:about|approximately|approx\.?|around|roughly|nearly|almost|over|some|"
    r"(?:more|less|fewer) than)\s+[$€£¥]?\s?$",
    re.IGNORECASE,
)
_ENUMERATION = re.compile(r"^[^\S\n]*+(?:\(\d{1,2}\)|\d{1,2}[.)])\s", re.MULTILINE)
# What "about" allows, as a part of the number.
_NEAR = 0.05
# Words for numbers up to this are words like others ("the two parties", "one of them").
_WORDS_UP_TO = 12
_SHORTEST_JOINED = 7


class Fact(NamedTuple):
    """A number of an answer: in the document if all numbers of one of its readings are.

    Attributes:
        near: a value that a number of the document may also be close to (by the tolerance after
            it), for "about 5,000" and "1.2 million".
    """

    text: str
    readings: tuple[frozenset[str], ...]
    near: tuple[float, float] | None = None


class Numbers:
    """The numbers of a document.

    Attributes:
        months: that it names, or that are part of its dates.
    """

    def __init__(self, text: str) -> None:
        self.months = {month_number(match["name"]) for match in _MONTH.finditer(text)}
        self.found = set(_written(text))
        for _, values, _ in spelled(text):
            self.found.update(map(str, values))
        for match in _DATE.finditer(text):
            parts = [int(match[1]), int(match[3]), int(match[4])]
            self.months.update(part for part in parts if 1 <= part <= 12)
        self._floats = [float(value) for value in self.found if len(value) < 300]
        # A month counts for the month of a date only: 8 is not there because of August.
        self.found.update(f"month {month}" for month in self.months)

    def has(self, fact: Fact) -> bool:
        if any(reading <= self.found for reading in fact.readings):
            return True
        if fact.near is None:
            return False
        value, tolerance = fact.near
        return any(abs(number - value) <= tolerance for number in self._floats)


def month_number(name: str) -> int:
    """1 to 12, for a month's name or its first three letters."""
    starts = [month[:3] for month in MONTHS]
    return starts.index(name[:3].lower()) + 1


def facts(answer: str) -> Iterator[Fact]:
    """The numbers of an answer. Those that only count the items of a list are none."""
    answer = _ENUMERATION.sub(" ", answer)
    chains = {place: _plain(whole) for place, whole in _joined(answer).items()}
    dates = list(_DATE.finditer(answer))
    years = {match.start(number) for match in dates for number in (1, 4)}
    months = {match.start(number) for match in dates for number in (1, 3, 4)}
    # By the place of the whole number: the end of "10-12,500" is no year.
    ranges = {match.span(2): match[1] for match in _YEAR_RANGE.finditer(answer)}
    clocks = [match for match in _CLOCK.finditer(answer) if match[1] == ":" or match["half"]]
    full_hours = {match.start("minutes") for match in clocks if match["minutes"] == "00"}
    halves = {match.start() for match in clocks}
    for match in _RUN.finditer(answer):
        if match.start() in full_hours:
            continue  # 18:00 is also "6 p.m."
        readings = [frozenset(reading) for reading in _readings(match[0])]
        readings += [
            frozenset([whole])
            for (start, stop), whole in chains.items()
            if start <= match.start() and match.end() <= stop
        ]
        if match.start() in halves:
            readings.append(frozenset(_plain(part) for part in match[0].split(".")))
        if match.start() in years and len(match[0]) == 2:
            readings += [frozenset([f"{century}{match[0]}"]) for century in (19, 20)]
        if match[0].isdecimal() and match.start() in months:
            readings.append(frozenset([f"month {_plain(match[0])}"]))
        if date := _DATE.fullmatch(match[0]):
            day, month, year = (_plain(date[number]) for number in (1, 3, 4))
            readings += [frozenset([day, f"month {month}", year])]
        if match.span() in ranges:
            readings.append(frozenset([_completed(ranges[match.span()], match[0])]))
        yield _with_surroundings(answer, match, readings)
    for text, values, words in spelled(answer):
        # "two hundred" is a number, "two" is a word.
        if words > 1 or max(values) > _WORDS_UP_TO:
            said = [frozenset([str(value)]) for value in values if value > _WORDS_UP_TO]
            yield Fact(text, (*said, frozenset(map(str, values))))


def _with_surroundings(answer: str, match: re.Match[str], readings: list[frozenset[str]]) -> Fact:
    """The number with what stands before and after it: "about", "million", "%"."""
    value = _value(readings)
    near = None
    scaled = _SCALED.match(answer, match.end())
    text = match[0] + (scaled[0] if scaled else "")
    if scaled and value is not None:
        scale = SCALES.get((scaled[1] or "").lower()) or _LETTERS[scaled[2].lower()]
        readings.append(frozenset([_plain(f"{value * scale:f}")]))
        decimals = len(match[0].replace(",", ".").partition(".")[2])
        value *= scale
        near = (value, 0.5 * scale / 10**decimals)  # rounded as it is written
    elif value is not None and value < 1 and _CURRENCY.search(_before(answer, match, 3)):
        readings.append(frozenset([_plain(f"{value * 100:f}")]))  # $0.35 is 35 cents
    elif _PERCENT.match(answer, match.end()) and value is not None:
        readings.append(frozenset([_plain(f"{value / 100:f}")]))
    if value is not None and _ABOUT.search(_before(answer, match, 24)):
        near = (value, _NEAR * value)
    return Fact(text, tuple(readings), near)


def _before(text: str, match: re.Match[str], signs: int) -> str:
    """Up to so many signs before a match."""
    return text[max(0, match.start() - signs) : match.start()]


def _value(readings: Sequence[frozenset[str]]) -> float | None:
    single = [next(iter(reading)) for reading in readings if len(reading) == 1]
    return float(single[0]) if single and len(single[0]) < 300 else None


def _written(text: str) -> Iterator[str]:
    """Every number that the digits of a document can be read as."""
    for match in _RUN.finditer(text):
        for reading in _readings(match[0]):
            yield from reading
        groups = match[0].split(",")
        if len(groups) > 1 and "." not in match[0] and not _is_grouped(groups):
            yield from (_plain(re.sub(r"\D", "", group)) for group in groups)  # 3,5 is also 3 and 5
        scaled = _SCALED.match(text, match.end())
        value = _value([frozenset(reading) for reading in _readings(match[0])])
        if scaled and value is not None:
            scale = SCALES.get((scaled[1] or "").lower()) or _LETTERS[scaled[2].lower()]
            yield _plain(f"{value * scale:f}")
    yield from (_plain(whole) for whole in _joined(text).values())
    for match in _YEAR_RANGE.finditer(text):
        yield _completed(match[1], match[2])
    for match in _TIME.finditer(text):
        yield from (str((int(match[1]) + hours) % 24) for hours in (12, 24))
    short = [match[1] for match in _SHORT_YEAR.finditer(text)]
    short += [part for match in _DATE.finditer(text) for part in (match[1], match[4])]
    yield from (f"{century}{year}" for year in short if len(year) == 2 for century in (19, 20))
    yield from (str(_roman(match[0])) for match in _ROMAN.finditer(text) if match[0])


def _joined(text: str) -> dict[tuple[int, int], str]:
    """Long numbers in groups, such as those of telephones, without what separates the groups."""
    found = {match.span(): re.sub(r"\D", "", match[0]) for match in _CHAIN.finditer(text)}
    return {place: digits for place, digits in found.items() if len(digits) >= _SHORTEST_JOINED}


def _readings(run: str) -> Iterator[list[str]]:
    """The numbers that a run of digits and separators may stand for."""
    if re.search(r"[ ']", run):
        yield [_plain(re.sub(r"[ ']", "", run).replace(",", "."))]
        yield [_plain(part) for part in re.split(r"[ ']", run.replace(",", "."))]
        return
    groups = re.split(r"[.,]", run)
    separators = [sign for sign in run if sign in ".,"]
    if not separators:
        yield [_plain(run)]
        return
    if len(set(separators)) == 1:
        if _is_grouped(groups):
            yield [_plain("".join(groups))]
        if len(groups) == 2:
            yield [_plain(".".join(groups))]
        else:
            yield [_plain(group) for group in groups]
        return
    if separators.count(separators[-1]) == 1 and _is_grouped(groups[:-1]):
        yield [_plain("".join(groups[:-1]) + "." + groups[-1])]
    else:
        yield [_plain(group) for group in groups]


def _is_grouped(groups: Sequence[str]) -> bool:
    """Whether the groups are thousands, or as in India: 12,34,567."""
    first, *middle, last = groups
    if len(first) > 3 or len(last) != 3:
        return False
    return all(len(group) == 3 for group in middle) or (
        len(first) < 3 and all(len(group) == 2 for group in middle)
    )


def _plain(number: str) -> str:
    """Without zeros that mean nothing: 007 is 7, 3.50 is 3.5."""
    whole, _, decimals = number.partition(".")
    digits = "".join(str(int(digit)) for digit in whole)  # also digits of other scripts
    decimals = "".join(str(int(digit)) for digit in decimals).rstrip("0")
    return (digits.lstrip("0") or "0") + (f".{decimals}" if decimals else "")


def _completed(first: str, last: str) -> str:
    """The end of a range in full: 1990-95 ends in 1995."""
    missing = len(first) - len(last)
    return _plain(first[:missing] + last if missing > 0 else last)


def _roman(text: str) -> int:
    values = [_ROMAN_VALUES[sign] for sign in text]
    return sum(
        -value if value < following else value
        for value, following in zip(values, [*values[1:], 0], strict=True)
    )
