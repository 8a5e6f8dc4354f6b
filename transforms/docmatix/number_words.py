"""Numbers written as words: "twenty-five", "three hundred and forty", "nineteen ninety-eight"."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = (
    "zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth",
    "tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth",
    "seventeenth", "eighteenth", "nineteenth",
)  # fmt: skip
_VALUES = {
    **{word: number for number, word in enumerate(_ONES)},
    **{word: number for number, word in enumerate(_ORDINALS)},
    **{word: 20 + 10 * number for number, word in enumerate(_TENS)},
    **{word[:-1] + "ieth": 20 + 10 * number for number, word in enumerate(_TENS)},
    "dozen": 12,
    "fourty": 40,
}
SCALES = {
    "hundred": 100,
    "thousand": 1_000,
    "million": 1_000_000,
    "billion": 1_000_000_000,
    "trillion": 1_000_000_000_000,
}
_WORD = "|".join(sorted([*_VALUES, *SCALES], key=len, reverse=True))
_PHRASE = re.compile(rf"\b(?:{_WORD})(?:(?:[ -]|\s+and\s+)(?:{_WORD}))*\b", re.IGNORECASE)
# Text gets no longer than this many words in a number; a longer run is a list of numbers.
_LONGEST = 14


def spelled(text: str) -> Iterator[tuple[str, set[int], int]]:
    """Every number in words: the phrase, its values, and how many words it has.

    A phrase of several numbers in a row has the values of all of them, and two of two digits also
    that of the year which they name.
    """
    for match in _PHRASE.finditer(text):
        words = [word for word in re.split(r"[\s-]+", match[0].lower()) if word != "and"]
        # A scale alone belongs to the digits before it: "1.5 million".
        if len(words) <= _LONGEST and words[0] not in SCALES:
            yield match[0], _values(words), len(words)


def _values(words: Sequence[str]) -> set[int]:
    numbers: list[int] = []
    total, current, last = 0, -1, 0
    for word in words:
        if word in SCALES:
            scale = SCALES[word]
            current = max(current, 1) * scale
            if scale > 100:
                total, current = total + current, -1
            last = scale
            continue
        value = _VALUES[word]
        # "ninety five" goes on, "five ninety" and "five six" start another number.
        fits = current < 0 or last == 100 or (20 <= last < 100 and last % 10 == 0 and value < 10)
        if not fits:
            numbers.append(total + max(current, 0))
            total, current = 0, -1
        current = value if current < 0 else current + value
        last = value
    numbers.append(total + max(current, 0))
    years = {
        100 * first + second
        for first, second in itertools.pairwise(numbers)
        if 10 <= first < 100 and 10 <= second < 100
    }
    return {*numbers, *years}
